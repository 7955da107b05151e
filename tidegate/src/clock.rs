//! The system's clock behind `catalog::Clock`: the only place that reads it. `--as-of` moves event time alone.
#![expect(clippy::disallowed_methods, reason = "this is the place the ban points to")]

use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tidegate_catalog::{Clock, Micros, Monotonic};

/// Reads the machine's clocks. Under `--as-of T` event time stands at T until [`SystemClock::run_on`].
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    as_of: Option<Micros>,
    running_since: OnceLock<Monotonic>,
}

impl SystemClock {
    /// The clock of a process, with event time at `as_of` if one is given.
    pub fn new(as_of: Option<Micros>) -> Self {
        Self { started: Instant::now(), as_of, running_since: OnceLock::new() }
    }

    /// The `--as-of` of this process.
    pub const fn as_of(&self) -> Option<Micros> {
        self.as_of
    }

    /// A server is ready: from now on event time moves, starting from `--as-of`.
    pub fn run_on(&self) {
        self.running_since.get_or_init(|| Monotonic(self.started.elapsed()));
    }
}

impl Clock for SystemClock {
    fn event_now(&self) -> Micros {
        let Some(as_of) = self.as_of else { return self.wall_now() };
        match self.running_since.get() {
            None => as_of,
            Some(since) => as_of.saturating_add(micros(self.monotonic().since(*since))),
        }
    }

    fn wall_now(&self) -> Micros {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Micros(micros(since)),
            Err(before) => Micros(-micros(before.duration())),
        }
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.started.elapsed())
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_time_stands_at_as_of_until_the_server_is_ready() {
        let at = Micros::parse("2013-11-15T12:00:00Z").unwrap();
        let clock = SystemClock::new(Some(at));
        assert_eq!(clock.event_now(), at);
        assert!(clock.wall_now() > at, "wall time is never moved");
        clock.run_on();
        let first = clock.event_now();
        assert!(first >= at && first < at.saturating_add(3_600_000_000));
    }
}
