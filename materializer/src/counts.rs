//! What became of every row that a run read: the counts of reports and of the run ledger. They add up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;

/// How many examples of each reason are kept.
const EXAMPLES: usize = 3;
/// How many characters of a key or message an example keeps.
const EXAMPLE_CHARS: usize = 120;

/// One view's counts in one run: `read` is the sum of all others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Rows that the view yielded.
    pub read: u64,
    /// Rows that lost to a greater or equal row of the same key in this run, before anything was written.
    pub reduced: u64,
    /// Rows that the store holds now.
    pub written: u64,
    /// Rows that are older than what the store holds.
    pub older: u64,
    /// Rows that the store held already; also those whose first answer was lost and that were put again.
    pub equal: u64,
    /// Rows of which the store cannot say whether they won (stores that write without reading).
    pub merged: u64,
    /// Rows with a null in their entity key: they match nothing.
    pub null_key: u64,
    /// Rows without an event time.
    pub null_time: u64,
    /// Rows with an event time after now: a later run's.
    pub future: u64,
    /// Rows of the past outside the run's interval: another run's.
    pub outside_interval: u64,
    /// Rows that could not be stored, by reason.
    pub rejected: BTreeMap<RejectReason, Rejected>,
    /// Rows whose fate was open when the run stopped; none in a run that was acknowledged.
    pub unsettled: u64,
    /// Of the written: how many replaced a row with another check (of another layout, or a foreign writer's). Not a
    /// part of the sum.
    pub replaced_foreign: u64,
    /// Rows of null keys, as examples. Not a part of the sum.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub null_key_examples: Vec<Example>,
}

/// Why a row was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// The entity key is over 8 KiB.
    KeyTooLong,
    /// The row is over 1 MiB.
    RowTooLarge,
    /// A value that does not fit its column's type: a time that cannot be read, or that microseconds cannot hold.
    WrongType,
    /// The store refused the row.
    Store,
}

impl RejectReason {
    /// The name in tables, ledgers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyTooLong => "key_too_long",
            Self::RowTooLarge => "row_too_large",
            Self::WrongType => "wrong_type",
            Self::Store => "store",
        }
    }
}

/// How often, and the first few.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// How many rows.
    pub rows: u64,
    /// The first of them.
    pub examples: Vec<Example>,
}

/// One bad row, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Its entity key as text, cut to 120 characters.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

impl Counts {
    /// The sum of all outcomes; equal to `read` when a run is over.
    pub fn accounted(&self) -> u64 {
        let outcomes = [self.reduced, self.written, self.older, self.equal, self.merged];
        let passed_over = [self.null_key, self.null_time, self.future, self.outside_interval, self.unsettled];
        outcomes.iter().chain(&passed_over).sum::<u64>() + self.rejected_rows()
    }

    /// Rejected rows of all reasons.
    pub fn rejected_rows(&self) -> u64 {
        self.rejected.values().map(|rejected| rejected.rows).sum()
    }

    /// Rows that the error budget counts: null keys and rejected ones.
    pub fn bad_rows(&self) -> u64 {
        self.null_key + self.rejected_rows()
    }

    /// Adds another run's, or another part's, counts.
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.reduced += other.reduced;
        self.written += other.written;
        self.older += other.older;
        self.equal += other.equal;
        self.merged += other.merged;
        self.null_key += other.null_key;
        self.null_time += other.null_time;
        self.future += other.future;
        self.outside_interval += other.outside_interval;
        self.unsettled += other.unsettled;
        self.replaced_foreign += other.replaced_foreign;
        for (reason, theirs) in &other.rejected {
            let ours = self.rejected.entry(*reason).or_default();
            ours.rows += theirs.rows;
            extend(&mut ours.examples, theirs.examples.iter().cloned());
        }
        extend(&mut self.null_key_examples, other.null_key_examples.iter().cloned());
    }

    pub(crate) fn reject(&mut self, reason: RejectReason, example: impl FnOnce() -> Example) {
        let rejected = self.rejected.entry(reason).or_default();
        rejected.rows += 1;
        if rejected.examples.len() < EXAMPLES {
            rejected.examples.push(example().cut());
        }
    }

    pub(crate) fn count_null_key(&mut self, example: impl FnOnce() -> Example) {
        self.null_key += 1;
        if self.null_key_examples.len() < EXAMPLES {
            self.null_key_examples.push(example().cut());
        }
    }

    /// # Errors
    /// [`Error::TooManyBadRows`], naming the first, when there are more than `budget_rows`.
    pub(crate) fn require_budget(&self, budget_rows: u64) -> Result<(), Error> {
        let rejected = self.rejected.values().flat_map(|rejected| &rejected.examples);
        let bad_rows = self.bad_rows();
        match self.null_key_examples.iter().chain(rejected).next() {
            Some(example) if bad_rows > budget_rows => {
                Err(Error::TooManyBadRows { bad_rows, budget_rows, example: example.clone() })
            }
            _ => Ok(()),
        }
    }
}

fn extend(examples: &mut Vec<Example>, more: impl Iterator<Item = Example>) {
    let room = EXAMPLES.saturating_sub(examples.len());
    examples.extend(more.take(room));
}

impl Example {
    fn cut(self) -> Self {
        let cut = |text: String| match text.char_indices().nth(EXAMPLE_CHARS) {
            Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
            None => text,
        };
        Self { key: cut(self.key), why: cut(self.why) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_a_part_of_the_sum() {
        let mut counts = Counts {
            reduced: 1,
            written: 2,
            older: 4,
            equal: 8,
            merged: 16,
            null_key: 32,
            null_time: 64,
            future: 128,
            outside_interval: 256,
            replaced_foreign: 10_000,
            ..Counts::default()
        };
        counts.reject(RejectReason::RowTooLarge, || Example { key: "k".into(), why: "w".into() });
        assert_eq!(counts.accounted(), 512);
        assert_eq!(counts.bad_rows(), 33);
        let mut twice = counts.clone();
        twice.add(&counts);
        assert_eq!(twice.accounted(), 1024);
    }

    #[test]
    fn only_the_first_examples_are_kept_and_long_ones_are_cut() {
        let mut counts = Counts::default();
        for number in 0..10 {
            counts.reject(RejectReason::KeyTooLong, || Example { key: "é".repeat(5_000), why: number.to_string() });
        }
        let rejected = &counts.rejected[&RejectReason::KeyTooLong];
        assert_eq!((rejected.rows, rejected.examples.len()), (10, 3));
        assert_eq!(rejected.examples[0].key.chars().count(), EXAMPLE_CHARS + 3);
        assert_eq!(rejected.examples[2].why, "2");
    }

    #[test]
    fn counts_survive_the_ledger() {
        let mut counts = Counts { read: 3, null_key: 1, ..Counts::default() };
        counts.reject(RejectReason::WrongType, || Example { key: "a".into(), why: "b".into() });
        let text = serde_json::to_string(&counts).unwrap();
        assert_eq!(serde_json::from_str::<Counts>(&text).unwrap(), counts);
    }
}
