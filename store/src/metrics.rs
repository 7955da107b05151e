//! What a store reports: handles resolved once, recorded by [`crate::Timed`].

use metrics::{Counter, Gauge, Histogram};

use crate::{BackendKind, PutOutcome};

/// The metrics of one store.
#[derive(Clone)]
pub(crate) struct StoreMetrics {
    pub(crate) read_seconds: Histogram,
    pub(crate) put_seconds: Histogram,
    pub(crate) puts_in_flight: Gauge,
    pub(crate) failures: Counter,
    written: Counter,
    older: Counter,
    equal: Counter,
    merged: Counter,
    rejected: Counter,
    foreign: Counter,
}

impl StoreMetrics {
    pub(crate) fn new(backend: BackendKind) -> Self {
        let backend = match backend {
            BackendKind::Embedded => "embedded",
            BackendKind::Redis => "redis",
        };
        metrics::describe_histogram!(
            "tidegate_store_read_seconds",
            "Time of one read of the online store, answer included"
        );
        metrics::describe_histogram!("tidegate_store_put_seconds", "Time of one batch of puts into the online store");
        metrics::describe_gauge!("tidegate_store_puts_in_flight", "Batches of puts that wait for the online store");
        metrics::describe_counter!("tidegate_store_failures_total", "Calls to the online store that failed as a whole");
        metrics::describe_counter!("tidegate_store_rows_total", "Rows put into the online store, by outcome");
        metrics::describe_counter!(
            "tidegate_store_foreign_rows_replaced_total",
            "Stored rows of another entity or layout that a put replaced"
        );
        let rows = |outcome: &'static str| metrics::counter!("tidegate_store_rows_total", "backend" => backend, "outcome" => outcome);
        Self {
            read_seconds: metrics::histogram!("tidegate_store_read_seconds", "backend" => backend),
            put_seconds: metrics::histogram!("tidegate_store_put_seconds", "backend" => backend),
            puts_in_flight: metrics::gauge!("tidegate_store_puts_in_flight", "backend" => backend),
            failures: metrics::counter!("tidegate_store_failures_total", "backend" => backend),
            written: rows("written"),
            older: rows("older"),
            equal: rows("equal"),
            merged: rows("merged"),
            rejected: rows("rejected"),
            foreign: metrics::counter!("tidegate_store_foreign_rows_replaced_total", "backend" => backend),
        }
    }

    pub(crate) fn count(&self, outcomes: &[PutOutcome]) {
        for outcome in outcomes {
            match outcome {
                PutOutcome::Written => self.written.increment(1),
                PutOutcome::WrittenOverForeign => {
                    self.written.increment(1);
                    self.foreign.increment(1);
                }
                PutOutcome::Older => self.older.increment(1),
                PutOutcome::Equal => self.equal.increment(1),
                PutOutcome::Merged => self.merged.increment(1),
                PutOutcome::Rejected(_) => self.rejected.increment(1),
            }
        }
    }
}
