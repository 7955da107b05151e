//! A decorator that fails the calls a test names, and forwards every other.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tidegate_catalog::{Deadline, EntityKey};

use crate::{BackendKind, Cells, Error, OnlineStore, Put, PutOutcome, ReadPlan, ScanCursor, ScanPage, StoreMarks};

/// What the next call does instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It works.
    None,
    /// It fails and nothing is done.
    Unavailable,
    /// It is late, and nothing is done.
    Late,
    /// It is done, but the answer is lost.
    LostAnswer,
    /// The first rows of a put are done, then it fails.
    HalfDone,
}

/// A store that fails on demand. A clone shares the list of faults.
#[derive(Clone, Debug)]
pub struct Faulty<S> {
    store: S,
    faults: Arc<Mutex<VecDeque<Fault>>>,
}

impl<S> Faulty<S> {
    /// Wraps `store`; without faults it only forwards.
    pub fn new(store: S) -> Self {
        Self { store, faults: Arc::default() }
    }

    /// Adds faults for the next calls, in order.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().extend(faults);
    }

    fn fault(&self) -> Fault {
        self.faults.lock().pop_front().unwrap_or(Fault::None)
    }

    fn before(&self) -> Result<Fault, Error> {
        match self.fault() {
            Fault::Unavailable => Err(unavailable()),
            Fault::Late => Err(Error::Late { backend: BackendKind::Embedded, waited_ms: 0 }),
            fault => Ok(fault),
        }
    }
}

fn unavailable() -> Error {
    Error::Unavailable {
        backend: BackendKind::Embedded,
        address: "a test".to_owned(),
        reason: "the test wants it so".to_owned(),
    }
}

fn after<T>(fault: Fault, done: T) -> Result<T, Error> {
    if fault == Fault::LostAnswer { Err(unavailable()) } else { Ok(done) }
}

impl<S: OnlineStore> OnlineStore for Faulty<S> {
    async fn read(&self, plan: &ReadPlan, deadline: Deadline, out: &mut Cells) -> Result<(), Error> {
        out.clear();
        let fault = self.before()?;
        self.store.read(plan, deadline, out).await?;
        after(fault, ()).inspect_err(|_| out.clear())
    }

    async fn put(&self, rows: &[Put], deadline: Deadline) -> Result<Vec<PutOutcome>, Error> {
        let fault = self.before()?;
        if fault == Fault::HalfDone {
            let half = rows.get(..rows.len() / 2).unwrap_or_default();
            self.store.put(half, deadline).await?;
            return Err(unavailable());
        }
        after(fault, self.store.put(rows, deadline).await?)
    }

    async fn erase(&self, keys: &[EntityKey], deadline: Deadline) -> Result<u64, Error> {
        let fault = self.before()?;
        after(fault, self.store.erase(keys, deadline).await?)
    }

    async fn remove(&self, rows: &[Put], deadline: Deadline) -> Result<u64, Error> {
        let fault = self.before()?;
        after(fault, self.store.remove(rows, deadline).await?)
    }

    async fn scan(&self, from: Option<&ScanCursor>, limit: usize, deadline: Deadline) -> Result<ScanPage, Error> {
        let fault = self.before()?;
        after(fault, self.store.scan(from, limit, deadline).await?)
    }

    async fn marks(&self, deadline: Deadline) -> Result<StoreMarks, Error> {
        let fault = self.before()?;
        after(fault, self.store.marks(deadline).await?)
    }

    async fn raise_marks(&self, to: &StoreMarks, deadline: Deadline) -> Result<StoreMarks, Error> {
        let fault = self.before()?;
        after(fault, self.store.raise_marks(to, deadline).await?)
    }

    async fn adopt(&self, to: &StoreMarks, deadline: Deadline) -> Result<StoreMarks, Error> {
        let fault = self.before()?;
        after(fault, self.store.adopt(to, deadline).await?)
    }

    async fn ready(&self, deadline: Deadline) -> Result<(), Error> {
        let fault = self.before()?;
        after(fault, self.store.ready(deadline).await?)
    }
}
