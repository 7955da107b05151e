//! How far a run is, for whoever shows it: a bar on a terminal, a log line elsewhere, nothing in tests.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tidegate_catalog::Clock;

/// Is told how a run goes on, about once a batch; must return at once.
pub trait Progress: Send + Sync {
    /// `view` is at `step`.
    fn report(&self, view: &str, step: &Step);
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

impl Step {
    /// The rows that this phase is about: those read, while it reads, else those acknowledged.
    pub const fn rows(&self) -> u64 {
        match self.phase {
            Phase::Reading | Phase::Done => self.read_rows,
            Phase::Writing => self.acknowledged_rows,
        }
    }

    /// How many of them a second, since the run began.
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
    /// The name in log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Writing => "writing",
            Self::Done => "done",
        }
    }
}

/// Writes a log line every so often, for whoever has no terminal to look at, and tells another everything.
#[derive(Debug)]
pub struct Logged<'a, P> {
    told: &'a P,
    clock: &'a dyn Clock,
    every_us: u64,
    /// The monotonic reading of the last line, or of the first report.
    last_us: AtomicU64,
}

/// No report has come yet.
const NEVER: u64 = u64::MAX;

impl<'a, P: Progress> Logged<'a, P> {
    /// A line `every` so often at most; the first comes that long after the first report.
    pub fn new(told: &'a P, clock: &'a dyn Clock, every: Duration) -> Self {
        Self { told, clock, every_us: every.as_micros() as u64, last_us: NEVER.into() }
    }

    /// Whether it is time for a line; of callers at one time only one is told so.
    fn is_due(&self) -> bool {
        let now = self.clock.monotonic().0.as_micros() as u64;
        let last = self.last_us.load(Ordering::Relaxed);
        let due = last != NEVER && now.saturating_sub(last) >= self.every_us;
        let begins = last == NEVER || due;
        begins && self.last_us.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() && due
    }
}

impl<P: Progress> Progress for Logged<'_, P> {
    fn report(&self, view: &str, step: &Step) {
        if self.is_due() {
            tracing::info!(
                view,
                phase = step.phase.as_str(),
                read_rows = step.read_rows,
                acknowledged_rows = step.acknowledged_rows,
                rows_per_second = step.rows_per_second() as u64,
                seconds_left = step.left().map(|left| left.as_secs()),
                "materializing"
            );
        }
        self.told.report(view, step);
    }
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _view: &str, _step: &Step) {}
}
