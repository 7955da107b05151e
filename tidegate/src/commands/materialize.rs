//! `materialize`: the request and the progress line; what a report looks like stands in `materialized`.

use std::sync::atomic::{AtomicI64, Ordering};

use tidegate_catalog::{Clock, Micros};
use tidegate_materializer::{Config, Parts, Phase, Progress, Rebuild, Report, Request, Step, ViewOutcome};
use tokio_util::sync::CancellationToken;

pub(super) use super::materialized::text;
use super::{catalog::Done, exit};
use crate::{clock::SystemClock, instance::Instance, output::Printer};

/// Microseconds between two log lines about one run.
const LOG_EVERY_US: i64 = 5_000_000;

pub(super) fn request(views: &[String], start: Option<Micros>, end: Option<Micros>, rebuild: bool) -> Request {
    let rebuild = if rebuild { Rebuild::NewGeneration } else { Rebuild::No };
    Request { views: views.to_vec(), start, end, rebuild }
}

/// `tidegate materialize`
pub(super) async fn materialize(
    instance: &Instance,
    printer: &Printer,
    cancel: &CancellationToken,
    request: &Request,
) -> Done {
    let report = run(instance, printer, cancel, request).await?;
    printer.result(&report, text).await;
    Ok(code(&report))
}

/// Materializes, showing progress, without printing the result.
pub(super) async fn run(
    instance: &Instance,
    printer: &Printer,
    cancel: &CancellationToken,
    request: &Request,
) -> Result<Report, tidegate_materializer::Error> {
    let progress = Shown { printer, clock: &instance.clock, logged: AtomicI64::new(0) };
    let config = config(instance);
    let parts = Parts {
        store: &instance.store,
        rows: &instance.engine,
        registry: &instance.registry,
        clock: instance.clock.as_ref(),
        progress: &progress,
        config: &config,
    };
    let report = tidegate_materializer::materialize(request, &parts, cancel).await;
    printer.progress(String::new());
    report
}

pub(super) fn config(instance: &Instance) -> Config {
    let section = instance.project.config.materializer;
    let mut config = Config::new(instance.project.config.state.join("spill"));
    config.memory_bytes = section.memory_bytes;
    config.batch_rows = section.batch_rows;
    config.batches_in_flight = section.batches_in_flight;
    config.error_budget_rows = section.error_budget_rows;
    config
}

fn code(report: &Report) -> u8 {
    if report.views.iter().any(|view| view.outcome == ViewOutcome::Interrupted) {
        exit::INTERRUPTED
    } else if report.is_complete() {
        exit::DONE
    } else {
        exit::FAILED
    }
}

/// A line that is rewritten on a terminal, and a log line every few seconds for everybody else.
struct Shown<'a> {
    printer: &'a Printer,
    clock: &'a SystemClock,
    logged: AtomicI64,
}

impl Progress for Shown<'_> {
    fn report(&self, view: &str, step: &Step) {
        let now = self.clock.wall_now().0;
        let line = line(view, step);
        let last = self.logged.load(Ordering::Relaxed);
        if now.saturating_sub(last) >= LOG_EVERY_US && self.logged.swap(now, Ordering::Relaxed) == last && last != 0 {
            tracing::info!(
                view,
                read_rows = step.read_rows,
                acknowledged_rows = step.acknowledged_rows,
                "materializing"
            );
        } else if last == 0 {
            self.logged.store(now, Ordering::Relaxed);
        }
        self.printer.progress(line);
    }
}

fn line(view: &str, step: &Step) -> String {
    let seconds = step.elapsed.as_secs_f64().max(0.001);
    let (what, rows) = match step.phase {
        Phase::Reading => ("reading", step.read_rows),
        Phase::Writing => ("writing", step.acknowledged_rows),
        Phase::Done => ("done", step.read_rows),
    };
    let rate = rows as f64 / seconds;
    let bar = match step.total_rows {
        Some(total) if total > 0 && step.phase == Phase::Reading => {
            let done = (step.read_rows as f64 / total as f64).min(1.0);
            let filled = "#".repeat((done * 20.0) as usize);
            let left = (total.saturating_sub(step.read_rows)) as f64 / rate.max(1.0);
            format!(" [{filled:.<20}] {left:.0} s left")
        }
        _ => String::new(),
    };
    format!("{view}: {what} {rows} rows, {rate:.0} rows/s{bar}")
}
