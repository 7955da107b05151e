//! The three readings of time, injected everywhere: event time, wall time, and the monotonic clock of deadlines.
//!
//! Nothing below the binary reads the system's clock. `--as-of` moves only [`Clock::event_now`].

use std::time::Duration;

use crate::Micros;

/// The one source of time. Implementations are cheap: a reading is at most one system call.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now, for ttl, visibility and the default ends of intervals; moved by `--as-of`.
    fn event_now(&self) -> Micros;
    /// Now, for ledgers, audit, tickets and logs; never moved.
    fn wall_now(&self) -> Micros;
    /// Time since an arbitrary start, never going back: for deadlines and latencies.
    fn monotonic(&self) -> Monotonic;
}

/// A reading of [`Clock::monotonic`]. Only differences mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// Time passed since `earlier`, zero if it is later.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The reading of the monotonic clock at which a call's time is over. A value handed down through every stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Monotonic);

impl Deadline {
    /// No deadline: batch jobs.
    pub const NEVER: Self = Self(Monotonic(Duration::MAX));

    /// `budget` from `now` on.
    pub const fn after(now: Monotonic, budget: Duration) -> Self {
        Self(Monotonic(now.0.saturating_add(budget)))
    }

    /// What is left at `now`; zero when it is over.
    pub const fn left(self, now: Monotonic) -> Duration {
        self.0.0.saturating_sub(now.0)
    }

    /// Whether it is over at `now`.
    pub fn is_over(self, now: Monotonic) -> bool {
        now >= self.0
    }

    /// The earlier of two deadlines.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        self.min(other)
    }
}

/// A clock that stands still until a test moves it.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
pub struct ManualClock {
    event_us: std::sync::atomic::AtomicI64,
    monotonic_us: std::sync::atomic::AtomicU64,
}

#[cfg(any(test, feature = "testing"))]
impl ManualClock {
    /// Event and wall time stand at `now`, the monotonic clock at zero.
    pub fn at(now: Micros) -> Self {
        Self { event_us: now.0.into(), monotonic_us: 0.into() }
    }

    /// Moves all three readings on.
    pub fn advance(&self, by: Duration) {
        let us = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.event_us.fetch_add(i64::try_from(us).unwrap_or(i64::MAX), std::sync::atomic::Ordering::SeqCst);
        self.monotonic_us.fetch_add(us, std::sync::atomic::Ordering::SeqCst);
    }

    /// Sets event and wall time.
    pub fn set(&self, now: Micros) {
        self.event_us.store(now.0, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "testing"))]
impl Clock for ManualClock {
    fn event_now(&self) -> Micros {
        Micros(self.event_us.load(std::sync::atomic::Ordering::SeqCst))
    }
    fn wall_now(&self) -> Micros {
        self.event_now()
    }
    fn monotonic(&self) -> Monotonic {
        Monotonic(Duration::from_micros(self.monotonic_us.load(std::sync::atomic::Ordering::SeqCst)))
    }
}
