//! The materializer's metrics, as handles made once a run. Labels are views, bounded by the catalog.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::{Counts, counts::RejectReason};

const IN_FLIGHT: &str = "tidegate_materializer_batches_in_flight";
const ROWS: &str = "tidegate_materializer_rows_total";
const RETRIES: &str = "tidegate_materializer_retries_total";

/// Handles of one view's run.
pub(crate) struct RunMetrics {
    /// Batches sent to the store and not yet answered.
    pub(crate) in_flight: Gauge,
    /// Batches sent again because the store did not answer.
    pub(crate) retries: Counter,
    view: String,
}

/// Gives every metric its help text; once at start.
pub fn describe() {
    describe_gauge!(IN_FLIGHT, "Batches sent to the online store and not yet answered");
    describe_counter!(ROWS, "Rows of finished runs by view and outcome");
    describe_counter!(RETRIES, "Batches sent again because the online store did not answer");
}

impl RunMetrics {
    pub(crate) fn of(view: &str) -> Self {
        Self {
            in_flight: gauge!(IN_FLIGHT, "view" => view.to_owned()),
            retries: counter!(RETRIES, "view" => view.to_owned()),
            view: view.to_owned(),
        }
    }

    /// Adds a finished run's rows.
    pub(crate) fn finished(&self, counts: &Counts) {
        let fixed = [
            ("reduced", counts.reduced),
            ("written", counts.written),
            ("older", counts.older),
            ("equal", counts.equal),
            ("merged", counts.merged),
            ("null_key", counts.null_key),
            ("null_time", counts.null_time),
            ("future", counts.future),
            ("outside_interval", counts.outside_interval),
        ];
        let rejected = counts.rejected.iter().map(|(reason, rejected)| (RejectReason::as_str(*reason), rejected.rows));
        for (outcome, rows) in fixed.into_iter().chain(rejected) {
            counter!(ROWS, "view" => self.view.clone(), "outcome" => outcome).increment(rows);
        }
    }
}
