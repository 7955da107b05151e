//! One expected row against one cell, and the reasons why they differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_catalog::{
    EntityKey, Micros, RowLayout, Ttl,
    row::{CellCheck, RowHeader},
    snapshot::Generation,
    winner::{CandidateRow, VisibilityMode, Winner, winner},
};
use tidegate_store::{Cell, Put};
use xxhash_rust::xxh3::xxh3_64;

use super::ViewVerification;
use crate::rows::key_text;

/// How many examples of each reason are kept.
const EXAMPLES: usize = 5;

/// Why a cell is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The view yields a row, the store has none.
    MissingOnline,
    /// The store has a row of a key that the view does not yield any more.
    ExtraOnline,
    /// The store's row is older than the winner.
    OlderOnline,
    /// The store's row is newer than the winner.
    NewerOnline,
    /// Both have the same times and other content.
    ContentDiffers,
    /// The store's row carries another cell's check, or is no row: a foreign writer's.
    OtherCheck,
    /// The store did not answer for this cell.
    Unanswered,
}

impl Reason {
    /// The name in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingOnline => "missing_online",
            Self::ExtraOnline => "extra_online",
            Self::OlderOnline => "older_online",
            Self::NewerOnline => "newer_online",
            Self::ContentDiffers => "content_differs",
            Self::OtherCheck => "other_check",
            Self::Unanswered => "unanswered",
        }
    }
}

/// How many keys differ for one reason, and the first few.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mismatches {
    /// How many keys.
    pub keys: u64,
    /// The first of them.
    pub examples: Vec<Mismatch>,
}

/// One key that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// The key as text.
    pub key: String,
    /// The winner, as text.
    pub expected: Option<String>,
    /// What the store has, as text.
    pub online: Option<String>,
}

/// What a view's cells should be at an instant.
pub(super) struct Expected {
    check: CellCheck,
    ttl: Option<Ttl>,
    at: Micros,
}

/// A key in eight bytes: two keys of one mark would hide an extra row, once in 2^64 pairs.
pub(super) fn key_mark(key: &EntityKey) -> u64 {
    xxh3_64(key.as_bytes())
}

impl Expected {
    pub(super) fn new(generation: &Generation, ttl: Option<Ttl>, at: Micros) -> Self {
        let types = generation.features.iter().map(|feature| feature.feature_type).collect::<Vec<_>>();
        Self { check: RowLayout::new(&types).cell_check(generation.field), ttl, at }
    }

    /// Counts the key's status and, if the cell is not the winner, why.
    pub(super) fn compare(&self, expected: &Put, cell: Cell<'_>, found: &mut ViewVerification) {
        found.compared_keys += 1;
        let candidates = [CandidateRow { bytes: expected.row.clone() }];
        match winner(&candidates, self.at, self.ttl, VisibilityMode::EventTime) {
            Winner::Row(_) => found.present_keys += 1,
            Winner::Expired(_) => found.expired_keys += 1,
            Winner::Deleted(_) => found.deleted_keys += 1,
            Winner::Absent => {}
        }
        let (reason, online) = match cell {
            Cell::Absent => (Reason::MissingOnline, None),
            Cell::Failed => (Reason::Unanswered, None),
            Cell::Row(online) if online == expected.row => return,
            Cell::Row(online) => (self.reason(expected, online), Some(row_text(online))),
        };
        let expected_text = Some(row_text(&expected.row));
        note(&mut found.mismatches, reason, || Mismatch {
            key: key_text(&expected.key),
            expected: expected_text,
            online,
        });
    }

    fn reason(&self, expected: &Put, online: &[u8]) -> Reason {
        let (Some((ours, _)), Some((theirs, _))) = (RowHeader::split(&expected.row), RowHeader::split(online)) else {
            return Reason::OtherCheck;
        };
        if theirs.check != self.check.of(&expected.key) {
            return Reason::OtherCheck;
        }
        match theirs.stamp.cmp(&ours.stamp) {
            std::cmp::Ordering::Less => Reason::OlderOnline,
            std::cmp::Ordering::Equal => Reason::ContentDiffers,
            std::cmp::Ordering::Greater => Reason::NewerOnline,
        }
    }
}

/// Counts a cell whose key the view does not yield.
pub(super) fn extra(cell: &Put, found: &mut ViewVerification) {
    note(&mut found.mismatches, Reason::ExtraOnline, || Mismatch {
        key: key_text(&cell.key),
        expected: None,
        online: Some(row_text(&cell.row)),
    });
}

fn note(mismatches: &mut BTreeMap<Reason, Mismatches>, reason: Reason, example: impl FnOnce() -> Mismatch) {
    let entry = mismatches.entry(reason).or_default();
    entry.keys += 1;
    if entry.examples.len() < EXAMPLES {
        entry.examples.push(example());
    }
}

/// A row in a few words: its times, whether it says "deleted", and a short hash of its bytes.
fn row_text(row: &[u8]) -> String {
    let Some((header, _)) = RowHeader::split(row) else { return "no row".to_owned() };
    let created = header.stamp.created.map_or_else(String::new, |created| format!(", created {created}"));
    let kind = if header.tombstone { "tombstone" } else { "row" };
    format!("{kind} of {}{created}, content {:08x}", header.stamp.event, xxh3_64(row) as u32)
}
