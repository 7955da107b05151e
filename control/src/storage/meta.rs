//! The registry's few single values: its id, its schema's version, the highest numbers given.

use super::Connection;

pub(crate) const SCHEMA_VERSION: &str = "schema_version";
pub(crate) const REGISTRY_ID: &str = "registry_id";
pub(crate) const PROJECT: &str = "project_number";
pub(crate) const KEY_SET: &str = "key_set_number";
pub(crate) const FIELD: &str = "field_number";

pub(crate) async fn get(connection: &mut Connection, name: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT value FROM registry_meta WHERE name = $1").bind(name).fetch_optional(connection).await
}

pub(crate) async fn set(connection: &mut Connection, name: &str, value: &str) -> sqlx::Result<()> {
    let insert = "INSERT INTO registry_meta (name, value) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    sqlx::query(insert).bind(name).bind(value).execute(connection).await?;
    Ok(())
}

/// Gives the registry its id, once: 128 random bits, taken from the database so that no library here needs a source of
/// randomness.
pub(crate) async fn ensure_registry_id(connection: &mut Connection) -> sqlx::Result<()> {
    if get(connection, REGISTRY_ID).await?.is_some() {
        return Ok(());
    }
    let id = sqlx::query_scalar::<_, String>("SELECT lower(hex(randomblob(16)))").fetch_one(&mut *connection).await?;
    set(connection, REGISTRY_ID, &id).await
}
