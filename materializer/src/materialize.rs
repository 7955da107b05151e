//! One call of `materialize`: which views, which intervals, the store's marks first, then the runs.

use futures::{StreamExt as _, stream::FuturesOrdered};
use serde::Serialize;
use tidegate_catalog::{
    Clock, Deadline, FieldNumber, Micros, Snapshot, definitions::FeatureView, snapshot::Generation,
};
use tidegate_control::{Interval, Registry, RunId, Settled};
use tidegate_store::{OnlineStore, StoreMarks};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Counts, Error, Progress, ViewSource,
    group::{Group, Turns, groups},
    interval::run_interval,
    run::Call,
};

/// What to materialize.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// These views; all when empty.
    pub views: Vec<String>,
    /// Exclusive; by default where the newest acknowledged run of the writing generation ended, or before all time.
    pub start: Option<Micros>,
    /// Inclusive; by default, and at most, `event_now`.
    pub end: Option<Micros>,
    /// Whether to begin a new generation.
    pub rebuild: Rebuild,
}

/// Whether `materialize` begins a new generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rebuild {
    /// It goes on with the writing generation.
    #[default]
    No,
    /// It starts one on demand, for sources that were rewritten in place.
    NewGeneration,
}

/// What a materialization works with.
pub struct Parts<'a, S, R> {
    /// The online store.
    pub store: &'a S,
    /// What computes views.
    pub rows: &'a R,
    /// The registry, with the run ledger.
    pub registry: &'a Registry,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Who is told how far it is.
    pub progress: &'a dyn Progress,
    /// Memory, batches, retries, budget.
    pub config: &'a Config,
}

/// What a materialization did, view by view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order of the request, or of names.
    pub views: Vec<ViewReport>,
    /// The newest version of the catalog, when readers were moved to a new generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_to_version: Option<u64>,
}

/// One view's run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViewReport {
    /// The view.
    pub view: String,
    /// The generation written.
    pub field: FieldNumber,
    /// What the run covers if it was acknowledged.
    pub interval: Interval,
    /// Its number in the run ledger; `None` when it did not begin.
    pub run: Option<RunId>,
    /// How it went.
    pub outcome: ViewOutcome,
    /// What became of its rows.
    pub counts: Counts,
    /// Whether an earlier run of the same interval over the same files had other content: the view's query is not a
    /// function of its sources.
    pub not_reproducible: bool,
    /// What the generation that readers have covers and the one written does not yet: they move when nothing is left.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub readers_wait_for: Vec<Interval>,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// How a view's run went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ViewOutcome {
    /// Everything is in the store.
    Acknowledged,
    /// The interval is empty: the view is up to date.
    NothingToDo,
    /// Stopped at an error.
    Failed {
        /// Its code.
        #[serde(serialize_with = "code_name")]
        code: tidegate_catalog::ErrorCode,
        /// Its message.
        message: String,
    },
    /// Stopped by the caller, or not begun when the caller stopped.
    Interrupted,
}

fn code_name<S: serde::Serializer>(code: &tidegate_catalog::ErrorCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.as_str())
}

impl ViewOutcome {
    /// The outcome that an error is.
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::Interrupted => Self::Interrupted,
            other => Self::Failed { code: other.code(), message: other.to_string() },
        }
    }
}

impl Report {
    /// Whether every view is up to date now.
    pub fn is_complete(&self) -> bool {
        self.views.iter().all(|view| matches!(view.outcome, ViewOutcome::Acknowledged | ViewOutcome::NothingToDo))
    }

    /// Whether nothing in the store changed: every row was there already, or there was no interval to cover.
    pub fn is_no_op(&self) -> bool {
        self.is_complete() && self.views.iter().all(|view| view.counts.written == 0 && view.counts.merged == 0)
    }

    /// All counts together.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        for view in &self.views {
            total.add(&view.counts);
        }
        total
    }
}

/// One view's run, decided and not yet begun.
pub(crate) struct PlannedView<'s> {
    pub(crate) view: &'s FeatureView,
    pub(crate) generation: &'s Generation,
    pub(crate) interval: Interval,
}

/// How many groups run side by side: while one is written, which waits for the store, the next is read, which takes the
/// processor. No two are read or written at once, so that the engine's memory is one view's and the batches in flight are one
/// group's.
const GROUPS_AT_ONCE: usize = 2;

