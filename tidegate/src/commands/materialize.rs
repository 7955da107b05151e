//! `materialize`: the request, the progress line, the table.

use std::{
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tidegate_catalog::{Clock, Micros, Monotonic};
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

/// Time between two lines about one run where nothing is rewritten.
const TOLD_EVERY: Duration = Duration::from_secs(5);

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
    let pace = Mutex::new(Pace::from(instance.clock.monotonic()));
    let progress = Shown { printer, clock: &instance.clock, pace };
    let config = config(instance);
    let parts = Parts {
        store: &instance.store,
        rows: &instance.engine,
        registry: &instance.registry,
        clock: instance.clock.as_ref(),
        progress: &progress,
        config: &config,
    };
    let report = tokio::select! {
        report = tidegate_materializer::materialize(request, &parts, cancel) => report,
        never = progress.tell() => match never {},
    };
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

/// A line that is rewritten on a terminal, and one every few seconds for everybody else.
struct Shown<'a> {
    printer: &'a Printer,
    clock: &'a SystemClock,
    pace: Mutex<Pace>,
}

/// The last line, and how long a run has been writing.
struct Pace {
    line: String,
    /// The last look at a run that still read: its writing began then.
    read_until: Monotonic,
}

impl Pace {
    fn from(now: Monotonic) -> Self {
        Self { line: "reading, no rows yet".to_owned(), read_until: now }
    }

    /// Takes note of a step and answers its line.
    fn note(&mut self, view: &str, step: &Step, now: Monotonic) -> String {
        if step.phase != Phase::Writing {
            self.read_until = now;
        }
        let took = if step.phase == Phase::Writing { now.since(self.read_until) } else { step.elapsed };
        self.line = line(view, step, took);
        self.line.clone()
    }
}

impl Shown<'_> {
    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says the last line again and again, also while a query yields nothing.
    async fn tell(&self) -> Infallible {
        loop {
            tokio::time::sleep(TOLD_EVERY).await;
            self.printer.tick(self.pace().line.clone());
        }
    }
}

impl Progress for Shown<'_> {
    fn report(&self, view: &str, step: &Step) {
        let line = self.pace().note(view, step, self.clock.monotonic());
        self.printer.progress(line);
    }

    fn remark(&self, view: &str, words: &str) {
        self.printer.remark(format!("{view}: {words}"));
    }
}

/// How far `view` is; `took` is the time that the rows of this phase took.
fn line(view: &str, step: &Step, took: Duration) -> String {
    let seconds = took.as_secs_f64().max(0.001);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    fn step(phase: Phase, read_rows: u64, acknowledged_rows: u64, elapsed: u64) -> Step {
        let elapsed = Duration::from_secs(elapsed);
        Step { phase, read_rows, total_rows: Some(1000), acknowledged_rows, elapsed }
    }

    #[test]
    fn the_rate_of_writing_counts_from_the_start_of_writing() {
        let mut pace = Pace::from(at(0));
        let reading = step(Phase::Reading, 500, 0, 10);
        assert_eq!(pace.note("v", &reading, at(10)), "v: reading 500 rows, 50 rows/s [##########..........] 10 s left");
        let writing = step(Phase::Writing, 1000, 400, 12);
        assert_eq!(pace.note("v", &writing, at(12)), "v: writing 400 rows, 200 rows/s");
    }
}
