//! The gateway as the benches run it: the real role, a fixed snapshot, records dropped.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use tempfile::TempDir;
use tidegate_gateway::{
    Bound, DroppingSink, Gateway, GatewayConfig, MetricsPage, ModelLoader, Newest, Parts, Published, SnapshotFeed,
};
use tidegate_inference::{Runtime, find_library, library_candidates};
use tidegate_store::{AnyStore, Timed};

use crate::{catalog, child, clock::SystemClock, fill};

/// A feed of one snapshot.
#[derive(Debug)]
struct FixedFeed(Published);

impl SnapshotFeed for FixedFeed {
    fn newest(&self, known: Option<u64>) -> Newest<'_> {
        let newest = Some(self.0.clone()).filter(|published| Some(published.version) != known);
        Box::pin(std::future::ready(Ok(newest)))
    }
}

/// The file of ONNX Runtime: `ORT_DYLIB_PATH`, else what the project has installed.
/// # Errors
/// When there is none.
#[expect(clippy::disallowed_methods, reason = "the bench script hands the library over by this variable")]
pub fn library() -> Result<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    match std::env::var("ORT_DYLIB_PATH") {
        Ok(path) => Ok(path.into()),
        Err(_) => Ok(find_library(&library_candidates(&root)).context("`make runtime` installs ONNX Runtime")?),
    }
}

/// A gateway over `store` on a free port, its model warmed with `replicas` sessions; its last good snapshot in `folder`.
/// # Errors
/// When the runtime cannot be loaded or no port is free.
pub async fn bind(store: AnyStore, replicas: u32, folder: &TempDir) -> Result<Bound> {
    let snapshot = catalog::snapshot(replicas);
    let mut config = GatewayConfig::new("127.0.0.1:0".parse()?, folder.path().join("last_good.json"));
    // no bench changes its catalog: the follower sleeps
    config.poll_interval = Duration::from_secs(3_600);
    config.max_in_flight = 4_096;
    let clock = Arc::new(SystemClock::started());
    let metrics = MetricsPage::new().context("the metrics page cannot be made")?;
    let kind = store.kind();
    let parts = Parts {
        store: Arc::new(metrics.with(|| Timed::new(store, kind, Arc::<SystemClock>::clone(&clock)))),
        clock,
        models: ModelLoader::onnx(Runtime::load(&library()?)?, catalog::models_folder()),
        feed: Arc::new(FixedFeed(Published { version: snapshot.version, bytes: Bytes::from(snapshot.to_bytes()) })),
        sink: Arc::new(DroppingSink),
        metrics,
        id_seed: 1,
        as_of: None,
    };
    Ok(Gateway::bind(config, parts).await?)
}

/// The gateway as a role: over the Redis at `url`, a model replica per worker, until its parent is gone.
/// # Errors
/// As [`bind`].
pub async fn serve_redis(url: &str, workers: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bound = bind(fill::redis_store(url)?, u32::try_from(workers)?, &folder).await?;
    child::announce(bound.addr)?;
    bound.run(child::parent_gone()).await;
    Ok(())
}
