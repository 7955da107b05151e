//! One view's run: open, read and reduce, and, once its group is written, tell the ledger what the store answered.

use futures::StreamExt;
use tidegate_catalog::{FieldNumber, Micros, Monotonic, Snapshot};
use tidegate_control::{RunEnd, RunId, RunOutcome, RunStart};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Counts, Error, OpenedView, ViewSource,
    emit::EmittedView,
    materialize::{Parts, PlannedView, ViewOutcome, ViewReport},
    metrics::RunMetrics,
    progress::{Phase, Step},
    put::PutView,
    reduce::Reducer,
    rows::{RowEncoder, Window},
    worker::{Input, Keep, Reduced, Worker},
};

/// What all runs of a call share.
pub(crate) struct Call<'a, S, R> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) parts: &'a Parts<'a, S, R>,
    /// Event time now, one reading for all views of a call.
    pub(crate) now: Micros,
    pub(crate) cancel: &'a CancellationToken,
}

/// One view's run, from its reading to its last line in the ledger; every failure is in the report.
pub(crate) struct ViewRun<'a, S, R> {
    call: &'a Call<'a, S, R>,
    planned: &'a PlannedView<'a>,
    began: Monotonic,
    report: ViewReport,
    content_hash: Option<String>,
    total_rows: Option<u64>,
    metrics: RunMetrics,
    reading: Option<Reading>,
}

/// A view whose rows have all gone to its worker, or that stopped before.
struct Reading {
    result: Result<(), Error>,
    outcome: oneshot::Receiver<Reduced>,
}

impl<'a, S, R: ViewSource> ViewRun<'a, S, R> {
    /// Begins the view's run, if there is something to do, and reads its rows; the reduction may hold `config.memory_bytes`.
    pub(crate) async fn read(call: &'a Call<'a, S, R>, planned: &'a PlannedView<'a>, config: &Config) -> Self {
        let report = ViewReport {
            view: planned.view.name.clone(),
            field: planned.generation.field,
            interval: planned.interval,
            run: None,
            outcome: ViewOutcome::NothingToDo,
            counts: Counts::default(),
            not_reproducible: false,
            readers_wait_for: Vec::new(),
            elapsed_ms: 0,
        };
        let began = call.parts.clock.monotonic();
        let metrics = RunMetrics::of(&planned.view.name);
        let (content_hash, total_rows, reading) = (None, None, None);
        let mut run = Self { call, planned, began, report, content_hash, total_rows, metrics, reading };
        if call.cancel.is_cancelled() {
            run.report.outcome = ViewOutcome::Interrupted;
        } else if !planned.interval.is_empty() {
            match run.begin_and_read(config).await {
                Ok(reading) => run.reading = Some(reading),
                Err(error) => run.report.outcome = ViewOutcome::of(&error),
            }
        }
        run
    }

    /// An error is one of opening the view, of the ledger, or of the worker's start.
    async fn begin_and_read(&mut self, config: &Config) -> Result<Reading, Error> {
        let PlannedView { view, generation, interval } = self.planned;
        let (snapshot, parts) = (self.call.snapshot, self.call.parts);
        let opened = parts.rows.open(snapshot, view).await?;
        let start = RunStart {
            view: view.name.clone(),
            field: generation.field,
            fingerprint: generation.fingerprint.clone(),
            interval: *interval,
            sources: opened.sources.clone(),
            snapshot_version: snapshot.version,
            definitions_hash: snapshot.definitions_hash.clone(),
        };
        self.report.run = Some(parts.registry.begin_run(&start).await?);
        self.total_rows = opened.total_rows;
        let encoder = RowEncoder::new(&view.name, snapshot.project, generation);
        let window = Window { covered: [*interval].into_iter().collect(), now: self.call.now };
        let Worker { batches, outcome } = Worker::start(encoder, window, Keep::All, config)?;
        let result = self.pump(opened, batches).await;
        Ok(Reading { result, outcome })
    }

    /// Pumps the view's rows into the worker.
    async fn pump(&self, mut opened: OpenedView, batches: mpsc::Sender<Input>) -> Result<(), Error> {
        let mut read_rows = 0;
        loop {
            let batch = tokio::select! {
                () = self.call.cancel.cancelled() => return Err(Error::Interrupted),
                batch = opened.batches.next() => batch,
            };
            let input = match batch.transpose()? {
                None => Input::End,
                Some(batch) => {
                    read_rows += batch.num_rows() as u64;
                    Input::Batch(batch)
                }
            };
            let end = matches!(input, Input::End);
            // a worker that takes no more has stopped at an error, which its outcome says
            if batches.send(input).await.is_err() || end {
                return Ok(());
            }
            self.report_step(Phase::Reading, read_rows, &Counts::default(), self.began);
        }
    }

