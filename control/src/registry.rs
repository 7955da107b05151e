//! The registry: every applied version as a snapshot, the numbers that were given, and the run ledger, in one file.
//!
//! Every change is one transaction that reads the newest snapshot, makes the next one and publishes it; a reader sees the
//! one or the other. Several processes may hold the same file; writers queue at the file's lock.

mod apply;
mod ledger;
mod moves;

use std::{future::Future, path::Path, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidegate_catalog::{Clock, Micros, Snapshot};

pub use self::{
    apply::{Applied, ApplyOutcome, Breaking},
    moves::{Reclaimable, Settled},
};
use crate::{
    Error, Marks,
    generations::Numbers,
    storage::{
        Connection, Storage, WriteTransaction, from_db, meta,
        snapshots::{self, VersionRow},
        to_db,
    },
};

/// Where readers get snapshots from: the registry's database now, another process later.
///
/// Versions only grow. A version's bytes never change. Both methods are cancel-safe and safe to retry.
pub trait SnapshotSource: Send + Sync {
    /// The newest version; `None` while nothing was applied.
    /// # Errors
    /// When the source cannot be asked.
    fn newest_version(&self) -> impl Future<Output = Result<Option<u64>, Error>> + Send;

    /// The canonical bytes of `version`.
    /// # Errors
    /// [`Error::UnknownVersion`] for one that was never published; others when the source cannot be asked.
    fn bytes(&self, version: u64) -> impl Future<Output = Result<Bytes, Error>> + Send;
}

/// The open registry. A clone is cheap and shares the connections.
///
/// Every async method is cancel-safe: one that writes either has committed or has changed nothing.
#[derive(Clone, Debug)]
pub struct Registry {
    storage: Storage,
    clock: Arc<dyn Clock>,
}

/// Why a version was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Definitions or model files changed.
    Apply,
    /// A generation was started on demand.
    Rebuild,
    /// Readers moved to a new generation.
    Move,
    /// A retired generation's rows are gone.
    Reclaim,
    /// The numbers moved past a store's.
    Adopt,
}

impl Cause {
    const ALL: [Self; 5] = [Self::Apply, Self::Rebuild, Self::Move, Self::Reclaim, Self::Adopt];

    /// The name in the registry and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Rebuild => "rebuild",
            Self::Move => "move",
            Self::Reclaim => "reclaim",
            Self::Adopt => "adopt",
        }
    }
}

/// A published version without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublishedVersion {
    /// Its number.
    pub version: u64,
    /// Wall time of its publication.
    pub made_at: Micros,
    /// Why it was published.
    pub cause: Cause,
    /// The hash of its bytes.
    pub hash: String,
    /// The hash of its definitions.
    pub definitions_hash: String,
}

impl Registry {
    /// Opens the registry in `file`, making it when it is not there; its folder must be.
    /// # Errors
    /// [`Error::NotUsable`], [`Error::NotARegistry`], [`Error::Newer`], each naming the file.
    pub async fn open(file: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Ok(Self { storage: Storage::open(file).await?, clock })
    }

    /// Closes the file; calls on other clones fail from now on.
    pub async fn close(&self) {
        self.storage.close().await;
    }

    /// The registry's id: random, for ever. A store that is adopted takes it.
    /// # Errors
    /// When the database fails.
    pub async fn id(&self) -> Result<String, Error> {
        let mut connection = self.storage.read().await?;
        self.stored_id(&mut connection).await
    }

    /// The newest snapshot; `None` while nothing was applied.
    /// # Errors
    /// [`Error::Snapshot`] when it cannot be read by this version.
    pub async fn newest(&self) -> Result<Option<Snapshot>, Error> {
        let mut connection = self.storage.read().await?;
        self.newest_on(&mut connection).await
    }

    /// Every published version, oldest first.
    /// # Errors
    /// When the database fails.
    pub async fn versions(&self) -> Result<Vec<PublishedVersion>, Error> {
        let mut connection = self.storage.read().await?;
        let rows = snapshots::all(&mut connection).await.map_err(|source| self.storage.failed(source))?;
        rows.into_iter().map(|row| self.published(row)).collect()
    }

    /// The highest numbers given: what a batch writer compares with a store's meta cells and raises them to.
    /// # Errors
    /// When the database fails.
    pub async fn marks(&self) -> Result<Marks, Error> {
        let mut connection = self.storage.read().await?;
        let numbers = self.numbers(&mut connection).await?;
        let version = snapshots::newest_version(&mut connection).await.map_err(|source| self.storage.failed(source))?;
        Ok(Marks {
            registry_id: self.stored_id(&mut connection).await?,
            version: version.unwrap_or(0),
            project: numbers.project,
            key_set: numbers.key_set,
            field: numbers.field,
        })
    }

