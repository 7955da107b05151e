//! The decorator that measures a store and counts what becomes of rows.

use std::sync::Arc;

use tidegate_catalog::{Clock, Deadline, EntityKey};

use crate::{
    BackendKind, Cells, Error, OnlineStore, Put, PutOutcome, ReadPlan, ScanCursor, ScanPage, StoreMarks,
    metrics::StoreMetrics,
};

/// A store whose reads and puts are timed and counted.
#[derive(Clone)]
pub struct Timed<S> {
    store: S,
    metrics: StoreMetrics,
    clock: Arc<dyn Clock>,
}

impl<S> Timed<S> {
    /// Wraps `store`; `backend` is the metrics' label.
    pub fn new(store: S, backend: BackendKind, clock: Arc<dyn Clock>) -> Self {
        Self { store, metrics: StoreMetrics::new(backend), clock }
    }

    /// The store itself, measured no longer.
    pub fn into_inner(self) -> S {
        self.store
    }

    fn counted<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        answer.inspect_err(|_| self.metrics.failures.increment(1))
    }
}

impl<S: OnlineStore> OnlineStore for Timed<S> {
    async fn read(&self, plan: &ReadPlan, deadline: Deadline, out: &mut Cells) -> Result<(), Error> {
        let start = self.clock.monotonic();
        let answer = self.store.read(plan, deadline, out).await;
        self.metrics.read_seconds.record(self.clock.monotonic().since(start));
        self.counted(answer)
    }

    async fn put(&self, rows: &[Put], deadline: Deadline) -> Result<Vec<PutOutcome>, Error> {
        let start = self.clock.monotonic();
        self.metrics.puts_in_flight.increment(1);
        // a cancelled put must not leave the gauge raised
        let lowered = Lowered(&self.metrics);
        let answer = self.store.put(rows, deadline).await;
        drop(lowered);
        self.metrics.put_seconds.record(self.clock.monotonic().since(start));
        let outcomes = self.counted(answer)?;
        self.metrics.count(&outcomes);
        Ok(outcomes)
    }

    async fn erase(&self, keys: &[EntityKey], deadline: Deadline) -> Result<u64, Error> {
        self.counted(self.store.erase(keys, deadline).await)
    }

    async fn remove(&self, rows: &[Put], deadline: Deadline) -> Result<u64, Error> {
        self.counted(self.store.remove(rows, deadline).await)
    }

    async fn scan(&self, from: Option<&ScanCursor>, limit: usize, deadline: Deadline) -> Result<ScanPage, Error> {
        self.counted(self.store.scan(from, limit, deadline).await)
    }

    async fn marks(&self, deadline: Deadline) -> Result<StoreMarks, Error> {
        self.counted(self.store.marks(deadline).await)
    }

    async fn raise_marks(&self, to: &StoreMarks, deadline: Deadline) -> Result<StoreMarks, Error> {
        self.counted(self.store.raise_marks(to, deadline).await)
    }

    async fn adopt(&self, to: &StoreMarks, deadline: Deadline) -> Result<StoreMarks, Error> {
        self.counted(self.store.adopt(to, deadline).await)
    }

    async fn ready(&self, deadline: Deadline) -> Result<(), Error> {
        self.counted(self.store.ready(deadline).await)
    }
}

struct Lowered<'a>(&'a StoreMetrics);

impl Drop for Lowered<'_> {
    fn drop(&mut self) {
        self.0.puts_in_flight.decrement(1);
    }
}
