//! The embedded store: one redb file in the state folder, owned by this process.
//!
//! Reads run inline, in slices that let other tasks run: a few microseconds from a memory-mapped-like cache, never behind a writer (the engine is multi-version).
//! Writes go to one named thread, one transaction a batch, so compare-and-put needs no lock. A batch is acknowledged after
//! its commit: it then survives the death of the process ([`Durability::Process`]: the pages are the kernel's) or of the
//! machine ([`Durability::Power`]: synced). Choice and figures: docs/adr, "the embedded store is redb".

mod engine;
mod page_cache;
mod writer;

use std::{path::Path, sync::Arc, time::Duration};

use tidegate_catalog::{Clock, Deadline, EntityKey};
use tokio::sync::watch;

use crate::{Cells, Error, OnlineStore, Put, PutOutcome, ReadPlan, ScanCursor, ScanPage, StoreMarks, marks::Claim};
use engine::Engine;
use writer::{Answer, Job, Writer};

/// How long a close waits for reads that other clones have begun.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The death of the process.
    #[default]
    Process,
    /// The death of the machine: each batch is synced.
    Power,
}

/// How the embedded store is opened.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// Bytes of the engine's page cache.
    pub cache_bytes: usize,
    /// A short prefix of every key.
    pub namespace: String,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self { durability: Durability::Process, cache_bytes: 256 * 1024 * 1024, namespace: String::new() }
    }
}

/// The embedded backend. A clone shares it; the last one closes the file.
#[derive(Clone, Debug)]
pub struct EmbeddedStore {
    // dropped before the writer, whose end closes the file
    engine: Arc<Engine>,
    writer: Writer,
    clock: Arc<dyn Clock>,
    closed: watch::Receiver<()>,
}

impl EmbeddedStore {
    /// Opens the file `rows.redb` in `folder`, making it when it is not there. The caller owns the folder.
    /// # Errors
    /// [`Error::Unavailable`] when the file cannot be opened or is held by another process.
    pub fn open(folder: &Path, config: &EmbeddedConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let (engine, closed) = Engine::open(&folder.join("rows.redb"), config)?;
        let engine = Arc::new(engine);
        let writer = Writer::start(Arc::clone(&engine))?;
        Ok(Self { engine, writer, clock, closed })
    }

    /// Closes the file in order and returns once it is closed: writes that wait are done, the engine's state is written and
    /// synced, the file's lock is free. Writes through other clones are refused from now on. Dropping the last clone closes
    /// the file as well, but holds the thread that drops it until it is synced.
    ///
    /// Dropping the future leaves the closing to the last clone.
    /// # Errors
    /// [`Error::Unavailable`] when another clone still holds the file after 5 s.
    pub async fn close(self) -> Result<(), Error> {
        let Self { engine, writer, mut closed, .. } = self;
        writer.end().await;
        // whoever drops the engine last syncs the file, which may be here
        drop(tokio::task::spawn_blocking(move || drop(engine)).await);
        // it is never sent to: it ends with the engine
        let ended = tokio::time::timeout(CLOSE_LIMIT, closed.changed()).await;
        ended.map(drop).map_err(|_elapsed| engine::unavailable("close rows.redb", &"something still reads it"))
    }

    fn in_time(&self, deadline: Deadline) -> Result<(), Error> {
        if deadline.is_over(self.clock.monotonic()) {
            return Err(late(Duration::ZERO));
        }
        Ok(())
    }

    /// Has the writing thread do a job. When the deadline passes first, the job is still done.
    async fn write<T>(&self, deadline: Deadline, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, Error> {
        self.in_time(deadline)?;
        let left = deadline.left(self.clock.monotonic());
        tokio::time::timeout(left, self.writer.run(job)).await.unwrap_or_else(|_elapsed| Err(late(left)))
    }
}

fn late(waited: Duration) -> Error {
    let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
    Error::Late { backend: crate::BackendKind::Embedded, waited_ms }
}

impl OnlineStore for EmbeddedStore {
    async fn read(&self, plan: &ReadPlan, deadline: Deadline, out: &mut Cells) -> Result<(), Error> {
        out.clear();
        if plan.is_empty() {
            return Ok(());
        }
        self.in_time(deadline)?;
        self.engine.read(plan, || self.in_time(deadline), out).await.inspect_err(|_| out.clear())
    }

    async fn put(&self, rows: &[Put], deadline: Deadline) -> Result<Vec<PutOutcome>, Error> {
        let rows = rows.to_vec();
        self.write(deadline, |answer| Job::Put { rows, answer }).await
    }