/// Materializes the views of `request`, those of one key set together, the next ones read while the last are written: each
/// covers `(start, min(end, event_now)]` of the event time of its rows. A view that fails to be read does not keep the others
/// from running, nor does a failed write those that were written before it; each report says what happened.
///
/// Cancelling the token stops cleanly: batches in flight are awaited, the run is written down as interrupted, views not
/// yet begun are reported so. Dropping the future is safe too; the ledger then has a run that never ended. Repeating a
/// call puts equal rows, which changes nothing.
/// # Errors
/// What concerns no single view: an unknown view, an interval that goes backwards, a foreign store or one that has seen
/// a newer registry (the message names `tidegate store adopt`), an unreachable store or registry.
pub async fn materialize<S: OnlineStore, R: ViewSource>(
    request: &Request,
    parts: &Parts<'_, S, R>,
    cancel: &CancellationToken,
) -> Result<Report, Error> {
    let now = parts.clock.event_now();
    require_forward(request, now)?;
    let mut snapshot = newest(parts.registry).await?;
    let views = chosen(&snapshot, &request.views)?;
    if request.rebuild == Rebuild::NewGeneration {
        for view in &views {
            snapshot = parts.registry.rebuild(view).await?;
        }
    }
    let planned = plan(request, &snapshot, &views, parts.registry, now).await?;
    let busy = planned.iter().filter(|view| !view.interval.is_empty());
    if let Some(event_clock) = busy.map(|view| view.interval.end).max() {
        parts.store.raise_marks(&marks(parts.registry, event_clock).await?, Deadline::NEVER).await?;
    }
    let mut report = Report::default();
    let turns = Turns { reading: Semaphore::new(1), writing: Semaphore::new(1) };
    let call = Call { snapshot: &snapshot, parts, now, cancel };
    let mut waiting = groups(&planned).into_iter();
    let mut runs = FuturesOrdered::new();
    loop {
        while runs.len() < GROUPS_AT_ONCE
            && let Some(views) = waiting.next()
        {
            runs.push_back(run_and_settle(Group { views, call: &call, turns: &turns }));
        }
        let Some(done) = runs.next().await else { break };
        for (done, moved_to_version) in done {
            report.moved_to_version = report.moved_to_version.max(moved_to_version);
            report.views.push(done);
        }
    }
    report.views.sort_by_key(|done| views.iter().position(|view| *view == done.view));
    Ok(report)
}

/// A group's run and the move of its readers: one future, so that neither waits for the registry while the other holds it.
async fn run_and_settle<S: OnlineStore, R: ViewSource>(group: Group<'_, S, R>) -> Vec<(ViewReport, Option<u64>)> {
    let registry = group.call.parts.registry;
    let mut settled = Vec::with_capacity(group.views.len());
    for mut done in group.run().await {
        let moved_to_version = settle(registry, &mut done).await;
        settled.push((done, moved_to_version));
    }
    settled
}

/// Moves readers if they can be; answers the version with which they were.
async fn settle(registry: &Registry, done: &mut ViewReport) -> Option<u64> {
    match settled(registry, done).await {
        Ok(Settled::Moved(moved)) => return Some(moved.version),
        Ok(Settled::Waiting { uncovered }) => done.readers_wait_for = uncovered,
        Ok(Settled::NothingToMove) => {}
        Err(error) => done.outcome = ViewOutcome::of(&error),
    }
    None
}

/// Moves readers to the view's building generation if its runs cover enough now. Also where there was nothing to do: the
/// run that completed it may have been the last thing that a killed process did.
async fn settled(registry: &Registry, done: &ViewReport) -> Result<Settled, Error> {
    if !matches!(done.outcome, ViewOutcome::Acknowledged | ViewOutcome::NothingToDo) {
        return Ok(Settled::NothingToMove);
    }
    let settled = registry.settle(&done.view).await?;
    if let Settled::Moved(moved) = &settled {
        tracing::info!(
            view = done.view,
            version = moved.version,
            field = done.field.0,
            "readers moved to a new generation"
        );
    }
    Ok(settled)
}

fn require_forward(request: &Request, now: Micros) -> Result<(), Error> {
    let end = request.end.map_or(now, |end| end.min(now));
    match request.start {
        Some(start) if start > end => Err(Error::Backwards { start, end }),
        _ => Ok(()),
    }
}

/// The newest snapshot.
pub(crate) async fn newest(registry: &Registry) -> Result<Snapshot, Error> {
    Ok(registry.newest().await?.ok_or(tidegate_control::Error::NothingApplied)?)
}

/// The names of the views asked for, each once, or of all.
pub(crate) fn chosen(snapshot: &Snapshot, views: &[String]) -> Result<Vec<String>, Error> {
    let known = &snapshot.definitions.views;
    if views.is_empty() {
        return Ok(known.keys().cloned().collect());
    }
    match views.iter().find(|view| !known.contains_key(*view)) {
        Some(view) => Err(unknown(snapshot, view)),
        None => {
            let mut seen = std::collections::BTreeSet::new();
            Ok(views.iter().filter(|view| seen.insert(*view)).cloned().collect())
        }
    }
}

pub(crate) fn unknown(snapshot: &Snapshot, view: &str) -> Error {
    let known = snapshot.definitions.views.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    Error::Control(tidegate_control::Error::UnknownView { view: view.chars().take(64).collect(), known })
}

async fn plan<'s>(
    request: &Request,
    snapshot: &'s Snapshot,
    views: &[String],
    registry: &Registry,
    now: Micros,
) -> Result<Vec<PlannedView<'s>>, Error> {
    let mut planned = Vec::with_capacity(views.len());
    for name in views {
        let view = snapshot.definitions.views.get(name);
        let (Some(view), Some(generation)) = (view, snapshot.writing(name)) else {
            return Err(unknown(snapshot, name));
        };
        let acknowledged = registry.acknowledged_end(name, generation.field).await?;
        let interval = run_interval(request.start, request.end, acknowledged, now);
        planned.push(PlannedView { view, generation, interval });
    }
    Ok(planned)
}

/// What the store must know before the first write: whose rows come, and up to when.
async fn marks(registry: &Registry, event_clock: Micros) -> Result<StoreMarks, Error> {
    let given = registry.marks().await?;
    Ok(StoreMarks {
        registry_id: Some(given.registry_id),
        version: given.version,
        project: given.project,
        key_set: given.key_set,
        field: given.field,
        event_clock,
    })
}
