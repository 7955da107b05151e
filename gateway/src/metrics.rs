//! The gateway's metrics: typed handles, resolved when the gateway or a snapshot is made; the page that renders all.

use std::sync::Arc;

use metrics::{
    Counter, Gauge, Histogram, Recorder, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tidegate_catalog::ErrorCode;

use crate::{http::route::ROUTES, timings::Timings};

/// Bounds of every histogram of seconds: 10 us to 10 s in steps of 1, 2, 5.
#[rustfmt::skip]
pub const SECONDS_BUCKETS: [f64; 19] = [
    0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01,
    0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// Bounds of every histogram of rows: powers of two.
pub const ROWS_BUCKETS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];

/// Most endpoints that have label values of their own; the rest share `other`.
const LABELLED_ENDPOINTS: usize = 200;

/// The metrics of the process, rendered as Prometheus text.
#[derive(Clone)]
pub struct MetricsPage {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl std::fmt::Debug for MetricsPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsPage").finish_non_exhaustive()
    }
}

impl MetricsPage {
    /// An empty page with [`SECONDS_BUCKETS`], and [`ROWS_BUCKETS`] for what ends in `_rows`.
    /// # Errors
    /// None of ours: the builder refuses empty buckets only.
    pub fn new() -> Result<Self, BuildError> {
        let builder = PrometheusBuilder::new().set_buckets(&SECONDS_BUCKETS)?;
        let rows = Matcher::Suffix("_rows".to_owned());
        let recorder = builder.set_buckets_for_metric(rows, &ROWS_BUCKETS)?.build_recorder();
        let handle = recorder.handle();
        Ok(Self { recorder: Arc::new(recorder), handle })
    }

    /// What the binary installs as the process's recorder, so that other crates' metrics stand on this page too.
    pub fn recorder(&self) -> Arc<PrometheusRecorder> {
        Arc::clone(&self.recorder)
    }

    /// The page.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds recorded samples into their buckets; the gateway calls it every few seconds.
    pub(crate) fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Runs `register` with this page as the recorder: what it resolves stands here even where another one is the process's.
    pub fn with<T>(&self, register: impl FnOnce() -> T) -> T {
        let recorder: &dyn Recorder = &*self.recorder;
        metrics::with_local_recorder(recorder, register)
    }
}

/// Handles that live as long as the gateway.
pub(crate) struct GatewayMetrics {
    /// Calls by route and code; `OK` stands first.
    requests: Vec<[Counter; ErrorCode::ALL.len() + 1]>,
    /// Calls being answered.
    pub(crate) in_flight: Gauge,
    /// Accepts that failed.
    pub(crate) accept_errors: Counter,
    /// Cells that held bytes which are no row of theirs.
    pub(crate) foreign_cells: Counter,
    /// Cells that the store did not answer.
    pub(crate) unanswered_cells: Counter,
    /// Answers in which a value stands in for one that the store did not answer.
    pub(crate) degraded: Counter,
    /// The catalog version that serves.
    pub(crate) catalog_version: Gauge,
    /// Catalog versions that could not be loaded.
    pub(crate) catalog_refused: Counter,
    /// Calls of the Feast face, stage by stage.
    pub(crate) online_features: StageMetrics,
}

/// Handles of one endpoint's stages.
pub(crate) struct StageMetrics {
    stages: [Histogram; 5],
}

impl GatewayMetrics {
    pub(crate) fn register(page: &MetricsPage) -> Self {
        page.with(|| {
            describe();
            let requests = ROUTES.iter().map(|route| {
                std::array::from_fn(|index| {
                    let code = index.checked_sub(1).and_then(|index| ErrorCode::ALL.get(index));
                    let code = code.map_or("OK", |code| code.as_str());
                    counter!("tidegate_gateway_requests_total", "route" => route.path, "code" => code)
                })
            });
            Self {
                requests: requests.collect(),
                in_flight: gauge!("tidegate_gateway_in_flight_requests"),
                accept_errors: counter!("tidegate_gateway_accept_errors_total"),
                foreign_cells: counter!("tidegate_gateway_failed_cells_total", "reason" => "not_its_row"),
                unanswered_cells: counter!("tidegate_gateway_failed_cells_total", "reason" => "unanswered"),
                degraded: counter!("tidegate_gateway_degraded_responses_total"),
                catalog_version: gauge!("tidegate_gateway_catalog_version"),
                catalog_refused: counter!("tidegate_gateway_catalog_refused_total"),
                online_features: StageMetrics::here("get-online-features".to_owned()),
            }
        })
    }

    /// Counts one call.
    pub(crate) fn count(&self, route: &'static crate::http::route::Route, code: Option<ErrorCode>) {
        let at = ROUTES.iter().position(|known| std::ptr::eq(known, route)).unwrap_or(0);
        let code = code.map_or(0, |code| ErrorCode::ALL.iter().position(|known| *known == code).map_or(0, |at| at + 1));
        if let Some(counter) = self.requests.get(at).and_then(|codes| codes.get(code)) {
            counter.increment(1);
        }
    }
}

impl StageMetrics {
    /// The handles of the endpoint that stands at `index` of its catalog.
    pub(crate) fn of_endpoint(page: &MetricsPage, index: usize, endpoint: &str) -> Self {
        let label = if index < LABELLED_ENDPOINTS { endpoint } else { "other" };
        page.with(|| Self::here(label.to_owned()))
    }

    fn here(endpoint: String) -> Self {
        let stage = |stage: &'static str| histogram!("tidegate_gateway_stage_seconds", "stage" => stage, "endpoint" => endpoint.clone());
        Self { stages: [stage("parse"), stage("features"), stage("queue"), stage("run"), stage("respond")] }
    }

    /// Records one call's stages.
    pub(crate) fn record(&self, timings: &Timings) {
        let Timings { parse, features, queue, run, respond } = *timings;
        for (histogram, passed) in self.stages.iter().zip([parse, features, queue, run, respond]) {
            histogram.record(passed);
        }
    }
}

impl std::fmt::Debug for GatewayMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayMetrics").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for StageMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StageMetrics").finish_non_exhaustive()
    }
}

fn describe() {
    describe_counter!("tidegate_gateway_requests_total", "Calls answered, by route and code.");
    describe_gauge!("tidegate_gateway_in_flight_requests", "Calls being answered.");
    describe_counter!("tidegate_gateway_accept_errors_total", "Connections that could not be accepted.");
    describe_counter!(
        "tidegate_gateway_failed_cells_total",
        "Cells that the store did not answer or that held no row of theirs."
    );
    describe_counter!(
        "tidegate_gateway_degraded_responses_total",
        "Answers with a value that stands in for the store's."
    );
    describe_gauge!("tidegate_gateway_catalog_version", "The catalog version that serves; 0 before the first.");
    describe_counter!("tidegate_gateway_catalog_refused_total", "Catalog versions that could not be loaded.");
    describe_histogram!("tidegate_gateway_stage_seconds", "Time of one call in each stage, by endpoint.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_of_rows_has_buckets_of_rows_and_one_of_seconds_keeps_its_own() {
        let page = MetricsPage::new().unwrap();
        page.with(|| {
            histogram!("tidegate_inference_run_rows").record(48.0);
            histogram!("tidegate_inference_run_seconds").record(0.000_3);
        });
        let text = page.render();
        for line in [
            "tidegate_inference_run_rows_bucket{le=\"32\"} 0",
            "tidegate_inference_run_rows_bucket{le=\"64\"} 1",
            "tidegate_inference_run_seconds_bucket{le=\"0.0002\"} 0",
            "tidegate_inference_run_seconds_bucket{le=\"0.0005\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