    async fn stored_id(&self, connection: &mut Connection) -> Result<String, Error> {
        let id = meta::get(connection, meta::REGISTRY_ID).await.map_err(|source| self.storage.failed(source))?;
        id.ok_or_else(|| self.storage.damaged("its id is missing"))
    }

    async fn newest_on(&self, connection: &mut Connection) -> Result<Option<Snapshot>, Error> {
        let newest = snapshots::newest_content(connection).await.map_err(|source| self.storage.failed(source))?;
        let Some((version, content)) = newest else { return Ok(None) };
        let version = from_db(version);
        Snapshot::from_bytes(&content).map(Some).map_err(|source| Error::Snapshot { version, source })
    }

    async fn numbers(&self, connection: &mut Connection) -> Result<Numbers, Error> {
        Ok(Numbers {
            project: self.number(connection, meta::PROJECT).await?,
            key_set: self.number(connection, meta::KEY_SET).await?,
            field: self.number(connection, meta::FIELD).await?,
        })
    }

    /// A number not given yet is 0; a damaged one is an error, never 0, for it would be given twice.
    async fn number(&self, connection: &mut Connection, name: &'static str) -> Result<u32, Error> {
        let text = meta::get(connection, name).await.map_err(|source| self.storage.failed(source))?;
        match text {
            None => Ok(0),
            Some(text) => {
                text.parse().map_err(|_| self.storage.damaged(format!("its {name} is {text:?}, not a number")))
            }
        }
    }

    async fn set_numbers(&self, connection: &mut Connection, numbers: Numbers) -> Result<(), Error> {
        let all = [(meta::PROJECT, numbers.project), (meta::KEY_SET, numbers.key_set), (meta::FIELD, numbers.field)];
        for (name, number) in all {
            let set = meta::set(connection, name, &number.to_string()).await;
            set.map_err(|source| self.storage.failed(source))?;
        }
        Ok(())
    }

    /// Stores `snapshot` under its version and commits what was written with it. The caller has counted the version up.
    async fn publish(&self, mut write: WriteTransaction, snapshot: &Snapshot, cause: Cause) -> Result<(), Error> {
        let row = VersionRow {
            version: to_db(snapshot.version),
            made_at_us: snapshot.made_at.0,
            cause: cause.as_str().to_owned(),
            hash: snapshot.hash(),
            definitions_hash: snapshot.definitions_hash.clone(),
        };
        let insert = snapshots::insert(&mut write, &row, &snapshot.to_bytes()).await;
        insert.map_err(|source| self.storage.failed(source))?;
        self.storage.commit(write).await?;
        tracing::info!(version = snapshot.version, cause = cause.as_str(), hash = row.hash, "snapshot published");
        Ok(())
    }

    /// The next version of `current`, still equal to it in everything but number and time.
    fn successor(&self, current: &Snapshot) -> Result<Snapshot, Error> {
        let version = current.version.checked_add(1).filter(|version| i64::try_from(*version).is_ok());
        let version = version.ok_or(Error::NumbersExhausted { kind: "version" })?;
        Ok(Snapshot { version, made_at: self.clock.wall_now(), ..current.clone() })
    }

    fn published(&self, row: VersionRow) -> Result<PublishedVersion, Error> {
        let cause = Cause::ALL.into_iter().find(|cause| cause.as_str() == row.cause);
        Ok(PublishedVersion {
            version: from_db(row.version),
            made_at: Micros(row.made_at_us),
            cause: cause.ok_or_else(|| self.storage.damaged(format!("version {} has no cause", row.version)))?,
            hash: row.hash,
            definitions_hash: row.definitions_hash,
        })
    }
}

impl SnapshotSource for Registry {
    async fn newest_version(&self) -> Result<Option<u64>, Error> {
        let mut connection = self.storage.read().await?;
        snapshots::newest_version(&mut connection).await.map_err(|source| self.storage.failed(source))
    }

    async fn bytes(&self, version: u64) -> Result<Bytes, Error> {
        let mut connection = self.storage.read().await?;
        let content = snapshots::content(&mut connection, version).await;
        let content = content.map_err(|source| self.storage.failed(source))?;
        content.map(Bytes::from).ok_or(Error::UnknownVersion { version })
    }
}

#[cfg(test)]
mod tests;
