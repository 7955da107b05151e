//! The face of a running model: a cheap handle in front of one bounded queue and its replicas' threads.
//!
//! Who calls it never sees a session, a lock or a thread, so that requests may one day be batched or run by their
//! callers without a change here. Cancelling is dropping the future: a batch that has not begun by then is skipped.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use crossbeam_channel::{Sender, TrySendError, bounded};
use parking_lot::Mutex;
use tidegate_catalog::{
    CallContext, Clock,
    definitions::{MAX_BATCH_SIZE, MAX_REPLICAS},
};
use tokio::sync::{oneshot, watch};

use crate::{
    batch_input::BatchInput,
    error::{Error, ModelError, Stage},
    fit::InputPlan,
    metrics::ModelMetrics,
    model_file::{ModelFile, name_of},
    outputs::Outputs,
    replica::{Job, Replica, Sizes},
    session::EngineSource,
    signature::Signature,
};

/// How a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelConfig {
    /// Sessions side by side, each with a thread of its own.
    pub replicas: NonZeroUsize,
    /// Most rows in one run; a larger request is run in parts.
    pub max_batch_size: NonZeroUsize,
    /// Requests that may wait; the next one is refused.
    pub queue_requests: NonZeroUsize,
}

/// A running model. A cheap clone; the model ends with its last handle, or by [`Self::shutdown`].
#[derive(Clone, Debug)]
pub struct ModelHandle {
    shared: Arc<Shared>,
}

/// A batch's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Inference {
    /// What the model gave, one row for each row of the batch.
    pub outputs: Outputs,
    /// The batch, whose memory may be used again: [`ModelHandle::recycle`].
    pub input: BatchInput,
    /// Time in the queue.
    pub queued: Duration,
    /// Time in the model.
    pub ran: Duration,
}

struct Shared {
    name: String,
    hash: String,
    signature: Signature,
    plan: InputPlan,
    config: ModelConfig,
    /// `None` once the model shuts down.
    queue: ArcSwapOption<Sender<Job>>,
    ready: watch::Receiver<usize>,
    running: watch::Receiver<usize>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    spare: Mutex<Vec<BatchInput>>,
    clock: Arc<dyn Clock>,
    metrics: ModelMetrics,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("name", &self.name).field("config", &self.config).finish_non_exhaustive()
    }
}

