//! Logs on standard error and the metrics recorder: set up once, before anything else runs.

use std::io::IsTerminal;

use tidegate_gateway::MetricsPage;
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSection};

/// Why logs or metrics cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TelemetryError {
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
pub(crate) fn start_logs(section: &LogSection, default_level: &str) -> Result<(), TelemetryError> {
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

/// Makes the metrics page this process's recorder; `/metrics` renders it.
/// # Errors
/// [`TelemetryError::Twice`] when there is one.
pub(crate) fn start_metrics() -> Result<MetricsPage, TelemetryError> {
    let page = MetricsPage::new().map_err(|error| TelemetryError::Twice(error.to_string()))?;
    metrics::set_global_recorder(page.recorder()).map_err(|error| TelemetryError::Twice(error.to_string()))?;
    Ok(page)
}
