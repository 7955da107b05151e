//! The owner of one session: a thread that takes batches from the model's queue, one after the other, until it closes.
//!
//! Sessions are exclusive, so each has one owner and nobody waits on a lock around it. A run that fails fails its own batch.
//! After a panic, or an error that ONNX Runtime gives no reason in the batch for, nothing tells in which state the session
//! was left: it is thrown away. It is kept where the run ended in order: ONNX Runtime called an argument invalid (a shape, a
//! type, an index out of bounds: what a caller can send), or the run went through and its outputs are not what is served.
//! Otherwise a caller could have sessions made and warmed anew, which costs far more than the call that asks for it.
//!
//! A replica without a session takes no batch while another has one. It tries to make its session again, after pauses that
//! grow; only while no replica has one, batches are failed at once.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::{Receiver, Select, TryRecvError, after};
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

/// How long a lost session's second try waits; each later one waits twice as long as the one before it.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest wait between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often a waiting replica looks whether the others still have sessions.
const LOOK: Duration = Duration::from_millis(20);

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

/// A session that has run every batch size. It counts as ready for as long as it lives, however its owner ends.
struct Warm {
    engine: Box<dyn Engine>,
    ready: Arc<watch::Sender<usize>>,
    metrics: ModelMetrics,
}

impl Warm {
    fn new(engine: Box<dyn Engine>, ready: Arc<watch::Sender<usize>>, metrics: ModelMetrics) -> Self {
        ready.send_modify(|ready| *ready = ready.saturating_add(1));
        // added to, not set: a model that replaces another, or shares its name, has the same gauge
        metrics.ready_replicas.increment(1.0);
        Self { engine, ready, metrics }
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        self.ready.send_modify(|ready| *ready = ready.saturating_sub(1));
        self.metrics.ready_replicas.decrement(1.0);
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
            let session = match self.warm() {
                Ok(warm) => Some(warm),
                Err(reason) => return drop(report.send(Err(reason))),
            };
            // A start that was given up has dropped its end of the report, and the queue with it.
            if report.send(Ok(())).is_ok() {
                Owner { replica: self, session }.serve(&jobs);
            }
        })
    }

    /// A session that is ready, or why there is none; never a panic.
    fn warm(&self) -> Result<Warm, String> {
        let made = catch_unwind(AssertUnwindSafe(|| self.source.engine()));
        let mut engine = made.map_err(|panic| format!("making it panicked: {}", panic_text(&*panic)))??;
        for rows in self.sizes.buckets() {
            let input = self.plan.batch(rows);
            let run = catch_unwind(AssertUnwindSafe(|| engine.run(&input, 0..rows)));
            match run {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(format!("a first run of {rows} rows failed: {}", error.reason())),
                Err(panic) => return Err(format!("a first run of {rows} rows panicked: {}", panic_text(&*panic))),
            }
        }
        Ok(Warm::new(engine, Arc::clone(&self.ready), self.metrics.clone()))
    }

    fn others_are_ready(&self) -> bool {
        *self.ready.borrow() > 0
    }
}

impl RunError {
    fn reason(&self) -> String {
        match self {
            Self::Refused(reason) | Self::Failed(reason) => reason.clone(),
            Self::OutputShape { output, shape } => {
                format!("output {output:?} has shape {shape:?}, which has not the rows first")
            }
        }
    }

    /// Whether the session is as it was before the run.
    const fn keeps_session(&self) -> bool {
        match self {
            Self::Refused(_) | Self::OutputShape { .. } => true,
            Self::Failed(_) => false,
        }
    }

    fn of(self, model: &str, rows: usize) -> Error {
        let model = model.to_owned();
        match self {
            Self::Refused(reason) | Self::Failed(reason) => Error::Run { model, reason },
            Self::OutputShape { output, shape } => Error::OutputShape { model, output, shape, rows },
        }
    }
}

/// A batch that was begun and got no answer.
struct Unanswered {
    error: Error,
    /// Nothing tells in which state the session was left.
    session_lost: bool,
}

impl Unanswered {
    const fn session_kept(error: Error) -> Self {
        Self { error, session_lost: false }
    }

    const fn session_lost(error: Error) -> Self {
        Self { error, session_lost: true }
    }
}

/// A replica's thread while it serves.
struct Owner {
    replica: Replica,
    /// `None` after a run that lost it, until it is made again.
    session: Option<Warm>,
}

/// The queue has no sender any more.
struct Closed;

