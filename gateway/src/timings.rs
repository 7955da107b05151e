//! Where a call's time went: one value per call, recorded once, at its end.

use std::time::Duration;

use tidegate_catalog::{Clock, Monotonic};

/// The stages of a call, in order. Those that a face does not have stay zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timings {
    /// Body understood, columns bound, keys encoded; not the wait for its bytes.
    pub(crate) parse: Duration,
    /// The store's round trip and the judging of its cells.
    pub(crate) features: Duration,
    /// In the model's queue.
    pub(crate) queue: Duration,
    /// In the model.
    pub(crate) run: Duration,
    /// Writing the answer.
    pub(crate) respond: Duration,
}

/// Reads the monotonic clock at the end of each stage.
#[derive(Debug)]
pub(crate) struct Stopwatch<'c> {
    clock: &'c dyn Clock,
    last: Monotonic,
}

impl<'c> Stopwatch<'c> {
    pub(crate) fn start(clock: &'c dyn Clock) -> Self {
        Self { clock, last: clock.monotonic() }
    }

    /// The time since the last lap.
    pub(crate) fn lap(&mut self) -> Duration {
        let now = self.clock.monotonic();
        let passed = now.since(self.last);
        self.last = now;
        passed
    }
}