    async fn erase(&self, keys: &[EntityKey], deadline: Deadline) -> Result<u64, Error> {
        let keys = keys.to_vec();
        self.write(deadline, |answer| Job::Erase { keys, answer }).await
    }

    async fn remove(&self, rows: &[Put], deadline: Deadline) -> Result<u64, Error> {
        let rows = rows.to_vec();
        self.write(deadline, |answer| Job::Remove { rows, answer }).await
    }

    async fn scan(&self, from: Option<&ScanCursor>, limit: usize, deadline: Deadline) -> Result<ScanPage, Error> {
        self.in_time(deadline)?;
        let engine = Arc::clone(&self.engine);
        let from = from.cloned();
        // a page may be large: off the async workers
        tokio::task::spawn_blocking(move || engine.scan(from.as_ref(), limit))
            .await
            .map_err(|error| engine::unavailable("scan", &error))?
    }

    async fn marks(&self, deadline: Deadline) -> Result<StoreMarks, Error> {
        self.in_time(deadline)?;
        self.engine.marks()
    }

    async fn raise_marks(&self, to: &StoreMarks, deadline: Deadline) -> Result<StoreMarks, Error> {
        let to = to.clone();
        self.write(deadline, |answer| Job::RaiseMarks { to, claim: Claim::Raise, answer }).await
    }

    async fn adopt(&self, to: &StoreMarks, deadline: Deadline) -> Result<StoreMarks, Error> {
        let to = to.clone();
        self.write(deadline, |answer| Job::RaiseMarks { to, claim: Claim::Adopt, answer }).await
    }

    async fn ready(&self, deadline: Deadline) -> Result<(), Error> {
        self.writer.alive()?;
        self.marks(deadline).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::testing::{TestRow, steady_clock};

    /// Whether redb repairs the file when it is opened now.
    fn is_repaired(folder: &Path) -> bool {
        let repaired = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&repaired);
        let mut builder = redb::Builder::new();
        builder.set_repair_callback(move |_| seen.store(true, Ordering::Relaxed));
        drop(builder.open(folder.join("rows.redb")).unwrap());
        repaired.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_closed_store_needs_no_repair_and_is_free_at_once() {
        for durability in [Durability::Process, Durability::Power] {
            let folder = tempfile::tempdir().unwrap();
            let config = EmbeddedConfig { durability, cache_bytes: 4 << 20, ..EmbeddedConfig::default() };
            let row = TestRow { entity: 1, field: 1, event: 1, created: None, value: Some(1) }.put();
            for _ in 0..20 {
                let store = EmbeddedStore::open(folder.path(), &config, steady_clock()).unwrap();
                store.put(std::slice::from_ref(&row), Deadline::NEVER).await.unwrap();
                store.close().await.unwrap();
                assert!(!is_repaired(folder.path()), "{durability:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_close_finishes_writes_that_wait_and_refuses_later_ones() {
        let folder = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig { cache_bytes: 4 << 20, ..EmbeddedConfig::default() };
        let store = EmbeddedStore::open(folder.path(), &config, steady_clock()).unwrap();
        let row = |entity| [TestRow { entity, field: 1, event: 1, created: None, value: Some(1) }.put()];
        let (early, late) = (store.clone(), store.clone());
        let (put, refused, closed) = tokio::join!(
            biased;
            async move { early.put(&row(1), Deadline::NEVER).await },
            async move {
                while late.writer.alive().is_ok() {
                    tokio::task::yield_now().await;
                }
                late.put(&row(2), Deadline::NEVER).await
            },
            store.close(),
        );
        assert_eq!(put.unwrap(), [PutOutcome::Written]);
        assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
        closed.unwrap();
    }

    #[tokio::test]
    async fn a_store_whose_writing_thread_has_ended_is_not_ready_and_takes_no_rows() {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path(), &EmbeddedConfig::default(), steady_clock()).unwrap();
        let store = EmbeddedStore { writer: Writer::ended(), ..store };
        let unready = store.ready(Deadline::NEVER).await.unwrap_err();
        let words = "embedded store at the state folder cannot be reached: cannot write: the writing thread has ended";
        assert_eq!(unready.to_string(), words);
        let row = TestRow { entity: 1, field: 1, event: 1, created: None, value: Some(1) };
        let refused = store.put(&[row.put()], Deadline::NEVER).await.unwrap_err();
        assert_eq!(refused.to_string(), words);
        assert!(store.marks(Deadline::NEVER).await.is_ok(), "it still reads");
    }
}