    /// The rows that stand, if there are any to write: the view was read, to its end.
    pub(crate) async fn reduced(&mut self) -> Option<Reducer> {
        let Reading { result, outcome } = self.reading.take()?;
        let rows = match outcome.await {
            Ok(reduced) => {
                self.report.counts = reduced.counts;
                reduced.rows
            }
            Err(_) => Err(Error::WorkerLost { view: self.report.view.clone() }),
        };
        first_cause(result, rows).map_err(|error| self.report.outcome = ViewOutcome::of(&error)).ok()
    }

    /// The generation's field.
    pub(crate) const fn field(&self) -> FieldNumber {
        self.report.field
    }

    /// What the way into the store needs to know.
    pub(crate) fn put_view(&self) -> PutView<'_> {
        PutView { name: &self.report.view, field: self.report.field, metrics: &self.metrics }
    }

    /// Tells how far the writing, which began then, is.
    pub(crate) fn tell_writing(&self, stored: &Counts, began: Monotonic) {
        self.report_step(Phase::Writing, self.report.counts.read, stored, began);
    }

    /// Takes the store's answers in. The view is acknowledged once all its rows are, also where the writing failed later, at
    /// rows of the others; not where the caller stopped it.
    pub(crate) fn written(&mut self, stored: &Counts, emitted: &EmittedView, result: &Result<(), Error>) {
        let counts = &mut self.report.counts;
        if emitted.complete {
            counts.reduced = counts.read.saturating_sub(counts.accounted() + emitted.rows);
        }
        counts.add(stored);
        let settled = emitted.complete && stored.accounted() == emitted.rows;
        let failed = match result {
            Ok(()) => None,
            Err(error) if settled && !matches!(error, Error::Interrupted) => None,
            Err(error) => Some(ViewOutcome::of(error)),
        };
        // the store may refuse rows after the budget of the reading was kept
        let over_budget = || counts.require_budget(self.call.parts.config.error_budget_rows).err();
        self.report.outcome = match failed.or_else(|| over_budget().map(|error| ViewOutcome::of(&error))) {
            Some(failed) => failed,
            None => {
                self.content_hash = Some(emitted.content_hash());
                ViewOutcome::Acknowledged
            }
        };
    }

    /// Writes the run's end into the ledger.
    pub(crate) async fn finish(mut self) -> ViewReport {
        let counts = &mut self.report.counts;
        counts.unsettled = counts.read.saturating_sub(counts.accounted());
        if let Some(run) = self.report.run {
            self.metrics.finished(&self.report.counts);
            if let Err(error) = self.end_in_ledger(run).await {
                self.report.outcome = ViewOutcome::of(&error);
            }
        }
        self.report.elapsed_ms = self.call.parts.clock.monotonic().since(self.began).as_millis() as u64;
        self.report_step(Phase::Done, self.report.counts.read, &self.report.counts, self.began);
        self.report
    }

    /// The ledger knows whether an earlier run of this interval over the same files put other rows.
    async fn end_in_ledger(&mut self, run: RunId) -> Result<(), Error> {
        let report = &mut self.report;
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
            content_hash: self.content_hash.take(),
            not_reproducible: false,
        };
        let written_down = self.call.parts.registry.finish_run(run, &end).await?;
        report.not_reproducible = written_down.not_reproducible;
        if report.not_reproducible {
            tracing::warn!(
                view = report.view,
                "the same files gave other rows than before: the view's query depends on the order of its input"
            );
        }
        Ok(())
    }

    fn report_step(&self, phase: Phase, read_rows: u64, counts: &Counts, began: Monotonic) {
        let step = Step {
            phase,
            read_rows,
            total_rows: if phase == Phase::Done { None } else { self.total_rows },
            acknowledged_rows: counts.written + counts.older + counts.equal + counts.merged,
            elapsed: self.call.parts.clock.monotonic().since(began),
        };
        self.call.parts.progress.report(&self.report.view, &step);
    }
}

/// The error that came first: when the thread failed, our side only ended; when our side failed, the thread was only told
/// that nobody goes on.
pub(crate) fn first_cause<T>(ours: Result<(), Error>, threads: Result<T, Error>) -> Result<T, Error> {
    match (ours, threads) {
        (Ok(()), threads) => threads,
        (Err(Error::Interrupted), Err(error)) if !matches!(error, Error::Interrupted) => Err(error),
        (Err(error), _) => Err(error),
    }
}
