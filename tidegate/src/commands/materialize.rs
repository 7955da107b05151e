//! `materialize`: the request and the progress line; what a report looks like stands in `materialized`.

use std::{
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tidegate_catalog::Micros;
use tidegate_materializer::{Config, Parts, Progress, Rebuild, Report, Request, Step, ViewOutcome};
use tokio_util::sync::CancellationToken;

pub(super) use super::materialized::text;
use super::{catalog::Done, exit};
use crate::{instance::Instance, output::Printer};

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
    let progress = Shown { printer, last: Mutex::new("reading, no rows yet".to_owned()) };
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

/// A line that is rewritten on a terminal, and one every few seconds for everybody else.
struct Shown<'a> {
    printer: &'a Printer,
    /// The last line.
    last: Mutex<String>,
}

impl Shown<'_> {
    fn last(&self) -> MutexGuard<'_, String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says the last line again and again, also while a query yields nothing.
    async fn tell(&self) -> Infallible {
        loop {
            tokio::time::sleep(TOLD_EVERY).await;
            self.printer.tick(self.last().clone());
        }
    }
}

impl Progress for Shown<'_> {
    fn report(&self, view: &str, step: &Step) {
        let line = line(view, step);
        self.last().clone_from(&line);
        self.printer.progress(line);
    }

    fn remark(&self, view: &str, words: &str) {
        self.printer.remark(format!("{view}: {words}"));
    }
}

fn line(view: &str, step: &Step) -> String {
    let bar = match (step.total_rows, step.left()) {
        (Some(total), Some(left)) if total > 0 => {
            let done = (step.read_rows as f64 / total as f64).min(1.0);
            let filled = "#".repeat((done * 20.0) as usize);
            format!(" [{filled:.<20}] {:.0} s left", left.as_secs_f64())
        }
        _ => String::new(),
    };
    format!("{view}: {} {} rows, {:.0} rows/s{bar}", step.phase.as_str(), step.rows(), step.rows_per_second())
}

#[cfg(test)]
mod tests {
    use tidegate_materializer::Phase;

    use super::*;

    #[test]
    fn the_line_of_a_terminal_shows_rows_a_second_and_the_time_left_where_it_is_known() {
        let elapsed = Duration::from_secs(4);
        let reading =
            Step { phase: Phase::Reading, read_rows: 400, total_rows: Some(1_000), elapsed, ..Step::default() };
        assert_eq!(line("v", &reading), "v: reading 400 rows, 100 rows/s [########............] 6 s left");
        let unknown = Step { total_rows: None, ..reading };
        assert_eq!(line("v", &unknown), "v: reading 400 rows, 100 rows/s");
        let writing = Step { phase: Phase::Writing, acknowledged_rows: 40, ..reading };
        assert_eq!(line("v", &writing), "v: writing 40 rows, 10 rows/s");
        let over = Step { phase: Phase::Done, read_rows: 1_000, ..reading };
        assert_eq!(line("v", &over), "v: done 1000 rows, 250 rows/s");
        assert_eq!(line("v", &Step::default()), "v: reading 0 rows, 0 rows/s", "before the clock has moved");
    }
}
