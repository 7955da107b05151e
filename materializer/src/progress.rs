//! How far a run is, for whoever shows it: a bar on a terminal, a log line elsewhere, nothing in tests.

use std::time::Duration;

/// Is told how a run goes on, about once a batch; must return at once.
pub trait Progress: Send + Sync {
    /// `view` is at `step`.
    fn report(&self, view: &str, step: &Step);

    /// Something to know about the run of `view` that is no error, said once. Passed over by who only counts.
    fn remark(&self, _view: &str, _words: &str) {}
}

/// Where a view's run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What it does now.
    pub phase: Phase,
    /// Rows that the view has yielded.
    pub read_rows: u64,
    /// How many it will yield, where the sources say so.
    pub total_rows: Option<u64>,
    /// Rows that the store has acknowledged, whatever the outcome.
    pub acknowledged_rows: u64,
    /// Time since the view's run began.
    pub elapsed: Duration,
}

/// What a run does. Reading and reducing come first, then writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Rows are read and reduced to one a key.
    #[default]
    Reading,
    /// Winners are put into the store.
    Writing,
    /// It is over.
    Done,
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _view: &str, _step: &Step) {}
}
