//! The registry's tables, as steps from one schema version to the next. A step, once released, is never changed.

use super::{Connection, Refused, meta};

/// Step n brings the schema from version n to n + 1. Each is plain SQL; `BLOB` is the one word that Postgres spells otherwise.
const STEPS: [&[&str]; 1] = [&[
    "CREATE TABLE registry_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE snapshots (
        version BIGINT PRIMARY KEY,
        made_at_us BIGINT NOT NULL,
        cause TEXT NOT NULL,
        hash TEXT NOT NULL,
        definitions_hash TEXT NOT NULL,
        content BLOB NOT NULL
    )",
    "CREATE TABLE runs (
        id BIGINT PRIMARY KEY,
        view TEXT NOT NULL,
        field BIGINT NOT NULL,
        fingerprint TEXT NOT NULL,
        start_us BIGINT,
        end_us BIGINT NOT NULL,
        sources TEXT NOT NULL,
        snapshot_version BIGINT NOT NULL,
        definitions_hash TEXT NOT NULL,
        state TEXT NOT NULL,
        started_at_us BIGINT NOT NULL,
        ended_at_us BIGINT,
        error TEXT,
        rows_read BIGINT NOT NULL,
        rows_written BIGINT NOT NULL,
        counts TEXT NOT NULL,
        content_hash TEXT,
        not_reproducible BOOLEAN NOT NULL
    )",
    "CREATE INDEX runs_by_generation ON runs (view, field, state)",
]];

/// The version that this code reads and writes.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Runs the missing steps. The caller's transaction makes them one.
pub(super) async fn bring_up_to_date(connection: &mut Connection) -> Result<(), Refused> {
    let version = version(connection).await?;
    if version > VERSION {
        return Err(Refused::Newer(version));
    }
    let done = usize::try_from(version).unwrap_or(0);
    for statements in STEPS.get(done..).unwrap_or_default() {
        for statement in *statements {
            sqlx::query(*statement).execute(&mut *connection).await?;
        }
    }
    if version < VERSION {
        meta::set(connection, meta::SCHEMA_VERSION, &VERSION.to_string()).await?;
    }
    Ok(meta::ensure_registry_id(connection).await?)
}

/// 0 for a file without tables.
async fn version(connection: &mut Connection) -> Result<i64, Refused> {
    let tables = sqlx::query_scalar::<_, String>("SELECT name FROM sqlite_master WHERE type = 'table'")
        .fetch_all(&mut *connection)
        .await?;
    if tables.is_empty() {
        return Ok(0);
    }
    if !tables.iter().any(|table| table == "registry_meta") {
        return Err(Refused::Foreign);
    }
    let stored = meta::get(connection, meta::SCHEMA_VERSION).await?;
    stored.and_then(|text| text.parse().ok()).filter(|version| *version > 0).ok_or(Refused::Foreign)
}