impl Owner {
    fn serve(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            self.replica.metrics.queued.decrement(1.0);
            // A panic outside a run drops the batch's answer, which tells its caller; the thread must live on, for a queue
            // without an owner would keep what was sent to it.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.answer(job))) {
                let reason = panic_text(&*panic);
                tracing::error!(model = self.replica.model, reason, "a model's thread panicked outside a run");
                self.session = None;
            }
            if self.session.is_none() && self.make_session_again(jobs).is_err() {
                return;
            }
        }
    }

    /// Makes the session that was lost. Meanwhile batches are left to the replicas that have one; where none has, they are
    /// failed as they come.
    fn make_session_again(&mut self, jobs: &Receiver<Job>) -> Result<(), Closed> {
        self.replica.metrics.sessions_replaced.increment(1);
        let mut pause = FIRST_PAUSE;
        loop {
            match self.replica.warm() {
                Ok(warm) => {
                    self.session = Some(warm);
                    return Ok(());
                }
                Err(reason) => {
                    let model = self.replica.model.as_str();
                    tracing::error!(model, reason, pause_ms = pause.as_millis(), "a model's session was lost");
                    self.wait_without_session(jobs, pause, &reason)?;
                }
            }
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    fn wait_without_session(&self, jobs: &Receiver<Job>, pause: Duration, reason: &str) -> Result<(), Closed> {
        let over = after(pause);
        loop {
            // While others have sessions the queue is not looked at. When it closes they end, so that its end is seen then.
            let mut come = Select::new();
            let end = come.recv(&over);
            if !self.replica.others_are_ready() {
                come.recv(jobs);
            }
            match come.ready_timeout(LOOK) {
                Ok(what) if what == end => return Ok(()),
                // nothing was taken yet: whoever has a session by now shall have the batch
                Ok(_) if !self.replica.others_are_ready() => match jobs.try_recv() {
                    Ok(job) => self.refuse(job, reason),
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Disconnected) => return Err(Closed),
                },
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn refuse(&self, job: Job, reason: &str) {
        self.replica.metrics.queued.decrement(1.0);
        self.replica.metrics.failed.increment(1);
        let error = Error::NoSession { model: self.replica.model.clone(), reason: reason.to_owned() };
        deliver(job.reply, Err(error));
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
        let Job { mut input, deadline, queued_at, reply } = job;
        match self.run_parts(&mut input, deadline, &reply) {
            Ok(outputs) => {
                let (queued, ran) = (started.since(queued_at), self.replica.clock.monotonic().since(started));
                self.replica.metrics.ran(queued, ran);
                deliver(reply, Ok(Inference { outputs, input, queued, ran }));
            }
            Err(Unanswered { error, session_lost }) => {
                match error {
                    Error::Late { .. } => self.replica.metrics.late.increment(1),
                    _ => self.replica.metrics.failed.increment(1),
                }
                if session_lost {
                    self.session = None;
                }
                deliver(reply, Err(error));
            }
        }
    }

    fn run_parts(
        &mut self,
        input: &mut BatchInput,
        deadline: Deadline,
        reply: &oneshot::Sender<Result<Inference, Error>>,
    ) -> Result<Outputs, Unanswered> {
        let model = self.replica.model.as_str();
        let Some(session) = self.session.as_mut() else {
            let reason = "it was lost".to_owned();
            return Err(Unanswered::session_lost(Error::NoSession { model: model.to_owned(), reason }));
        };
        let rows = input.rows();
        let runs: Vec<_> = self.replica.sizes.runs(rows).collect();
        input.pad_to(runs.last().map_or(rows, |last| last.end));
        let mut all: Option<Outputs> = None;
        for run in runs {
            let gone = deadline.is_over(self.replica.clock.monotonic()) || reply.is_closed();
            if all.is_some() && gone {
                let late = Error::Late { model: model.to_owned(), stage: Stage::BetweenRuns };
                return Err(Unanswered::session_kept(late));
            }
            let count = run.len();
            self.replica.metrics.run_rows.record(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
            let outputs = catch_unwind(AssertUnwindSafe(|| session.engine.run(input, run)))
                .map_err(|panic| Error::Panicked { model: model.to_owned(), reason: panic_text(&*panic) })
                .map_err(Unanswered::session_lost)?
                .map_err(|error| Unanswered { session_lost: !error.keeps_session(), error: error.of(model, count) })?;
            match &mut all {
                None => all = Some(outputs),
                Some(all) => {
                    let same = all.append(outputs);
                    let reason = || "an output changed its type or shape between two runs".to_owned();
                    let changed = || Error::Run { model: model.to_owned(), reason: reason() };
                    same.then_some(()).ok_or_else(|| Unanswered::session_kept(changed()))?;
                }
            }
        }
        input.truncate(rows);
        let no_rows = || Unanswered::session_kept(Error::NoRows { model: model.to_owned() });
        let mut outputs = all.ok_or_else(no_rows)?;
        outputs.truncate(rows);
        Ok(outputs)
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
