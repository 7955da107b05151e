//! The metrics of models: handles resolved when a model starts.
//!
//! The label `model` is the file's stem: as many values as there are model files in the catalog.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// The handles of one model.
#[derive(Clone)]
pub(crate) struct ModelMetrics {
    /// Time that requests waited in the queue.
    pub(crate) queue_seconds: Histogram,
    /// Time of one request's runs.
    pub(crate) run_seconds: Histogram,
    /// Rows of one run.
    pub(crate) run_rows: Histogram,
    /// Requests that wait.
    pub(crate) queued: Gauge,
    /// Replicas that have a warm session.
    pub(crate) ready_replicas: Gauge,
    /// Sessions made anew after a run that failed.
    pub(crate) sessions_replaced: Counter,
    /// Requests by what became of them.
    pub(crate) answered: Counter,
    /// Refused because the queue was full.
    pub(crate) shed: Counter,
    /// Not run because their deadline had passed.
    pub(crate) late: Counter,
    /// Not run because their caller had gone.
    pub(crate) cancelled: Counter,
    /// Failed in the model.
    pub(crate) failed: Counter,
}

impl std::fmt::Debug for ModelMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelMetrics").finish_non_exhaustive()
    }
}

impl ModelMetrics {
    pub(crate) fn of(model: &str) -> Self {
        describe();
        let name = || model.to_owned();
        let outcome = |outcome: &'static str| counter!("tidegate_inference_requests_total", "model" => name(), "outcome" => outcome);
        Self {
            queue_seconds: histogram!("tidegate_inference_queue_seconds", "model" => name()),
            run_seconds: histogram!("tidegate_inference_run_seconds", "model" => name()),
            run_rows: histogram!("tidegate_inference_run_rows", "model" => name()),
            queued: gauge!("tidegate_inference_queued_requests", "model" => name()),
            ready_replicas: gauge!("tidegate_inference_ready_replicas", "model" => name()),
            sessions_replaced: counter!("tidegate_inference_sessions_replaced_total", "model" => name()),
            answered: outcome("answered"),
            shed: outcome("shed"),
            late: outcome("late"),
            cancelled: outcome("cancelled"),
            failed: outcome("failed"),
        }
    }

    pub(crate) fn ran(&self, queued: Duration, ran: Duration) {
        self.queue_seconds.record(queued);
        self.run_seconds.record(ran);
        self.answered.increment(1);
    }
}

fn describe() {
    describe_histogram!("tidegate_inference_queue_seconds", "Time that a request waited in its model's queue");
    describe_histogram!("tidegate_inference_run_seconds", "Time that the runs of one request took");
    describe_histogram!("tidegate_inference_run_rows", "Rows of one run");
    describe_gauge!("tidegate_inference_queued_requests", "Requests that wait in the model's queue");
    describe_gauge!("tidegate_inference_ready_replicas", "Replicas of the model that have a warm session");
    describe_counter!("tidegate_inference_sessions_replaced_total", "Sessions made anew after a run that failed");
    describe_counter!(
        "tidegate_inference_requests_total",
        "Requests by what became of them: answered, shed, late, cancelled, failed"
    );
}
