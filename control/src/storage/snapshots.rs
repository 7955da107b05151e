//! The statements about snapshots.

use sqlx::{FromRow, Row, sqlite::SqliteRow};

use super::{Connection, from_db, to_db};

/// A snapshot's row without its content.
#[derive(Clone, Debug)]
pub(crate) struct VersionRow {
    pub(crate) version: i64,
    pub(crate) made_at_us: i64,
    pub(crate) cause: String,
    pub(crate) hash: String,
    pub(crate) definitions_hash: String,
}

impl FromRow<'_, SqliteRow> for VersionRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            version: row.try_get("version")?,
            made_at_us: row.try_get("made_at_us")?,
            cause: row.try_get("cause")?,
            hash: row.try_get("hash")?,
            definitions_hash: row.try_get("definitions_hash")?,
        })
    }
}

pub(crate) async fn newest_version(connection: &mut Connection) -> sqlx::Result<Option<u64>> {
    let version =
        sqlx::query_scalar::<_, Option<i64>>("SELECT MAX(version) FROM snapshots").fetch_one(connection).await?;
    Ok(version.map(from_db))
}

pub(crate) async fn newest_content(connection: &mut Connection) -> sqlx::Result<Option<(i64, Vec<u8>)>> {
    let select = "SELECT version, content FROM snapshots ORDER BY version DESC LIMIT 1";
    sqlx::query_as(select).fetch_optional(connection).await
}

pub(crate) async fn content(connection: &mut Connection, version: u64) -> sqlx::Result<Option<Vec<u8>>> {
    let select = "SELECT content FROM snapshots WHERE version = $1";
    sqlx::query_scalar(select).bind(to_db(version)).fetch_optional(connection).await
}

pub(crate) async fn all(connection: &mut Connection) -> sqlx::Result<Vec<VersionRow>> {
    let select = "SELECT version, made_at_us, cause, hash, definitions_hash FROM snapshots ORDER BY version";
    sqlx::query_as(select).fetch_all(connection).await
}

pub(crate) async fn insert(connection: &mut Connection, row: &VersionRow, content: &[u8]) -> sqlx::Result<()> {
    let insert = "INSERT INTO snapshots (version, made_at_us, cause, hash, definitions_hash, content)
        VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(insert)
        .bind(row.version)
        .bind(row.made_at_us)
        .bind(&row.cause)
        .bind(&row.hash)
        .bind(&row.definitions_hash)
        .bind(content)
        .execute(connection)
        .await?;
    Ok(())
}
