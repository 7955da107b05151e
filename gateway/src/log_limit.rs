//! Keeps a repeated warning to one line a second, with the number that was held back: an outage must not fill the disk.

use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_catalog::Monotonic;

/// One kind of warning.
#[derive(Debug)]
pub(crate) struct LogLimit {
    /// The second, counted from 1, in which the last line was written; 0 before the first.
    last: AtomicU64,
    held_back: AtomicU64,
}

impl LogLimit {
    pub(crate) const fn new() -> Self {
        Self { last: AtomicU64::new(0), held_back: AtomicU64::new(0) }
    }

    /// Whether to write a line now, and how many were held back since the last one.
    /// # Cost
    /// One atomic load, and one write.
    pub(crate) fn allow(&self, now: Monotonic) -> Option<u64> {
        let second = now.0.as_secs().saturating_add(1);
        let last = self.last.load(Ordering::Relaxed);
        // racing callers of one second: one of them writes
        let first =
            last < second && self.last.compare_exchange(last, second, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if first {
            return Some(self.held_back.swap(0, Ordering::Relaxed));
        }
        self.held_back.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_line_a_second_says_how_many_were_held_back() {
        let limit = LogLimit::new();
        let at = |millis| limit.allow(Monotonic(Duration::from_millis(millis)));
        assert_eq!(
            [at(0), at(10), at(999), at(1_000), at(1_500), at(9_000)],
            [Some(0), None, None, Some(2), None, Some(1)]
        );
    }
}
