//! The statements about runs.

use sqlx::{FromRow, Row, sqlite::SqliteRow};

use super::Connection;

/// A run's row, column by column.
#[derive(Clone, Debug)]
pub(crate) struct RunRow {
    pub(crate) id: i64,
    pub(crate) view: String,
    pub(crate) field: i64,
    pub(crate) fingerprint: String,
    pub(crate) start_us: Option<i64>,
    pub(crate) end_us: i64,
    pub(crate) sources: String,
    pub(crate) snapshot_version: i64,
    pub(crate) definitions_hash: String,
    pub(crate) state: String,
    pub(crate) started_at_us: i64,
    pub(crate) ended_at_us: Option<i64>,
    pub(crate) error: Option<String>,
    pub(crate) rows_read: i64,
    pub(crate) rows_written: i64,
    pub(crate) counts: String,
    pub(crate) content_hash: Option<String>,
    pub(crate) not_reproducible: bool,
}

impl FromRow<'_, SqliteRow> for RunRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            view: row.try_get("view")?,
            field: row.try_get("field")?,
            fingerprint: row.try_get("fingerprint")?,
            start_us: row.try_get("start_us")?,
            end_us: row.try_get("end_us")?,
            sources: row.try_get("sources")?,
            snapshot_version: row.try_get("snapshot_version")?,
            definitions_hash: row.try_get("definitions_hash")?,
            state: row.try_get("state")?,
            started_at_us: row.try_get("started_at_us")?,
            ended_at_us: row.try_get("ended_at_us")?,
            error: row.try_get("error")?,
            rows_read: row.try_get("rows_read")?,
            rows_written: row.try_get("rows_written")?,
            counts: row.try_get("counts")?,
            content_hash: row.try_get("content_hash")?,
            not_reproducible: row.try_get("not_reproducible")?,
        })
    }
}

/// Which rows; `None` is any.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'w> {
    pub(crate) view: Option<&'w str>,
    pub(crate) field: Option<i64>,
    pub(crate) state: Option<&'w str>,
    pub(crate) limit: Option<i64>,
}

/// Inserts a row; its id is given here and answered.
pub(crate) async fn insert(connection: &mut Connection, row: &RunRow) -> sqlx::Result<i64> {
    let insert = "INSERT INTO runs (id, view, field, fingerprint, start_us, end_us, sources, snapshot_version,
            definitions_hash, state, started_at_us, rows_read, rows_written, counts, not_reproducible)
        SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 'null', FALSE FROM runs
        RETURNING id";
    sqlx::query_scalar(insert)
        .bind(&row.view)
        .bind(row.field)
        .bind(&row.fingerprint)
        .bind(row.start_us)
        .bind(row.end_us)
        .bind(&row.sources)
        .bind(row.snapshot_version)
        .bind(&row.definitions_hash)
        .bind(&row.state)
        .bind(row.started_at_us)
        .fetch_one(connection)
        .await
}

/// Writes what is known at a run's end.
pub(crate) async fn update(connection: &mut Connection, row: &RunRow) -> sqlx::Result<()> {
    let update = "UPDATE runs SET state = $2, ended_at_us = $3, error = $4, rows_read = $5, rows_written = $6,
        counts = $7, content_hash = $8, not_reproducible = $9 WHERE id = $1";
    sqlx::query(update)
        .bind(row.id)
        .bind(&row.state)
        .bind(row.ended_at_us)
        .bind(&row.error)
        .bind(row.rows_read)
        .bind(row.rows_written)
        .bind(&row.counts)
        .bind(&row.content_hash)
        .bind(row.not_reproducible)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn by_id(connection: &mut Connection, id: i64) -> sqlx::Result<Option<RunRow>> {
    sqlx::query_as("SELECT * FROM runs WHERE id = $1").bind(id).fetch_optional(connection).await
}

/// The newest first.
pub(crate) async fn list(connection: &mut Connection, wanted: Wanted<'_>) -> sqlx::Result<Vec<RunRow>> {
    let select = "SELECT * FROM runs
        WHERE ($1 IS NULL OR view = $1) AND ($2 IS NULL OR field = $2) AND ($3 IS NULL OR state = $3)
        ORDER BY id DESC LIMIT $4";
    sqlx::query_as(select)
        .bind(wanted.view)
        .bind(wanted.field)
        .bind(wanted.state)
        .bind(wanted.limit.unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await
}

/// Whether an earlier acknowledged run of the same definition, interval and sources had other content than `row`, in this
/// generation or in one before.
pub(crate) async fn contradicted(connection: &mut Connection, row: &RunRow) -> sqlx::Result<bool> {
    let select = "SELECT COUNT(*) FROM runs WHERE view = $1 AND fingerprint = $2 AND state = 'acknowledged' AND id < $3
        AND start_us IS NOT DISTINCT FROM $4 AND end_us = $5 AND sources = $6 AND content_hash <> $7";
    let earlier = sqlx::query_scalar::<_, i64>(select)
        .bind(&row.view)
        .bind(&row.fingerprint)
        .bind(row.id)
        .bind(row.start_us)
        .bind(row.end_us)
        .bind(&row.sources)
        .bind(&row.content_hash)
        .fetch_one(connection)
        .await?;
    Ok(earlier > 0)
}

/// Rows that each view's newest acknowledged run with any rows read.
pub(crate) async fn last_rows(connection: &mut Connection) -> sqlx::Result<Vec<(String, i64)>> {
    let select = "SELECT view, rows_read FROM runs WHERE id IN
        (SELECT MAX(id) FROM runs WHERE state = 'acknowledged' AND rows_read > 0 GROUP BY view)";
    sqlx::query_as(select).fetch_all(connection).await
}
