//! The definition of the point-in-time winner: slow, obvious, pure. Everything fast is tested against it.

use bytes::Bytes;

use crate::{FieldStatus, Micros, Ttl, row::RowHeader};

/// One feature row of one key, as its canonical bytes: the header carries the stamp, the whole decides content ties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateRow {
    /// What [`crate::row::RowLayout::encode`] or a tombstone wrote.
    pub bytes: Bytes,
}

/// Which rows a label can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisibilityMode {
    /// Rows that were true at T.
    EventTime,
    /// Rows that were true and known at T. In a view that declares a created time a row without one is never known.
    AvailableTime {
        /// Whether the view declares a created time.
        created_declared: bool,
    },
}

/// What a reader at T is to be told about the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Winner<'a> {
    /// This row's values.
    Row(&'a CandidateRow),
    /// The newest row is older than the ttl.
    Expired(&'a CandidateRow),
    /// The newest row is a tombstone.
    Deleted(&'a CandidateRow),
    /// No row.
    Absent,
}

impl Winner<'_> {
    /// The status of the whole row; a present row's null features are `NULL_VALUE` one by one.
    pub const fn status(&self) -> FieldStatus {
        match self {
            Self::Row(_) => FieldStatus::Present,
            Self::Expired(_) => FieldStatus::OutsideMaxAge,
            Self::Deleted(_) | Self::Absent => FieldStatus::NotFound,
        }
    }
}

/// The greatest stamp among the rows of one key visible at `at`; content decides full ties; then ttl.
///
/// Rows whose bytes carry no header are not rows and are passed over.
pub fn winner(rows: &[CandidateRow], at: Micros, ttl: Option<Ttl>, mode: VisibilityMode) -> Winner<'_> {
    let visible = rows.iter().filter(|row| is_visible(row, at, mode));
    let Some(best) = visible.max_by(|left, right| left.bytes.cmp(&right.bytes)) else {
        return Winner::Absent;
    };
    let Some((header, _)) = RowHeader::split(&best.bytes) else { return Winner::Absent };
    if header.tombstone {
        return Winner::Deleted(best);
    }
    match ttl {
        Some(ttl) if ttl.expired(header.stamp.event, at) => Winner::Expired(best),
        _ => Winner::Row(best),
    }
}

fn is_visible(row: &CandidateRow, at: Micros, mode: VisibilityMode) -> bool {
    let Some((header, _)) = RowHeader::split(&row.bytes) else { return false };
    let available = match mode {
        VisibilityMode::EventTime | VisibilityMode::AvailableTime { created_declared: false } => true,
        VisibilityMode::AvailableTime { created_declared: true } => {
            header.stamp.created.is_some_and(|created| created <= at)
        }
    };
    header.stamp.event <= at && available
}

#[cfg(test)]
mod tests;