/// What a model is started from.
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) hash: String,
    pub(crate) path: std::path::PathBuf,
    pub(crate) signature: Signature,
    pub(crate) plan: InputPlan,
    pub(crate) source: Arc<dyn EngineSource>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl ModelHandle {
    /// Makes the model's sessions, each on the thread that will own it, and warms every batch size (1, 2, 4, ... up to
    /// `max_batch_size`) before it answers. `plan` comes from the file's signature. Dropping the future gives the start
    /// up: each thread ends when its session has been made.
    /// # Errors
    /// [`ModelError`] if a session cannot be made or its warm-up run fails; the other threads end by themselves.
    pub async fn start(
        file: &ModelFile,
        plan: &InputPlan,
        config: ModelConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ModelError> {
        let parts = Parts {
            name: name_of(file.path()),
            hash: file.hash().to_owned(),
            path: file.path().to_owned(),
            signature: file.signature().clone(),
            plan: plan.clone(),
            source: Arc::new(file.clone()),
            clock,
        };
        Self::start_parts(parts, config).await
    }

    pub(crate) async fn start_parts(parts: Parts, config: ModelConfig) -> Result<Self, ModelError> {
        // definitions are checked for it; a catalog that was written before, or by hand, must not abort the process
        let asked =
            [("replicas", config.replicas, MAX_REPLICAS), ("rows in one run", config.max_batch_size, MAX_BATCH_SIZE)];
        for (what, asked, most) in asked {
            if u32::try_from(asked.get()).is_ok_and(|asked| asked <= most) {
                continue;
            }
            let reason = format!("{asked} {what} are asked for, the most is {most}");
            return Err(ModelError::NotStarted { path: parts.path, reason });
        }
        let (send_jobs, jobs) = bounded(config.queue_requests.get());
        let (ready_count, ready) = watch::channel(0_usize);
        let (running_count, running) = watch::channel(0_usize);
        let (ready_count, running_count) = (Arc::new(ready_count), Arc::new(running_count));
        let metrics = ModelMetrics::of(&parts.name);
        let sizes = Sizes { fixed: parts.signature.fixed_rows(), largest: config.max_batch_size.get() };
        let mut threads = Vec::with_capacity(config.replicas.get());
        let mut started = Vec::with_capacity(config.replicas.get());
        for _ in 0..config.replicas.get() {
            let (report, reported) = oneshot::channel();
            let replica = Replica {
                model: parts.name.clone(),
                source: Arc::clone(&parts.source),
                plan: parts.plan.clone(),
                sizes,
                clock: Arc::clone(&parts.clock),
                metrics: metrics.clone(),
                ready: Arc::clone(&ready_count),
            };
            let thread = replica.spawn(jobs.clone(), report, Arc::clone(&running_count));
            threads.push(
                thread.map_err(|error| ModelError::NoThread { path: parts.path.clone(), reason: error.to_string() })?,
            );
            started.push(reported);
        }
        for reported in started {
            let outcome = reported.await.unwrap_or_else(|_| Err("its thread ended".to_owned()));
            outcome.map_err(|reason| ModelError::NotStarted { path: parts.path.clone(), reason })?;
        }
        let shared = Shared {
            name: parts.name,
            hash: parts.hash,
            signature: parts.signature,
            plan: parts.plan,
            config,
            queue: ArcSwapOption::from_pointee(send_jobs),
            ready,
            running,
            threads: Mutex::new(threads),
            spare: Mutex::new(Vec::new()),
            clock: parts.clock,
            metrics,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Runs `input` and answers one row for each of its rows. Dropping the future cancels: a batch that no replica has
    /// begun is then skipped. Not to be repeated after [`Error::Run`] and [`Error::Panicked`].
    /// # Errors
    /// [`Error::QueueFull`] at once, [`Error::Late`] when `call`'s deadline passes first (still queued, it is never
    /// run), or why this batch failed; no other batch is touched.
    /// # Cost
    /// One push and one wake-up of a replica's thread, one wake-up back; the values of number tensors are not copied.
    pub async fn infer(&self, input: BatchInput, call: &CallContext) -> Result<Inference, Error> {
        let shared = &*self.shared;
        let now = shared.clock.monotonic();
        if !Arc::ptr_eq(input.layout(), shared.plan.layout()) && input.layout() != shared.plan.layout() {
            return Err(Error::OtherInputs { model: shared.name.clone() });
        }
        if input.rows() == 0 {
            return Err(Error::NoRows { model: shared.name.clone() });
        }
        if call.deadline.is_over(now) {
            shared.metrics.late.increment(1);
            return Err(Error::Late { model: shared.name.clone(), stage: Stage::BeforeQueue });
        }
        let (reply, answer) = oneshot::channel();
        shared.enqueue(Job { input, deadline: call.deadline, queued_at: now, reply })?;
        match tokio::time::timeout(call.deadline.left(now), answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Error::ShutDown { model: shared.name.clone() }),
            Err(_) => Err(Error::Late { model: shared.name.clone(), stage: Stage::Waiting }),
        }
    }

    /// A batch of `rows` rows to write into, from recycled memory where there is some.
    pub fn input(&self, rows: usize) -> BatchInput {
        let spare = self.shared.spare.lock().pop();
        match spare {
            Some(mut input) => {
                input.reset(rows);
                input
            }
            None => self.shared.plan.batch(rows),
        }
    }

    /// Gives a batch's memory back for [`Self::input`]; as many are kept as can be under way, and none that is larger than
    /// one run, so that a few large requests do not stay in memory for ever.
    pub fn recycle(&self, input: BatchInput) {
        if input.rows() > self.shared.config.max_batch_size.get() {
            return;
        }
        let most = self.shared.config.queue_requests.get().saturating_add(self.shared.config.replicas.get());
        let mut spare = self.shared.spare.lock();
        if spare.len() < most {
            spare.push(input);
        }
    }

    /// Whether it takes batches and at least one replica has a warm session.
    pub fn is_ready(&self) -> bool {
        *self.shared.ready.borrow() > 0 && self.shared.queue.load().is_some()
    }

    /// Takes no more batches, answers those that it has taken, and ends the threads. Dropping the future leaves only the
    /// waiting out; calling it again waits again.
    pub async fn shutdown(&self) {
        self.shared.queue.store(None);
        let mut running = self.shared.running.clone();
        // An error here means that every thread has dropped its end, which is what is waited for.
        drop(running.wait_for(|running| *running == 0).await);
        let threads = std::mem::take(&mut *self.shared.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!(model = self.shared.name, "a model's thread ended in a panic");
            }
        }
    }

    /// The model file's stem, as in messages and metrics.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// blake3 of the model file, in hexadecimal.
    pub fn hash(&self) -> &str {
        &self.shared.hash
    }

    /// What it takes and gives.
    pub fn signature(&self) -> &Signature {
        &self.shared.signature
    }

    /// Where each column goes.
    pub fn plan(&self) -> &InputPlan {
        &self.shared.plan
    }

    /// How it runs.
    pub fn config(&self) -> ModelConfig {
        self.shared.config
    }
}

impl Shared {
    fn enqueue(&self, job: Job) -> Result<(), Error> {
        let queue = self.queue.load();
        let Some(queue) = &*queue else { return Err(Error::ShutDown { model: self.name.clone() }) };
        match queue.try_send(job) {
            Ok(()) => {
                self.metrics.queued.increment(1.0);
                Ok(())
            }
            Err(TrySendError::Full(_)) => {
                self.metrics.shed.increment(1);
                Err(Error::QueueFull { model: self.name.clone(), limit: self.config.queue_requests.get() })
            }
            Err(TrySendError::Disconnected(_)) => Err(Error::ShutDown { model: self.name.clone() }),
        }
    }
}

#[cfg(test)]
mod tests;
