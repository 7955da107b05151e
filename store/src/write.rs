//! What a write brings and what becomes of each row, and the one comparison that decides it.

use bytes::Bytes;
use tidegate_catalog::{
    EntityKey, FieldNumber,
    row::{MAX_ROW_BYTES, RowHeader},
};

/// One row for one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The entity.
    pub key: EntityKey,
    /// The generation's field.
    pub field: FieldNumber,
    /// Canonical row bytes, or a tombstone's.
    pub row: Bytes,
}

/// What became of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// It is stored now.
    Written,
    /// It is stored now; what it replaced had another check: another entity's row, or of another layout.
    WrittenOverForeign,
    /// A row with a greater stamp is stored.
    Older,
    /// The same row is stored.
    Equal,
    /// The greatest stamp stands, but whether it was this row is not known.
    Merged,
    /// It can never be stored.
    Rejected(Rejection),
}

/// Why a row can never be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rejection {
    /// The row is over [`MAX_ROW_BYTES`].
    RowTooLarge,
    /// The bytes do not begin with a row's header.
    NotARow,
}

impl Rejection {
    /// The reason's name in ledgers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RowTooLarge => "row_too_large",
            Self::NotARow => "not_a_row",
        }
    }
}

/// What a put does to a stored row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Write,
    WriteOverForeign,
    Older,
    Equal,
}

impl Put {
    /// Why no store can take this row, if so.
    pub(crate) fn rejection(&self) -> Option<Rejection> {
        if self.row.len() > MAX_ROW_BYTES {
            return Some(Rejection::RowTooLarge);
        }
        RowHeader::split(&self.row).is_none().then_some(Rejection::NotARow)
    }
}

/// The one comparison: rows of one cell by their bytes, unsigned, a shorter prefix first; a stored row with another
/// check is no row of this cell and gives way whatever its stamp.
pub(crate) fn decide(new: &[u8], stored: Option<&[u8]>) -> Decision {
    let Some(stored) = stored else { return Decision::Write };
    let checks = (RowHeader::split(new).map(|(h, _)| h.check), RowHeader::split(stored).map(|(h, _)| h.check));
    if checks.0 != checks.1 {
        return Decision::WriteOverForeign;
    }
    match new.cmp(stored) {
        std::cmp::Ordering::Greater => Decision::Write,
        std::cmp::Ordering::Equal => Decision::Equal,
        std::cmp::Ordering::Less => Decision::Older,
    }
}

impl From<Decision> for PutOutcome {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Write => Self::Written,
            Decision::WriteOverForeign => Self::WrittenOverForeign,
            Decision::Older => Self::Older,
            Decision::Equal => Self::Equal,
        }
    }
}
