//! The first bytes of a row: both times and the word of tombstone bit and check.

use bytes::{BufMut, BytesMut};

use crate::Micros;

const SIGN: u64 = 1 << 63;
const TOMBSTONE: u16 = 1 << 15;

/// What orders the rows of one cell: event time, created time, and last the row's content.
///
/// Without a created time a row is as old as can be (`created` is `None`, and `None < Some`). The content is compared as bytes, by comparing
/// whole rows: a stamp alone orders only rows whose times differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// When it was true.
    pub event: Micros,
    /// When it was known; `None` where the source has no created time.
    pub created: Option<Micros>,
}

/// Fifteen bits of a hash of entity key, field number and layout: another entity's row is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Check(u16);

impl Check {
    /// Keeps the low fifteen bits.
    pub const fn new(bits: u16) -> Self {
        Self(bits & !TOMBSTONE)
    }

    /// The bits.
    pub const fn bits(self) -> u16 {
        self.0
    }
}

/// The parsed front of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowHeader {
    /// Both times.
    pub stamp: Stamp,
    /// Whether the row says "deleted".
    pub tombstone: bool,
    /// Whose row it is.
    pub check: Check,
}

impl RowHeader {
    /// Splits `bytes` into the header and what follows; `None` when they are cut off or the created flag is neither 0 nor 1.
    /// # Cost
    /// No allocation, at most 19 bytes read.
    pub fn split(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (event, rest) = bytes.split_first_chunk::<8>()?;
        let (flag, rest) = rest.split_first()?;
        let (created, rest) = match flag {
            0 => (None, rest),
            1 => {
                let (created, rest) = rest.split_first_chunk::<8>()?;
                (Some(time(*created)), rest)
            }
            _ => return None,
        };
        let (word, rest) = rest.split_first_chunk::<2>()?;
        let word = u16::from_be_bytes(*word);
        let stamp = Stamp { event: time(*event), created };
        Some((Self { stamp, tombstone: word & TOMBSTONE != 0, check: Check::new(word) }, rest))
    }

    /// Appends the header's bytes.
    pub fn put(self, out: &mut BytesMut) {
        out.put_u64(self.stamp.event.0.cast_unsigned() ^ SIGN);
        match self.stamp.created {
            None => out.put_u8(0),
            Some(created) => {
                out.put_u8(1);
                out.put_u64(created.0.cast_unsigned() ^ SIGN);
            }
        }
        out.put_u16(self.check.bits() | if self.tombstone { TOMBSTONE } else { 0 });
    }
}

const fn time(bytes: [u8; 8]) -> Micros {
    Micros((u64::from_be_bytes(bytes) ^ SIGN).cast_signed())
}
