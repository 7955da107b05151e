//! The audit: for sampled or all keys, the online value is the winner at T = now over the rows that runs have covered.
//!
//! The view's rows are computed again and reduced as a run does it (`catalog::winner` says what stands there at the end),
//! then compared with the store, cell by cell, and the store is scanned for keys that the view does not yield. Only event
//! times that acknowledged runs cover count: a row after the last run's end is not expected yet.
//!
//! Memory: the reduction's, and eight bytes for each key that is compared.

mod compare;

use std::collections::{BTreeMap, HashSet};

use futures::StreamExt;
use serde::Serialize;
use tidegate_catalog::{
    Deadline, EntityKey, FieldNumber, Micros, Snapshot, definitions::FeatureView, snapshot::Generation,
};
use tidegate_control::{Reproducibility, Run, RunFilter, RunState};
use tidegate_store::{Cells, OnlineStore, Put, ReadPlan};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Coverage, Error, OpenedView, Parts, ViewSource,
    emit::Emitter,
    materialize::{chosen, newest, unknown},
    progress::{Phase, Step},
    rows::{RowEncoder, Window},
    sample::Sample,
    worker::{Input, Keep, Reduced, Worker},
};
use compare::{Expected, key_mark};
pub use compare::{Mismatch, Mismatches, Reason};

/// Keys of one read, and cells of one page of the scan.
const PAGE_CELLS: usize = 500;

/// What to verify.
#[derive(Clone, Debug)]
pub struct VerifyRequest {
    /// These views; all when empty.
    pub views: Vec<String>,
    /// Which keys.
    pub keys: KeyChoice,
}

/// Which keys of a view are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChoice {
    /// Every key.
    All,
    /// This many, chosen by a hash with the seed: the same ones each time.
    Sample {
        /// How many.
        keys: usize,
        /// Which.
        seed: u64,
    },
}

/// What an audit found, view by view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// In the order of the request, or of names.
    pub views: Vec<ViewVerification>,
}

/// What an audit found in one view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViewVerification {
    /// The view.
    pub view: String,
    /// The generation that was read: the serving one, or the one being built while there is no other of this definition.
    pub field: FieldNumber,
    /// The instant of the comparison.
    pub at: Micros,
    /// Whether no run has covered anything yet; nothing was compared then.
    pub not_materialized: bool,
    /// Rows that the view yielded.
    pub read_rows: u64,
    /// Keys compared.
    pub compared_keys: u64,
    /// Of them: keys whose row a reader gets.
    pub present_keys: u64,
    /// Of them: keys whose newest row is older than the ttl.
    pub expired_keys: u64,
    /// Of them: keys whose newest row says "deleted".
    pub deleted_keys: u64,
    /// Rows whose key or content is too large for the online store: offline only, and no mismatch.
    pub oversize_rows: u64,
    /// What is not as it should be.
    pub mismatches: BTreeMap<Reason, Mismatches>,
    /// Whether the sources are other files than those of the newest run: mismatches may be theirs; run again with
    /// `--start`, or with `--rebuild` where files were rewritten in place.
    pub sources_changed: bool,
    /// Whether the same files gave other content at equal times, now or in an earlier run.
    pub not_reproducible: bool,
}

impl VerifyReport {
    /// Whether every view's store is as it should be.
    pub fn is_clean(&self) -> bool {
        self.views.iter().all(ViewVerification::is_clean)
    }
}

impl ViewVerification {
    /// Whether every compared key is as it should be.
    pub fn is_clean(&self) -> bool {
        self.mismatches.is_empty()
    }
}

/// Compares the online store with the winners of `request`'s views at `event_now`.
///
/// Cancel-safe: reading changes nothing. Writers that race an audit may show up as newer rows online.
/// # Errors
/// A time before the store's event clock, an unknown view, a view whose rows cannot be computed, a store or registry that cannot be read,
/// [`Error::Interrupted`]. A mismatch is no error.
pub async fn verify<S: OnlineStore, R: ViewSource>(
    request: &VerifyRequest,
    parts: &Parts<'_, S, R>,
    cancel: &CancellationToken,
) -> Result<VerifyReport, Error> {
    let at = parts.clock.event_now();
    let snapshot = newest(parts.registry).await?;
    let event_clock = parts.store.marks(Deadline::NEVER).await?.event_clock;
    if event_clock > at {
        return Err(Error::BeforeEventClock { at, event_clock });
    }
    let mut report = VerifyReport::default();
    for name in chosen(&snapshot, &request.views)? {
        let view = snapshot.definitions.views.get(&name);
        let (Some(view), Some(generation)) = (view, audited(&snapshot, &name)) else {
            return Err(unknown(&snapshot, &name));
        };
        let filter = RunFilter {
            view: Some(name),
            field: Some(generation.field),
            state: Some(RunState::Acknowledged),
            limit: None,
        };
        let past = parts.registry.runs(&filter).await?;
        let audit = Audit { snapshot: &snapshot, view, generation, parts, at, cancel };
        report.views.push(audit.run(request.keys, &past).await?);
    }
    Ok(report)
}

/// The generation that today's definition can be compared with: what readers read, if it holds this definition's values.
fn audited<'s>(snapshot: &'s Snapshot, view: &str) -> Option<&'s Generation> {
    let fingerprint = snapshot.definitions.views.get(view)?.fingerprint(&snapshot.definitions);
    let serving = snapshot.serving(view).filter(|serving| serving.fingerprint == fingerprint);
    serving.or_else(|| snapshot.writing(view))
}

struct Audit<'a, S, R> {
    snapshot: &'a Snapshot,
    view: &'a FeatureView,
    generation: &'a Generation,
    parts: &'a Parts<'a, S, R>,
    at: Micros,
    cancel: &'a CancellationToken,
}

