//! Request ids and prediction ids: unique in the fleet by a random start, cheap by a counter.

use std::sync::atomic::{AtomicU64, Ordering};

/// Makes 128-bit ids: one random half per process, one counted half, mixed so that neighbours look unlike.
#[derive(Debug)]
pub(crate) struct Ids {
    process: u64,
    next: AtomicU64,
}

/// The id of one call: its own part of all ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallId {
    process: u64,
    call: u64,
}

impl Ids {
    /// `seed` is random per process.
    pub(crate) const fn new(seed: u64) -> Self {
        Self { process: mixed(seed), next: AtomicU64::new(0) }
    }

    /// # Cost
    /// One atomic addition.
    pub(crate) fn call(&self) -> CallId {
        // a call may answer 10,000 rows: each call owns 2^20 ids
        let call = self.next.fetch_add(1 << 20, Ordering::Relaxed);
        CallId { process: self.process, call }
    }
}

impl CallId {
    /// The id of row `row` of this call.
    pub(crate) const fn prediction(self, row: usize) -> u128 {
        let low = mixed((self.call | row as u64).wrapping_add(self.process));
        ((self.process as u128) << 64) | low as u128
    }

    /// The request id where the caller brought none.
    /// # Cost
    /// No allocation.
    pub(crate) fn request(self) -> [u8; 32] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let id = (u128::from(self.process) << 64) | u128::from(mixed(self.call.wrapping_sub(self.process)));
        let mut text = [b'0'; 32];
        for (shift, digit) in (0..32_u32).rev().zip(&mut text) {
            let nibble = (id >> (shift * 4)) & 0xf;
            *digit = DIGITS.get(nibble as usize).copied().unwrap_or(b'0');
        }
        text
    }
}

/// A bijection of 64 bits (the finaliser of splitmix64), so distinct stays distinct.
const fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_of_rows_and_calls_are_distinct() {
        let ids = Ids::new(7);
        let mut seen = HashSet::new();
        for _ in 0..100 {
            let call = ids.call();
            assert!((0..100).all(|row| seen.insert(call.prediction(row))));
        }
        assert_ne!(ids.call().request(), ids.call().request());
    }
}
