//! The owner of one session: a thread that takes batches from the model's queue, one after the other, until it closes.
//!
//! Sessions are exclusive, so each has one owner and nobody waits on a lock around it. A run that fails or panics fails
//! its own batch; its session is thrown away, because nothing tells in which state it was left.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
};

use crossbeam_channel::Receiver;
use tidegate_catalog::{Clock, Deadline, Monotonic};
use tokio::sync::{oneshot, watch};

use crate::{
    batch_input::BatchInput,
    error::{Error, Stage},
    fit::InputPlan,
    metrics::ModelMetrics,
    model::Inference,
    outputs::Outputs,
    runtime::panic_text,
    session::{Engine, EngineSource, RunError},
};

/// A batch on its way to a session.
pub(crate) struct Job {
    pub(crate) input: BatchInput,
    pub(crate) deadline: Deadline,
    pub(crate) queued_at: Monotonic,
    /// Closed when the caller has gone.
    pub(crate) reply: oneshot::Sender<Result<Inference, Error>>,
}

/// The rows of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Rows of every run, where the model fixes them.
    pub(crate) fixed: Option<usize>,
    /// Most rows of a run.
    pub(crate) largest: usize,
}

/// One session's thread before it runs.
pub(crate) struct Replica {
    pub(crate) model: String,
    pub(crate) source: Arc<dyn EngineSource>,
    pub(crate) plan: InputPlan,
    pub(crate) sizes: Sizes,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: ModelMetrics,
    /// How many replicas have a warm session.
    pub(crate) ready: Arc<watch::Sender<usize>>,
}

impl Sizes {
    /// Rows of one run at most.
    fn step(self) -> usize {
        self.fixed.unwrap_or(self.largest).max(1)
    }

    /// Every size to run once before the model is ready.
    pub(crate) fn buckets(self) -> Vec<usize> {
        if let Some(fixed) = self.fixed {
            return vec![fixed];
        }
        let mut buckets: Vec<usize> = std::iter::successors(Some(1_usize), |size| size.checked_mul(2))
            .take_while(|size| *size < self.largest)
            .collect();
        buckets.push(self.largest);
        buckets
    }

    /// The runs of `rows` rows, in order. Where the model fixes the rows, the last run reaches beyond `rows`.
    pub(crate) fn runs(self, rows: usize) -> impl Iterator<Item = Range<usize>> {
        let step = self.step();
        (0..rows).step_by(step).map(move |start| {
            let end = start.saturating_add(step);
            start..if self.fixed.is_some() { end } else { end.min(rows) }
        })
    }
}

/// Counts a thread as running for as long as it lives.
struct Running(Arc<watch::Sender<usize>>);

impl Running {
    fn count(running: Arc<watch::Sender<usize>>) -> Self {
        running.send_modify(|running| *running = running.saturating_add(1));
        Self(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running = running.saturating_sub(1));
    }
}

impl Replica {
    /// Starts the thread; it makes and warms its session, reports, and serves until every sender of `jobs` is gone.
    pub(crate) fn spawn(
        self,
        jobs: Receiver<Job>,
        report: oneshot::Sender<Result<(), String>>,
        running: Arc<watch::Sender<usize>>,
    ) -> std::io::Result<JoinHandle<()>> {
        let running = Running::count(running);
        std::thread::Builder::new().name(format!("model-{}", self.model)).spawn(move || {
            let _running = running;
            let engine = match self.warm_engine() {
                Ok(engine) => Some(engine),
                Err(reason) => return drop(report.send(Err(reason))),
            };
            // A start that was given up has dropped its end of the report, and the queue with it.
            self.count_ready(1);
            if report.send(Ok(())).is_ok() {
                Owner { replica: self, engine }.serve(&jobs);
            } else {
                self.count_ready(-1);
            }
        })
    }

    fn warm_engine(&self) -> Result<Box<dyn Engine>, String> {
        let mut engine = self.source.engine()?;
        for rows in self.sizes.buckets() {
            let input = self.plan.batch(rows);
            let run = catch_unwind(AssertUnwindSafe(|| engine.run(&input, 0..rows)));
            match run {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(format!("a first run of {rows} rows failed: {}", error.reason())),
                Err(panic) => return Err(format!("a first run of {rows} rows panicked: {}", panic_text(&*panic))),
            }
        }
        Ok(engine)
    }

    fn count_ready(&self, by: isize) {
        self.ready.send_modify(|ready| *ready = ready.saturating_add_signed(by));
        self.metrics.ready_replicas.set(f64::from(u32::try_from(*self.ready.borrow()).unwrap_or(u32::MAX)));
    }
}

impl RunError {
    fn reason(&self) -> String {
        match self {
            Self::Failed(reason) => reason.clone(),
            Self::OutputShape { output, shape } => {
                format!("output {output:?} has shape {shape:?}, which has not the rows first")
            }
        }
    }

    fn of(self, model: &str, rows: usize) -> Error {
        let model = model.to_owned();
        match self {
            Self::Failed(reason) => Error::Run { model, reason },
            Self::OutputShape { output, shape } => Error::OutputShape { model, output, shape, rows },
        }
    }
}

/// A replica's thread while it serves.
struct Owner {
    replica: Replica,
    /// `None` after a failed run whose session could not be made again yet.
    engine: Option<Box<dyn Engine>>,
}

impl Owner {
    fn serve(mut self, jobs: &Receiver<Job>) {
        for job in jobs {
            self.replica.metrics.queued.decrement(1.0);
            self.answer(job);
        }
        if self.engine.is_some() {
            self.replica.count_ready(-1);
        }
    }

