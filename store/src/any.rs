//! The closed set of backends as one type, chosen where the program is composed.

use tidegate_catalog::{Deadline, EntityKey};

use crate::{
    BackendKind, Cells, EmbeddedStore, Error, OnlineStore, Put, PutOutcome, ReadPlan, RedisStore, ScanCursor, ScanPage,
    StoreMarks,
};

/// One of the backends. A clone shares it.
#[derive(Clone, Debug)]
pub enum AnyStore {
    /// In this process, on disk.
    Embedded(EmbeddedStore),
    /// A Redis or Valkey server.
    Redis(RedisStore),
}

impl AnyStore {
    /// Which one it is.
    pub const fn kind(&self) -> BackendKind {
        match self {
            Self::Embedded(_) => BackendKind::Embedded,
            Self::Redis(_) => BackendKind::Redis,
        }
    }

    /// Ends this process's use of the store in order; see [`EmbeddedStore::close`]. A server has nothing to close.
    /// # Errors
    /// [`Error::Unavailable`] when the file of an embedded store is still held.
    pub async fn close(self) -> Result<(), Error> {
        match self {
            Self::Embedded(store) => store.close().await,
            Self::Redis(_) => Ok(()),
        }
    }
}

/// Calls the backend that is there.
macro_rules! forward {
    ($self:ident, $method:ident($($argument:expr),*)) => {
        match $self {
            AnyStore::Embedded(store) => store.$method($($argument),*).await,
            AnyStore::Redis(store) => store.$method($($argument),*).await,
        }
    };
}

impl OnlineStore for AnyStore {
    async fn read(&self, plan: &ReadPlan, deadline: Deadline, out: &mut Cells) -> Result<(), Error> {
        forward!(self, read(plan, deadline, out))
    }

    async fn put(&self, rows: &[Put], deadline: Deadline) -> Result<Vec<PutOutcome>, Error> {
        forward!(self, put(rows, deadline))
    }

    async fn erase(&self, keys: &[EntityKey], deadline: Deadline) -> Result<u64, Error> {
        forward!(self, erase(keys, deadline))
    }

    async fn remove(&self, rows: &[Put], deadline: Deadline) -> Result<u64, Error> {
        forward!(self, remove(rows, deadline))
    }

    async fn scan(&self, from: Option<&ScanCursor>, limit: usize, deadline: Deadline) -> Result<ScanPage, Error> {
        forward!(self, scan(from, limit, deadline))
    }

    async fn marks(&self, deadline: Deadline) -> Result<StoreMarks, Error> {
        forward!(self, marks(deadline))
    }

    async fn raise_marks(&self, to: &StoreMarks, deadline: Deadline) -> Result<StoreMarks, Error> {
        forward!(self, raise_marks(to, deadline))
    }

    async fn adopt(&self, to: &StoreMarks, deadline: Deadline) -> Result<StoreMarks, Error> {
        forward!(self, adopt(to, deadline))
    }

    async fn ready(&self, deadline: Deadline) -> Result<(), Error> {
        forward!(self, ready(deadline))
    }
}