impl<S: OnlineStore, R: ViewSource> Audit<'_, S, R> {
    async fn run(&self, keys: KeyChoice, past: &[Run]) -> Result<ViewVerification, Error> {
        let mut found = ViewVerification {
            view: self.view.name.clone(),
            field: self.generation.field,
            at: self.at,
            not_materialized: past.is_empty(),
            read_rows: 0,
            compared_keys: 0,
            present_keys: 0,
            expired_keys: 0,
            deleted_keys: 0,
            oversize_rows: 0,
            mismatches: BTreeMap::new(),
            sources_changed: false,
            not_reproducible: false,
        };
        if past.is_empty() {
            return Ok(found);
        }
        let opened = self.parts.rows.open(self.snapshot, self.view).await?;
        let mut sources = opened.sources.clone();
        sources.sort();
        let (marks, sample) = self.compare_winners(opened, keys, past, &mut found).await?;
        self.find_extra(&marks, sample.as_ref(), &mut found).await?;
        found.sources_changed = past.first().is_some_and(|run| run.start.sources != sources);
        let differs = found.mismatches.contains_key(&Reason::ContentDiffers);
        let same_sources = past.iter().all(|run| run.start.sources == sources);
        let judged = self.parts.registry.reproducibility(&self.view.name).await?;
        found.not_reproducible = (differs && same_sources) || matches!(judged, Reproducibility::Differs { .. });
        Ok(found)
    }

    /// Computes the winners and compares each with its cell. Answers the marks of their keys, sorted.
    async fn compare_winners(
        &self,
        opened: OpenedView,
        keys: KeyChoice,
        past: &[Run],
        found: &mut ViewVerification,
    ) -> Result<(Vec<u64>, Option<Sample>), Error> {
        let covered = past.iter().map(|run| run.start.interval).collect::<Coverage>();
        let keep = match keys {
            KeyChoice::All => Keep::All,
            KeyChoice::Sample { keys, seed } => Keep::Sample { keys, seed },
        };
        // an audit counts bad rows and never stops at them
        let config = Config { error_budget_rows: u64::MAX, batch_rows: PAGE_CELLS, ..self.parts.config.clone() };
        let encoder = RowEncoder::new(&self.view.name, self.snapshot.project, self.generation);
        let worker = Worker::start(encoder, Window { covered, now: self.at }, keep, &config)?;
        let Worker { batches, outcome } = worker;
        self.read(opened, batches).await?;
        let lost = |_| Error::WorkerLost { view: self.view.name.clone() };
        let Reduced { counts, rows, sample } = outcome.await.map_err(lost)?;
        let Emitter { batches: mut winners, outcome } = Emitter::start(vec![(self.generation.field, rows?)], &config)?;
        let expected = Expected::new(self.generation, self.view.ttl, self.at);
        let mut marks = Vec::new();
        let mut plan = ReadPlan::default();
        let mut cells = Cells::default();
        while let Some(mut rows) = winners.recv().await {
            self.still_wanted()?;
            rows.retain(|row| sample.as_ref().is_none_or(|sample| sample.contains(row.key.as_bytes())));
            plan.clear();
            rows.iter().for_each(|row| plan.push(row.key.clone(), &[self.generation.field]));
            self.parts.store.read(&plan, Deadline::NEVER, &mut cells).await?;
            for (row, cell) in rows.iter().zip(cells.iter()) {
                marks.push(key_mark(&row.key));
                expected.compare(row, cell, found);
            }
        }
        outcome.await.map_err(lost)?.result?;
        found.read_rows = counts.read;
        found.oversize_rows = counts.rejected_rows();
        marks.sort_unstable();
        Ok((marks, sample))
    }

    /// Pumps the view's rows into the worker.
    async fn read(&self, mut opened: OpenedView, batches: tokio::sync::mpsc::Sender<Input>) -> Result<(), Error> {
        let began = self.parts.clock.monotonic();
        let mut step = Step { phase: Phase::Reading, total_rows: opened.total_rows, ..Step::default() };
        while let Some(batch) = opened.batches.next().await {
            self.still_wanted()?;
            let batch = batch?;
            step.read_rows += batch.num_rows() as u64;
            step.elapsed = self.parts.clock.monotonic().since(began);
            self.parts.progress.report(&self.view.name, &step);
            if batches.send(Input::Batch(batch)).await.is_err() {
                // the worker's outcome says why
                return Ok(());
            }
        }
        drop(batches.send(Input::End).await);
        Ok(())
    }

    /// Scans the store for cells of this generation whose key the view does not yield.
    async fn find_extra(
        &self,
        marks: &[u64],
        sample: Option<&Sample>,
        found: &mut ViewVerification,
    ) -> Result<(), Error> {
        let belongs = |key: &EntityKey| sample.is_none_or(|sample| sample.contains(key.as_bytes()));
        let (mut from, mut told) = (None, HashSet::new());
        loop {
            self.still_wanted()?;
            let page = self.parts.store.scan(from.as_ref(), PAGE_CELLS, Deadline::NEVER).await?;
            for cell in page.cells.into_iter().filter(|cell| cell.field == self.generation.field) {
                let mark = key_mark(&cell.key);
                if belongs(&cell.key) && marks.binary_search(&mark).is_err() && told.insert(mark) {
                    let cell = Put { key: cell.key, field: cell.field, row: cell.row };
                    compare::extra(&cell, found);
                }
            }
            match page.next {
                Some(next) => from = Some(next),
                None => return Ok(()),
            }
        }
    }

    fn still_wanted(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() { Err(Error::Interrupted) } else { Ok(()) }
    }
}
