//! Views that share a key set, read one after the other and written together.
//!
//! A store keeps an entity's views beside each other: on Redis they are fields of one hash, so that the rows of one key, put
//! side by side, cost one command to read and one to write, whatever their number. (Measured with three views of ten floats,
//! best of 21 rounds: 2.1 us of server time a row instead of 2.9.) What the run ledger, reports and progress say stays per view.
//!
//! ```text
//!  turn to read:   view a ─ view b ─ view c │ (the next group)
//!  turn to write:                           │ a b c joined ──> store │ (the next group)
//! ```

use tidegate_catalog::FieldNumber;
use tidegate_store::OnlineStore;
use tokio::sync::Semaphore;

use crate::{
    Config, Counts, Error, ViewSource,
    emit::{EmittedView, Emitter},
    materialize::{PlannedView, ViewReport},
    put::Pipeline,
    reduce::Reducer,
    run::{Call, ViewRun, first_cause},
};

/// Most views written together: they share the memory of the reduction, and the rows of one key are one step of the server.
const VIEWS_TOGETHER: usize = 4;

/// See the module.
pub(crate) struct Group<'a, S, R> {
    pub(crate) views: Vec<&'a PlannedView<'a>>,
    pub(crate) call: &'a Call<'a, S, R>,
    pub(crate) turns: &'a Turns,
}

/// Whose turn it is, of the groups side by side. Neither is ever closed: waiting for one cannot fail.
pub(crate) struct Turns {
    pub(crate) reading: Semaphore,
    pub(crate) writing: Semaphore,
}

/// Views of one key set together, in the order of each group's first view.
pub(crate) fn groups<'a>(planned: &'a [PlannedView<'a>]) -> Vec<Vec<&'a PlannedView<'a>>> {
    let mut groups = Vec::<Vec<&PlannedView<'_>>>::new();
    for view in planned {
        let key_set = view.generation.key_set;
        let open = groups.iter_mut().find(|group| {
            group.len() < VIEWS_TOGETHER && group.iter().all(|other| other.generation.key_set == key_set)
        });
        match open {
            Some(group) => group.push(view),
            None => groups.push(vec![view]),
        }
    }
    groups
}

impl<'a, S: OnlineStore, R: ViewSource> Group<'a, S, R> {
    /// Runs the views and writes the ledger; every failure is in its view's report. The turn to read ends when all rows are read.
    pub(crate) async fn run(self) -> Vec<ViewReport> {
        let config = self.call.parts.config;
        let busy = self.views.iter().filter(|view| !view.interval.is_empty()).count();
        let config = Config { memory_bytes: config.memory_bytes / busy.max(1), ..config.clone() };
        let turn = self.turns.reading.acquire().await.ok();
        let mut runs = Vec::with_capacity(self.views.len());
        for view in &self.views {
            runs.push(ViewRun::read(self.call, view, &config).await);
        }
        drop(turn);
        let mut standing = Vec::with_capacity(runs.len());
        for run in &mut runs {
            if let Some(rows) = run.reduced().await {
                standing.push((run, rows));
            }
        }
        if !standing.is_empty() {
            let _turn = self.turns.writing.acquire().await.ok();
            self.write(standing).await;
        }
        let mut reports = Vec::with_capacity(runs.len());
        for run in runs {
            reports.push(run.finish().await);
        }
        reports
    }

    /// Puts what stands of each run, and tells each what became of its rows.
    async fn write(&self, standing: Vec<(&mut ViewRun<'a, S, R>, Reducer)>) {
        let parts = self.call.parts;
        let (runs, rows) = standing.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        let rows = runs.iter().map(|run| run.field()).zip(rows).collect::<Vec<(FieldNumber, Reducer)>>();
        let mut stored = vec![Counts::default(); runs.len()];
        let mut emitted = vec![EmittedView::default(); runs.len()];
        let result = match Emitter::start(rows, parts.config) {
            Err(error) => Err(error),
            Ok(Emitter { mut batches, outcome }) => {
                let pipeline = Pipeline {
                    store: parts.store,
                    config: parts.config,
                    clock: parts.clock,
                    progress: parts.progress,
                    cancel: self.call.cancel,
                    views: runs.iter().map(|run| run.put_view()).collect(),
                };
                let began = parts.clock.monotonic();
                let told = |stored: &[Counts]| {
                    runs.iter().zip(stored).for_each(|(run, stored)| run.tell_writing(stored, began))
                };
                let written = pipeline.run(&mut batches, &mut stored, told).await;
                // a thread that still hands winners on sees that nobody takes them and ends
                drop(batches);
                match outcome.await {
                    Ok(all) => {
                        emitted = all.views;
                        first_cause(written, all.result)
                    }
                    Err(_) => Err(Error::WorkerLost { view: pipeline.names() }),
                }
            }
        };
        for (run, (stored, emitted)) in runs.into_iter().zip(stored.iter().zip(&emitted)) {
            run.written(stored, emitted, &result);
        }
    }
}
