//! `materialize`: the request, the progress line, the table.

use std::sync::atomic::{AtomicI64, Ordering};

use tidegate_catalog::{Clock, Micros};
use tidegate_materializer::{
    Config, Counts, Parts, Phase, Progress, Rebuild, Report, Request, Step, ViewOutcome, ViewReport,
};
use tokio_util::sync::CancellationToken;

use super::{catalog::Done, exit};
use crate::{
    clock::SystemClock,
    instance::Instance,
    output::{Printer, table},
};

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

/// The exit code that says how it went.
pub(super) fn code(report: &Report) -> u8 {
    if report.views.iter().any(|view| view.outcome == ViewOutcome::Interrupted) {
        exit::INTERRUPTED
    } else if report.is_complete() {
        exit::DONE
    } else {
        exit::FAILED
    }
}

/// The table: one row a view, then what was rejected and why.
pub(super) fn text(report: &Report) -> String {
    let rows = report.views.iter().map(|view| {
        let c = &view.counts;
        let numbers = [c.read, c.reduced, c.written, c.older, c.equal, c.merged, c.null_key, c.null_time, c.future];
        let numbers = numbers.map(|n| n.to_string());
        let [read, reduced, written, older, equal, merged, null_key, null_time, future] = numbers;
        let outside = c.outside_interval.to_string();
        let rejected = c.rejected_rows().to_string();
        let state = outcome(view);
        [
            view.view.clone(),
            read,
            reduced,
            written,
            older,
            equal,
            merged,
            null_key,
            null_time,
            future,
            outside,
            rejected,
            state,
        ]
    });
    let headings = [
        "view",
        "read",
        "reduced",
        "written",
        "older",
        "equal",
        "merged",
        "null key",
        "null time",
        "future",
        "outside",
        "rejected",
        "",
    ];
    let mut text = table(headings, rows);
    for view in &report.views {
        text.push_str(&examples(&view.view, &view.counts));
        if view.not_reproducible {
            text.push_str(&format!(
                "\n{}: not reproducible: the same files gave other values at equal times; what depends on the order of rows?",
                view.view
            ));
        }
    }
    if report.is_no_op() {
        text.push_str("\nnothing changed: the store held every row already");
    }
    if let Some(version) = report.moved_to_version {
        text.push_str(&format!("\nreaders moved to version {version}"));
    }
    text
}

fn outcome(view: &ViewReport) -> String {
    match &view.outcome {
        ViewOutcome::Acknowledged => format!("{} ms", view.elapsed_ms),
        ViewOutcome::NothingToDo => "up to date".to_owned(),
        ViewOutcome::Failed { message, .. } => format!("FAILED: {message}"),
        ViewOutcome::Interrupted => "interrupted".to_owned(),
    }
}

fn examples(view: &str, counts: &Counts) -> String {
    let mut text = String::new();
    for (reason, rejected) in &counts.rejected {
        text.push_str(&format!("\n{view}: {} rows rejected: {}", rejected.rows, reason.as_str()));
        for example in &rejected.examples {
            text.push_str(&format!("\n  {}: {}", example.key, example.why));
        }
    }
    text
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
