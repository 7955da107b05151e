//! One view's run: open, read and reduce, write, and tell the ledger only after the store's last answer.

use futures::StreamExt;
use tidegate_catalog::{Micros, Monotonic, Snapshot};
use tidegate_control::{RunEnd, RunId, RunOutcome, RunStart};
use tidegate_store::OnlineStore;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::{
    Counts, Error, OpenedView, ViewSource,
    materialize::{Parts, PlannedView, ViewOutcome, ViewReport},
    metrics::RunMetrics,
    progress::{Phase, Step},
    put::Pipeline,
    rows::{RowEncoder, Window},
    worker::{Input, Keep, Worker},
};

/// One view's run and all that it needs.
pub(crate) struct ViewRun<'a, S, R> {
    pub(crate) planned: &'a PlannedView<'a>,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) parts: &'a Parts<'a, S, R>,
    /// Event time now, one reading for all views of a call.
    pub(crate) now: Micros,
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) turns: &'a Turns,
}

/// Whose turn it is, of the runs side by side. Neither is ever closed: waiting for one cannot fail.
pub(crate) struct Turns {
    pub(crate) reading: Semaphore,
    pub(crate) writing: Semaphore,
}

/// How far the rows came.
struct Flow {
    counts: Counts,
    content_hash: Result<String, Error>,
}

