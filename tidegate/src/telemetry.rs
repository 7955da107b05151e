//! Logs on standard error and the metrics recorder: set up once, before anything else runs.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSection};

/// Upper bounds of every latency histogram: 10 us to 10 s in 1-2-5 steps.
pub const LATENCY_BUCKETS_SECONDS: [f64; 19] = [
    0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0,
    2.0, 5.0, 10.0,
];

/// Why logs or metrics cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log.level {level:?}: {reason}; write it like info or info,tidegate_store=debug")]
    Filter {
        /// What was written.
        level: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something else in this process has set one up already.
    #[error("telemetry is set up twice in one process: {0}")]
    Twice(String),
}

/// Starts logs at `section.level`, or at `default_level` when the configuration names none.
/// # Errors
/// [`TelemetryError`] for a filter that cannot be read.
pub fn start_logs(section: &LogSection, default_level: &str) -> Result<(), TelemetryError> {
    let level = section.level.as_deref().unwrap_or(default_level);
    let filter = EnvFilter::try_new(level)
        .map_err(|error| TelemetryError::Filter { level: level.to_owned(), reason: error.to_string() })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match section.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| TelemetryError::Twice(error.to_string()))
}

/// Installs the metrics recorder of this process; `/metrics` renders from the handle.
/// # Errors
/// [`TelemetryError::Twice`] when there is one.
pub fn start_metrics() -> Result<PrometheusHandle, TelemetryError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS_SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| TelemetryError::Twice(error.to_string()))
}
