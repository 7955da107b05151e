//! The clock of the benches: the system's.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidegate_catalog::{Clock, Micros, Monotonic};

/// The system's clock, its monotonic reading counted from its making.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that starts now.
    pub fn started() -> Self {
        Self { start: now() }
    }
}

/// A reading of the system's monotonic clock.
#[expect(clippy::disallowed_methods, reason = "a bench measures time: this is its one stopwatch")]
pub fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the gateway under test runs on the system's wall clock")]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Clock for SystemClock {
    fn event_now(&self) -> Micros {
        self.wall_now()
    }

    fn wall_now(&self) -> Micros {
        Micros(i64::try_from(since_1970().as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(now().duration_since(self.start))
    }
}
