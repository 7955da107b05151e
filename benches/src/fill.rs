//! Fills a store through its own contract.

use anyhow::{Result, ensure};
use tidegate_catalog::Deadline;
use tidegate_store::{AnyStore, OnlineStore as _, PutOutcome, RedisConfig, RedisStore};

use crate::{catalog, clock::SystemClock};

/// Keys of one put.
const BATCH_KEYS: i64 = 500;
/// The prefix of the benches' keys in Redis.
pub const NAMESPACE: &str = "tg:";

/// The Redis store at `url`, as the gateway uses it.
/// # Errors
/// For a URL that names no server.
pub fn redis_store(url: &str) -> Result<AnyStore> {
    let config = RedisConfig {
        url: url.to_owned(),
        password: None,
        namespace: NAMESPACE.to_owned(),
        timeout: std::time::Duration::from_secs(10),
    };
    Ok(AnyStore::Redis(RedisStore::new(&config, std::sync::Arc::new(SystemClock::started()))?))
}

/// Puts every view's row of the keys `0..keys`.
/// # Errors
/// The store's, or a row that was not written.
pub async fn fill(store: &AnyStore, keys: i64, seed: u64) -> Result<()> {
    let mut from = 0;
    while from < keys {
        let to = keys.min(from + BATCH_KEYS);
        let mut batch = Vec::new();
        for id in from..to {
            batch.extend(catalog::rows(id, seed, catalog::EVENT)?);
        }
        let outcomes = store.put(&batch, Deadline::NEVER).await?;
        ensure!(
            outcomes.iter().all(|outcome| *outcome == PutOutcome::Written),
            "rows of {from}..{to} were not written"
        );
        from = to;
    }
    Ok(())
}