impl<S: OnlineStore, R: ViewSource> ViewRun<'_, S, R> {
    /// Runs the view and writes the ledger; every failure is in the report.
    pub(crate) async fn run(self) -> ViewReport {
        let turn = self.turns.reading.acquire().await.ok();
        let began = self.parts.clock.monotonic();
        let mut report = ViewReport {
            view: self.planned.view.name.clone(),
            field: self.planned.generation.field,
            interval: self.planned.interval,
            run: None,
            outcome: ViewOutcome::NothingToDo,
            counts: Counts::default(),
            not_reproducible: false,
            readers_wait_for: Vec::new(),
            elapsed_ms: 0,
        };
        if self.cancel.is_cancelled() {
            report.outcome = ViewOutcome::Interrupted;
        } else if !self.planned.interval.is_empty()
            && let Err(error) = self.recorded(&mut report, began, turn).await
        {
            report.outcome = ViewOutcome::of(&error);
        }
        report.elapsed_ms = self.parts.clock.monotonic().since(began).as_millis() as u64;
        self.tell(Phase::Done, &report.counts, None, began);
        report
    }

    /// A run between its two lines of the ledger. An error is one of opening the view or of the ledger itself.
    async fn recorded(
        &self,
        report: &mut ViewReport,
        began: Monotonic,
        turn: Option<SemaphorePermit<'_>>,
    ) -> Result<(), Error> {
        let PlannedView { view, generation, interval } = self.planned;
        let opened = self.parts.rows.open(self.snapshot, view).await?;
        let start = RunStart {
            view: view.name.clone(),
            field: generation.field,
            fingerprint: generation.fingerprint.clone(),
            interval: *interval,
            sources: opened.sources.clone(),
            snapshot_version: self.snapshot.version,
            definitions_hash: self.snapshot.definitions_hash.clone(),
        };
        let run = self.parts.registry.begin_run(&start).await?;
        report.run = Some(run);
        let Flow { counts, content_hash } = self.flow(opened, began, turn).await;
        report.counts = counts;
        report.outcome = match &content_hash {
            Ok(_) => ViewOutcome::Acknowledged,
            Err(error) => ViewOutcome::of(error),
        };
        self.finish(run, report, content_hash.ok()).await
    }

    /// Tells the ledger, which knows whether an earlier run of this interval over the same files put other rows.
    async fn finish(&self, run: RunId, report: &mut ViewReport, content_hash: Option<String>) -> Result<(), Error> {
        let outcome = match &report.outcome {
            ViewOutcome::Acknowledged | ViewOutcome::NothingToDo => RunOutcome::Acknowledged,
            ViewOutcome::Failed { message, .. } => RunOutcome::Failed { error: message.clone() },
            ViewOutcome::Interrupted => RunOutcome::Interrupted,
        };
        let end = RunEnd {
            outcome,
            rows_read: report.counts.read,
            rows_written: report.counts.written + report.counts.merged,
            counts: serde_json::to_value(&report.counts).expect("counts are numbers and texts"),
            content_hash,
            not_reproducible: false,
        };
        let written_down = self.parts.registry.finish_run(run, &end).await?;
        report.not_reproducible = written_down.not_reproducible;
        if report.not_reproducible {
            tracing::warn!(
                view = report.view,
                "the same files gave other rows than before: the view's query depends on the order of its input"
            );
        }
        Ok(())
    }

    /// From the view's rows to the store's last answer. The turn to read ends when all rows are read.
    async fn flow(&self, opened: OpenedView, began: Monotonic, turn: Option<SemaphorePermit<'_>>) -> Flow {
        let encoder = RowEncoder::new(&self.planned.view.name, self.snapshot.project, self.planned.generation);
        let window = Window { covered: [self.planned.interval].into_iter().collect(), now: self.now };
        let worker = match Worker::start(encoder, window, Keep::All, self.parts.config) {
            Ok(worker) => worker,
            Err(error) => return Flow { counts: Counts::default(), content_hash: Err(error) },
        };
        let Worker { batches, mut winners, outcome } = worker;
        let total_rows = opened.total_rows;
        let metrics = RunMetrics::of(&self.planned.view.name);
        let (read_rows, mut result) = self.read(opened, batches, began).await;
        drop(turn);
        let mut stored = Counts::default();
        if result.is_ok() {
            let _turn = self.turns.writing.acquire().await.ok();
            let began = self.parts.clock.monotonic();
            let pipeline = Pipeline {
                store: self.parts.store,
                config: self.parts.config,
                clock: self.parts.clock,
                metrics: &metrics,
                progress: self.parts.progress,
                cancel: self.cancel,
                view: &self.planned.view.name,
            };
            let told = |stored: &Counts| {
                let counts = Counts { read: read_rows, ..stored.clone() };
                self.tell(Phase::Writing, &counts, total_rows, began);
            };
            result = pipeline.run(&mut winners, &mut stored, told).await;
        }
        // a worker that still hands winners on sees that nobody takes them and ends
        drop(winners);
        let lost = |_| Error::WorkerLost { view: self.planned.view.name.clone() };
        let (mut counts, hash) = match outcome.await.map_err(lost) {
            Ok(reduced) => (reduced.counts, reduced.content_hash),
            Err(error) => (Counts::default(), Err(error)),
        };
        counts.add(&stored);
        counts.unsettled = counts.read.saturating_sub(counts.accounted());
        metrics.finished(&counts);
        let content_hash = first_cause(result, hash).and_then(|hash| self.within_budget(&counts, hash));
        Flow { counts, content_hash }
    }

    /// Pumps the view's rows into the worker. Answers how many there were.
    async fn read(
        &self,
        mut opened: OpenedView,
        batches: tokio::sync::mpsc::Sender<Input>,
        began: Monotonic,
    ) -> (u64, Result<(), Error>) {
        let mut counts = Counts::default();
        loop {
            let batch = tokio::select! {
                () = self.cancel.cancelled() => return (counts.read, Err(Error::Interrupted)),
                batch = opened.batches.next() => batch,
            };
            let input = match batch {
                None => Input::End,
                Some(Ok(batch)) => {
                    counts.read += batch.num_rows() as u64;
                    Input::Batch(batch)
                }
                Some(Err(error)) => return (counts.read, Err(error)),
            };
            let end = matches!(input, Input::End);
            // a worker that takes no more has stopped at an error, which its outcome says
            if batches.send(input).await.is_err() || end {
                return (counts.read, Ok(()));
            }
            self.tell(Phase::Reading, &counts, opened.total_rows, began);
        }
    }

    /// The store may refuse rows after the budget of the reading was kept.
    fn within_budget(&self, counts: &Counts, hash: String) -> Result<String, Error> {
        let (bad_rows, budget_rows) = (counts.bad_rows(), self.parts.config.error_budget_rows);
        match counts.first_bad() {
            Some(example) if bad_rows > budget_rows => {
                Err(Error::TooManyBadRows { bad_rows, budget_rows, example: example.clone() })
            }
            _ => Ok(hash),
        }
    }

    fn tell(&self, phase: Phase, counts: &Counts, total_rows: Option<u64>, began: Monotonic) {
        let step = Step {
            phase,
            read_rows: counts.read,
            total_rows,
            acknowledged_rows: counts.written + counts.older + counts.equal + counts.merged,
            elapsed: self.parts.clock.monotonic().since(began),
        };
        self.parts.progress.report(&self.planned.view.name, &step);
    }
}

/// The error that came first: when the worker failed, writing only ended; when writing failed, the worker was only told
/// that nobody takes its winners.
fn first_cause(written: Result<(), Error>, reduced: Result<String, Error>) -> Result<String, Error> {
    match (written, reduced) {
        (Ok(()), reduced) => reduced,
        (Err(Error::Interrupted), Err(worker)) if !matches!(worker, Error::Interrupted) => Err(worker),
        (Err(error), _) => Err(error),
    }
}
