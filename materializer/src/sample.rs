//! A sample of keys that does not depend on the order of rows: the keys with the smallest seeded hashes.

use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Grows with the keys it is shown until it has enough; from then on a key enters only by pushing another out, so a key
/// that was left out once never belongs to it later, and one pass over the rows is enough.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    hashes: BTreeSet<u64>,
    keys: usize,
    seed: u64,
}

impl Sample {
    pub(crate) fn new(keys: usize, seed: u64) -> Self {
        Self { hashes: BTreeSet::new(), keys, seed }
    }

    /// Whether `key` belongs to the sample of the keys shown so far, itself included.
    pub(crate) fn admit(&mut self, key: &[u8]) -> bool {
        let hash = xxh3_64_with_seed(key, self.seed);
        if self.hashes.len() >= self.keys && self.hashes.last().is_none_or(|last| hash > *last) {
            return false;
        }
        self.hashes.insert(hash);
        if self.hashes.len() > self.keys {
            self.hashes.pop_last();
        }
        true
    }

    /// Whether `key` would belong to the sample: also asked of keys that were never shown, for a store may hold some.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        let hash = xxh3_64_with_seed(key, self.seed);
        self.hashes.len() < self.keys || self.hashes.last().is_some_and(|last| hash <= *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_the_asked_number_of_keys_and_does_not_depend_on_order() {
        let forwards = (0..1_000_u32).collect::<Vec<_>>();
        let backwards = forwards.iter().rev().copied().collect::<Vec<_>>();
        let chosen = |keys: &[u32], seed| {
            let mut sample = Sample::new(50, seed);
            for _twice in 0..2 {
                for key in keys {
                    sample.admit(&key.to_be_bytes());
                }
            }
            forwards.iter().copied().filter(|key| sample.contains(&key.to_be_bytes())).collect::<Vec<_>>()
        };
        assert_eq!(chosen(&forwards, 1).len(), 50);
        assert_eq!(chosen(&forwards, 1), chosen(&backwards, 1));
        assert_ne!(chosen(&forwards, 1), chosen(&forwards, 2));
    }

    #[test]
    fn a_sample_of_more_keys_than_there_are_holds_all() {
        let mut sample = Sample::new(50, 1);
        assert!(sample.admit(b"a") && sample.contains(b"a") && sample.contains(b"never shown"));
        assert!(!Sample::new(0, 1).admit(b"a"));
    }
}
