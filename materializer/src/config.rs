//! How a materialization works: memory, batches, retries, budget. Checked by the binary; nothing here re-checks.

use std::{path::PathBuf, time::Duration};

/// The materializer's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bytes that the reduction to one row a key may hold for the views that are written together, all of them; beyond, rows
    /// go through files. Two such groups may be under way. Default 64 MiB.
    pub memory_bytes: usize,
    /// Rows in one call to the store; rows of one key are not parted. Default 100.
    pub batch_rows: usize,
    /// Calls to the store at one time. Default 8.
    pub batches_in_flight: usize,
    /// Bad rows (null key, wrong type, oversize) that a run bears; one more fails it. Default 1000.
    pub error_budget_rows: u64,
    /// Where rows that do not fit into memory go, as files without a name; on a real disk, not in memory.
    pub spill_folder: PathBuf,
    /// How a call that the store did not answer is repeated.
    pub retry: RetryConfig,
}

/// When a failed call to the store is repeated. The wait before repetition n is random between nothing and
/// `first_wait * 2^n`, at most `longest_wait`, so that writers that failed together do not come back together.
#[derive(Clone, Copy, Debug)]
pub struct RetryConfig {
    /// Attempts of one batch before the run fails. Default 8.
    pub attempts: u32,
    /// Repetitions that a run has to begin with; every ten acknowledged batches earn one more. Default 100.
    pub budget: u32,
    /// The bound of the first wait. Default 50 ms.
    pub first_wait: Duration,
    /// The bound of every wait. Default 5 s.
    pub longest_wait: Duration,
}

impl Config {
    /// The defaults, with files in `spill_folder`.
    pub fn new(spill_folder: PathBuf) -> Self {
        Self {
            memory_bytes: 64 * 1024 * 1024,
            batch_rows: 100,
            batches_in_flight: 8,
            error_budget_rows: 1_000,
            spill_folder,
            retry: RetryConfig::default(),
        }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { attempts: 8, budget: 100, first_wait: Duration::from_millis(50), longest_wait: Duration::from_secs(5) }
    }
}
