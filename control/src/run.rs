//! What the run ledger says about one materialization run of one view. Made by the materializer, stored by the registry.

use serde::{Deserialize, Serialize};
use tidegate_catalog::{FieldNumber, Micros};

use crate::Interval;

/// A run's number in its registry: 1, 2, 3...
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub u64);

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One source file as a run saw it. Two runs over equal lists read the same bytes, as far as the file system tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its path or URL.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
    /// When it was last modified.
    pub modified: Micros,
    /// Its rows, where the file says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// What is known before a run's first write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStart {
    /// The view.
    pub view: String,
    /// The generation that it writes.
    pub field: FieldNumber,
    /// That generation's value fingerprint: the definition's hash as far as values go.
    pub fingerprint: String,
    /// The event times that it covers.
    pub interval: Interval,
    /// The files that it reads.
    pub sources: Vec<SourceFile>,
    /// The snapshot that it works by.
    pub snapshot_version: u64,
    /// The hash of that snapshot's definitions.
    pub definitions_hash: String,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// The store has acknowledged every row: only such runs count for a generation's move.
    Acknowledged,
    /// It gave up.
    Failed {
        /// Why, for the operator.
        error: String,
    },
    /// It was told to stop.
    Interrupted,
}

/// What is known when a run is over.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEnd {
    /// How it ended.
    pub outcome: RunOutcome,
    /// Rows that the view yielded.
    pub rows_read: u64,
    /// Rows that the store took.
    pub rows_written: u64,
    /// What became of every row, in the materializer's own words.
    pub counts: serde_json::Value,
    /// A hash of all rows that were handed to the store, whatever it answered, and whatever their order.
    pub content_hash: Option<String>,
    /// Whether the run itself met other content at equal times.
    pub not_reproducible: bool,
}

/// Where a run is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Begun, not over.
    Running,
    /// Over, every row acknowledged.
    Acknowledged,
    /// Over, with an error.
    Failed,
    /// Over, told to stop.
    Interrupted,
    /// Its process is gone without a word.
    Abandoned,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Running, Self::Acknowledged, Self::Failed, Self::Interrupted, Self::Abandoned];

    /// The name in the ledger, in tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Acknowledged => "acknowledged",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Abandoned => "abandoned",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A run as the ledger has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// What was known at its start.
    #[serde(flatten)]
    pub start: RunStart,
    /// Where it is.
    pub state: RunState,
    /// Wall time of its start.
    pub started_at: Micros,
    /// Wall time of its end; of an acknowledged run, when the store had acknowledged all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Micros>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Rows that the view yielded.
    pub rows_read: u64,
    /// Rows that the store took.
    pub rows_written: u64,
    /// What became of every row; null until the run is over.
    pub counts: serde_json::Value,
    /// The hash of its rows' content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,
    /// Whether the same sources gave other content than before.
    pub not_reproducible: bool,
}

/// Which runs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this view.
    pub view: Option<String>,
    /// Of this generation.
    pub field: Option<FieldNumber>,
    /// In this state.
    pub state: Option<RunState>,
    /// At most so many, the newest.
    pub limit: Option<u32>,
}

/// Whether a view gave the same content whenever it was run again over the same sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reproducibility {
    /// It never ran twice over the same sources and interval.
    Unknown,
    /// Every second run gave the same content.
    NoDifference,
    /// A run gave other content at equal times.
    Differs {
        /// The newest that did.
        run: RunId,
    },
}
