//! How far a run is, for whoever shows it: a bar on a terminal, a line now and then elsewhere, nothing in tests.

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
    /// Time since this phase began; of a run that is over, since it began.
    pub elapsed: Duration,
}

impl Step {
    /// The rows that this phase is about: those read, while it reads, else those acknowledged.
    pub const fn rows(&self) -> u64 {
        match self.phase {
            Phase::Reading | Phase::Done => self.read_rows,
            Phase::Writing => self.acknowledged_rows,
        }
    }

    /// How many of them a second, since the phase began.
    pub fn rows_per_second(&self) -> f64 {
        self.rows() as f64 / self.elapsed.as_secs_f64().max(0.001)
    }

    /// How long reading will go on at this pace, where it is known how many rows will come.
    pub fn left(&self) -> Option<Duration> {
        let total_rows = self.total_rows.filter(|_| self.phase == Phase::Reading)?;
        let seconds = total_rows.saturating_sub(self.read_rows) as f64 / self.rows_per_second().max(1.0);
        Duration::try_from_secs_f64(seconds).ok()
    }
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

impl Phase {
    /// The name in lines for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Writing => "writing",
            Self::Done => "done",
        }
    }
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _view: &str, _step: &Step) {}
}