    fn answer(&mut self, job: Job) {
        let started = self.replica.clock.monotonic();
        if job.reply.is_closed() {
            self.replica.metrics.cancelled.increment(1);
            return;
        }
        if job.deadline.is_over(started) {
            self.replica.metrics.late.increment(1);
            let late = Error::Late { model: self.replica.model.clone(), stage: Stage::Queued };
            return deliver(job.reply, Err(late));
        }
        if let Err(error) = self.have_engine() {
            self.replica.metrics.failed.increment(1);
            return deliver(job.reply, Err(error));
        }
        let Job { mut input, deadline, queued_at, reply } = job;
        match self.run_parts(&mut input, deadline, &reply) {
            Ok(outputs) => {
                let (queued, ran) = (started.since(queued_at), self.replica.clock.monotonic().since(started));
                self.replica.metrics.ran(queued, ran);
                deliver(reply, Ok(Inference { outputs, input, queued, ran }));
            }
            Err(error) => {
                let broken = !matches!(error, Error::Late { .. });
                if broken {
                    self.replica.metrics.failed.increment(1);
                } else {
                    self.replica.metrics.late.increment(1);
                }
                deliver(reply, Err(error));
                if broken {
                    self.replace_engine();
                }
            }
        }
    }

    fn run_parts(
        &mut self,
        input: &mut BatchInput,
        deadline: Deadline,
        reply: &oneshot::Sender<Result<Inference, Error>>,
    ) -> Result<Outputs, Error> {
        let model = self.replica.model.as_str();
        let no_session = || Error::NoSession { model: model.to_owned(), reason: "it was lost".to_owned() };
        let Some(engine) = self.engine.as_mut() else { return Err(no_session()) };
        let rows = input.rows();
        let runs: Vec<_> = self.replica.sizes.runs(rows).collect();
        input.pad_to(runs.last().map_or(rows, |last| last.end));
        let mut all: Option<Outputs> = None;
        for run in runs {
            let gone = deadline.is_over(self.replica.clock.monotonic()) || reply.is_closed();
            if all.is_some() && gone {
                return Err(Error::Late { model: model.to_owned(), stage: Stage::BetweenRuns });
            }
            let count = run.len();
            self.replica.metrics.run_rows.record(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
            let outputs = catch_unwind(AssertUnwindSafe(|| engine.run(input, run)))
                .map_err(|panic| Error::Panicked { model: model.to_owned(), reason: panic_text(&*panic) })?
                .map_err(|error| error.of(model, count))?;
            match &mut all {
                None => all = Some(outputs),
                Some(all) => {
                    let same = all.append(outputs);
                    let reason = || "an output changed its type or shape between two runs".to_owned();
                    same.then_some(()).ok_or_else(|| Error::Run { model: model.to_owned(), reason: reason() })?;
                }
            }
        }
        input.truncate(rows);
        let mut outputs = all.ok_or_else(|| Error::NoRows { model: model.to_owned() })?;
        outputs.truncate(rows);
        Ok(outputs)
    }

    fn replace_engine(&mut self) {
        self.engine = None;
        self.replica.count_ready(-1);
        self.replica.metrics.sessions_replaced.increment(1);
        if let Err(error) = self.have_engine() {
            tracing::error!(model = self.replica.model, error = %error, "a model's session was lost");
        }
    }

    /// Makes a session if the last one was lost and could not be replaced at once.
    fn have_engine(&mut self) -> Result<(), Error> {
        if self.engine.is_some() {
            return Ok(());
        }
        match self.replica.warm_engine() {
            Ok(engine) => {
                self.engine = Some(engine);
                self.replica.count_ready(1);
                Ok(())
            }
            Err(reason) => Err(Error::NoSession { model: self.replica.model.clone(), reason }),
        }
    }
}

/// A caller that has gone needs no answer.
fn deliver(reply: oneshot::Sender<Result<Inference, Error>>, outcome: Result<Inference, Error>) {
    drop(reply.send(outcome));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_double_up_to_the_largest() {
        assert_eq!(Sizes { fixed: None, largest: 1 }.buckets(), [1]);
        assert_eq!(Sizes { fixed: None, largest: 64 }.buckets(), [1, 2, 4, 8, 16, 32, 64]);
        assert_eq!(Sizes { fixed: None, largest: 5 }.buckets(), [1, 2, 4, 5]);
        assert_eq!(Sizes { fixed: Some(3), largest: 64 }.buckets(), [3]);
    }

    #[test]
    fn a_large_request_is_run_in_parts_and_a_fixed_one_padded() {
        let runs = |sizes: Sizes, rows| sizes.runs(rows).collect::<Vec<_>>();
        assert_eq!(runs(Sizes { fixed: None, largest: 4 }, 10), [0..4, 4..8, 8..10]);
        assert_eq!(runs(Sizes { fixed: None, largest: 4 }, 4), vec![0..4]);
        assert_eq!(runs(Sizes { fixed: Some(4), largest: 64 }, 5), [0..4, 4..8]);
    }

    proptest::proptest! {
        #[test]
        fn the_runs_cover_every_row_once_in_order(rows in 1_usize..500, largest in 1_usize..70, fixed in proptest::option::of(1_usize..70)) {
            let sizes = Sizes { fixed, largest };
            let mut next = 0;
            for run in sizes.runs(rows) {
                proptest::prop_assert_eq!(run.start, next);
                proptest::prop_assert!(run.start < rows && run.len() <= fixed.unwrap_or(largest));
                proptest::prop_assert!(fixed.is_none_or(|fixed| run.len() == fixed));
                next = run.end;
            }
            let covered = if fixed.is_some() { next >= rows } else { next == rows };
            proptest::prop_assert!(covered);
        }
    }
}
