//! The registry's file: opening it, its schema, its transactions. The statements stand in the modules below, as plain SQL
//! with `$n` parameters, so that a second database needs its own schema and this file, nothing more.
//!
//! The journal is a WAL and every commit is synced (`synchronous = FULL`): what was acknowledged survives a `kill -9` and
//! a power cut, and a torn write is rolled back when the file is next opened. That is SQLite's promise; nothing here adds
//! to it. Writers take the lock when they begin, so that what they read cannot move under them.

pub(crate) mod meta;
pub(crate) mod runs;
mod schema;
pub(crate) mod snapshots;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    Sqlite, SqliteConnection, SqlitePool, Transaction,
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::Error;

/// How long a writer waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Takes the write lock at once, not at the first write.
const BEGIN: &str = "BEGIN IMMEDIATE";
/// One writer, and readers beside it.
const CONNECTIONS: u32 = 4;

/// An open registry file.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pool: SqlitePool,
    path: PathBuf,
}

impl Storage {
    /// Opens the file, making it when it is not there, and brings its schema up to date.
    pub(crate) async fn open(path: &Path) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(BUSY_TIMEOUT * 2);
        let pool = pool.connect_with(options).await.map_err(|source| failed(path, source))?;
        prepare(&pool).await.map_err(|refused| refused.of(path))?;
        Ok(Self { pool, path: path.to_owned() })
    }

    /// A connection to read with.
    pub(crate) async fn read(&self) -> Result<PoolConnection<Sqlite>, Error> {
        self.pool.acquire().await.map_err(|source| self.failed(source))
    }

    /// A transaction that holds the write lock from its first moment; dropped without a commit it never was.
    pub(crate) async fn write(&self) -> Result<WriteTransaction, Error> {
        self.pool.begin_with(BEGIN).await.map_err(|source| self.failed(source))
    }

    /// Makes a transaction's changes last.
    pub(crate) async fn commit(&self, write: WriteTransaction) -> Result<(), Error> {
        write.commit().await.map_err(|source| self.failed(source))
    }

    /// Waits until every connection is closed; the last one folds the WAL into the file.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// What the database's error means here.
    pub(crate) fn failed(&self, source: sqlx::Error) -> Error {
        failed(&self.path, source)
    }

    /// The error for a stored value that this code does not write.
    pub(crate) fn damaged(&self, what: impl Into<String>) -> Error {
        Error::Damaged { path: self.path.clone(), what: what.into() }
    }
}

async fn prepare(pool: &SqlitePool) -> Result<(), Refused> {
    let mut write = pool.begin_with(BEGIN).await?;
    schema::bring_up_to_date(&mut write).await?;
    Ok(write.commit().await?)
}

/// Why a file's schema cannot be used.
#[derive(Debug)]
enum Refused {
    /// It is of this newer version.
    Newer(i64),
    /// Its tables are not ours.
    Foreign,
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Refused {
    fn from(source: sqlx::Error) -> Self {
        Self::Database(source)
    }
}

impl Refused {
    fn of(self, path: &Path) -> Error {
        match self {
            Self::Newer(found) => Error::Newer { path: path.to_owned(), found, known: schema::VERSION },
            Self::Foreign => {
                Error::NotARegistry { path: path.to_owned(), found: "an SQLite database of something else" }
            }
            Self::Database(source) => failed(path, source),
        }
    }
}

/// Primary result codes of SQLite, from its published list.
mod result_code {
    pub(super) const BUSY: u32 = 5;
    pub(super) const LOCKED: u32 = 6;
    pub(super) const READONLY: u32 = 8;
    pub(super) const CORRUPT: u32 = 11;
    pub(super) const CANTOPEN: u32 = 14;
    pub(super) const NOTADB: u32 = 26;
}

fn failed(path: &Path, source: sqlx::Error) -> Error {
    let path = path.to_owned();
    let extended = source.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<u32>().ok());
    match extended.map(|code| code & 0xff) {
        Some(result_code::BUSY | result_code::LOCKED) => Error::Busy { path },
        Some(result_code::READONLY | result_code::CANTOPEN) => Error::NotUsable { path, reason: reason(&source) },
        Some(result_code::NOTADB) => Error::NotARegistry { path, found: "not an SQLite database" },
        Some(result_code::CORRUPT) => Error::Damaged { path, what: reason(&source) },
        _ => Error::Database { path, source },
    }
}

fn reason(source: &sqlx::Error) -> String {
    source.as_database_error().map_or_else(|| source.to_string(), |error| error.message().to_owned())
}

/// What statements run on: a pooled connection or a transaction.
pub(crate) type Connection = SqliteConnection;

/// A transaction that holds the write lock.
pub(crate) type WriteTransaction = Transaction<'static, Sqlite>;

/// An unsigned number as the database keeps it. Numbers here count upward from 0 and never come near the limit; one from
/// a foreign store is checked before it gets here.
pub(crate) fn to_db(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number again; a negative one, which nobody wrote, becomes 0.
pub(crate) fn from_db(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
