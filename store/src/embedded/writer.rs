//! The one thread that writes: takes jobs from a bounded channel, one transaction each, and answers after the commit.

use std::{sync::Arc, thread};

use tidegate_catalog::EntityKey;
use tokio::sync::{mpsc, oneshot};

use super::engine::{Engine, unavailable};
use crate::{Error, Put, PutOutcome, StoreMarks, marks::Claim};

/// Jobs that may wait; a caller beyond them waits for room, which holds a fast producer back.
const QUEUE: usize = 64;
const ENDED: &str = "the writing thread has ended";

pub(super) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// One transaction's work.
#[derive(Debug)]
pub(super) enum Job {
    Put {
        rows: Vec<Put>,
        answer: Answer<Vec<PutOutcome>>,
    },
    Erase {
        keys: Vec<EntityKey>,
        answer: Answer<u64>,
    },
    Remove {
        rows: Vec<Put>,
        answer: Answer<u64>,
    },
    RaiseMarks {
        to: StoreMarks,
        claim: Claim,
        answer: Answer<StoreMarks>,
    },
    /// The last one: what was sent before it is done, what comes after it is refused.
    End,
}

/// The handle of the writing thread. With its last clone the thread does what is queued, ends and lets go of the file, and
/// that clone waits for it: whoever opens the file next finds it free.
#[derive(Clone, Debug)]
pub(super) struct Writer(Arc<Thread>);

#[derive(Debug)]
struct Thread {
    /// `None` only while it is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the online store's writing thread ended in a panic");
        }
    }
}

impl Writer {
    pub(super) fn start(engine: Arc<Engine>) -> Result<Self, Error> {
        let (send, mut receive) = mpsc::channel::<Job>(QUEUE);
        let thread = thread::Builder::new()
            .name("tidegate-store-writer".to_owned())
            .spawn(move || {
                while let Some(job) = receive.blocking_recv() {
                    if !perform(&engine, job) {
                        break;
                    }
                }
            })
            .map_err(|error| unavailable("start the writing thread", &error))?;
        Ok(Self(Arc::new(Thread { jobs: Some(send), thread: Some(thread) })))
    }

    /// One whose thread has ended.
    #[cfg(test)]
    pub(super) fn ended() -> Self {
        Self(Arc::new(Thread { jobs: Some(mpsc::channel(1).0), thread: None }))
    }

    fn jobs(&self) -> Result<&mpsc::Sender<Job>, Error> {
        self.0.jobs.as_ref().filter(|jobs| !jobs.is_closed()).ok_or_else(|| unavailable("write", &ENDED))
    }

    /// # Errors
    /// When the thread has ended: it panicked.
    pub(super) fn alive(&self) -> Result<(), Error> {
        self.jobs().map(drop)
    }

    /// Lets the thread end after the jobs that wait already. One that has ended is no error.
    pub(super) async fn end(&self) {
        if let Ok(jobs) = self.jobs() {
            drop(jobs.send(Job::End).await);
        }
    }

    /// Sends a job and waits for its commit. A caller that goes away leaves the job to be done.
    pub(super) async fn run<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.jobs()?.send(job(answer)).await.map_err(|_| unavailable("write", &ENDED))?;
        answered.await.map_err(|_| unavailable("write", &ENDED))?
    }
}

/// Does a job; false after the last one.
fn perform(engine: &Engine, job: Job) -> bool {
    // a receiver that has gone is a caller that was cancelled: its write stands, nobody waits for the answer
    match job {
        Job::Put { rows, answer } => drop(answer.send(engine.put(&rows))),
        Job::Erase { keys, answer } => drop(answer.send(engine.erase(&keys))),
        Job::Remove { rows, answer } => drop(answer.send(engine.remove(&rows))),
        Job::RaiseMarks { to, claim, answer } => drop(answer.send(engine.raise_marks(&to, claim))),
        Job::End => return false,
    }
    true
}
