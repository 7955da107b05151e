//! What a process that owns a state folder holds open: registry, store, engine, ONNX Runtime, clock.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use tidegate_control::Registry;
use tidegate_gateway::{
    Bound, DroppingSink, Exposure, FeedError, Gateway, GatewayConfig, MetricsPage, ModelLoader, Newest, Parts,
    Published, ServedVersion, SnapshotFeed,
};
use tidegate_inference::Runtime;
use tidegate_offline::{Engine, EngineConfig};
use tidegate_store::{AnyStore, Durability, EmbeddedConfig, EmbeddedStore, RedisConfig, RedisStore, Timed};

use crate::{
    clock::SystemClock,
    config::{Config, StoreSection},
    onnxruntime,
    project::Project,
    state::StateFolder,
};

/// The opened parts of one project's state.
pub struct Instance {
    /// The project.
    pub project: Project,
    /// The clock, moved by `--as-of`.
    pub clock: Arc<SystemClock>,
    /// The registry and its ledger.
    pub registry: Arc<Registry>,
    /// The online store.
    pub store: Timed<AnyStore>,
    /// The query engine.
    pub engine: Engine,
    /// The metrics of this process.
    pub metrics: MetricsPage,
    /// The gateway of this process, once it serves.
    pub serving: OnceLock<Serving>,
    runtime: OnceLock<Result<Runtime, String>>,
    /// The environment's `ORT_DYLIB_PATH`.
    ort: Option<PathBuf>,
    state: PathBuf,
}

/// A gateway that callers reach.
#[derive(Debug)]
pub struct Serving {
    /// Where it listens.
    pub address: SocketAddr,
    /// Which catalog it serves.
    pub version: ServedVersion,
}

/// Why an instance cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The registry.
    #[error(transparent)]
    Registry(#[from] tidegate_control::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] tidegate_store::Error),
}

impl Instance {
    /// Opens everything in a state folder that this process owns. `ort` is the environment's `ORT_DYLIB_PATH`.
    /// # Errors
    /// [`OpenError`]. A missing ONNX Runtime is no error here: only what runs models needs it.
    pub async fn open(
        project: Project,
        folder: &StateFolder,
        clock: Arc<SystemClock>,
        metrics: MetricsPage,
        ort: Option<PathBuf>,
    ) -> Result<Self, OpenError> {
        let config = Arc::clone(&project.config);
        let state = folder.path().to_owned();
        let registry = Registry::open(&state.join("registry.sqlite"), Arc::clone(&clock) as _).await?;
        registry.abandon_unfinished().await?;
        Ok(Self {
            registry: Arc::new(registry),
            store: measured(open_store(&config, folder, &clock)?, &metrics, &clock),
            engine: engine(&config, state.join("spill")),
            runtime: OnceLock::new(),
            ort,
            serving: OnceLock::new(),
            metrics,
            clock,
            project,
            state,
        })
    }

    /// ONNX Runtime, or why it is not there. Loaded when it is first asked for: most commands run no model.
    pub fn runtime(&self) -> &Result<Runtime, String> {
        let load = || onnxruntime::load(&self.project.config, self.ort.clone()).map_err(|error| error.to_string());
        self.runtime.get_or_init(load)
    }

    /// A gateway over this instance, listening at `listen`.
    /// # Errors
    /// In words: no ONNX Runtime although an endpoint needs it, or the address cannot be taken.
    pub async fn gateway(&self, listen: SocketAddr) -> Result<Bound, String> {
        let section = &self.project.config.gateway;
        let mut config = GatewayConfig::new(listen, self.state.join("last-good-snapshot.json"));
        config.exposure = if section.insecure { Exposure::Insecure } else { Exposure::LoopbackOnly };
        config.max_in_flight = section.max_concurrent_requests;
        config.drain_timeout = section.shutdown_grace;
        config.max_clock_skew = section.max_clock_skew;
        let models = match self.runtime() {
            Ok(runtime) => ModelLoader::onnx(runtime.clone(), self.project.config.root.clone()),
            Err(why) => {
                let newest = self.registry.newest().await.map_err(|error| error.to_string())?;
                if newest.is_some_and(|snapshot| !snapshot.definitions.endpoints.is_empty()) {
                    return Err(why.clone());
                }
                ModelLoader::without_runtime(why)
            }
        };
        let parts = Parts {
            clock: Arc::clone(&self.clock) as _,
            store: Arc::new(self.store.clone()),
            models,
            feed: Arc::new(RegistryFeed(Arc::clone(&self.registry))),
            sink: Arc::new(DroppingSink),
            metrics: self.metrics.clone(),
            id_seed: getrandom::u64().map_err(|error| format!("no random number for ids: {error}"))?,
            as_of: self.clock.as_of(),
        };
        Gateway::bind(config, parts).await.map_err(|error| error.to_string())
    }

    /// Closes the registry and the store in order. Until it returns the state folder's lock must be held: the next owner opens
    /// the same files.
    pub async fn close(self: Arc<Self>) {
        let Some(Self { store, registry, .. }) = Arc::into_inner(self) else {
            return tracing::warn!("something still uses the state; its files are closed by the end of the process");
        };
        registry.close().await;
        if let Err(error) = store.into_inner().close().await {
            tracing::warn!(%error, "the store was not closed in order; the next start repairs it");
        }
    }
}

/// The engine that a configuration describes; it needs no state, only a folder to spill into.
pub fn engine(config: &Config, spill_folder: PathBuf) -> Engine {
    let settings =
        EngineConfig { memory_bytes: config.offline.memory_bytes, spill_folder, partitions: config.offline.partitions };
    Engine::new(settings, &config.root)
}

fn open_store(
    config: &Config,
    folder: &StateFolder,
    clock: &Arc<SystemClock>,
) -> Result<AnyStore, tidegate_store::Error> {
    let clock = Arc::clone(clock) as Arc<dyn tidegate_catalog::Clock>;
    Ok(match &config.store {
        StoreSection::Embedded { power, namespace } => {
            let durability = if *power { Durability::Power } else { Durability::Process };
            let settings = EmbeddedConfig { durability, namespace: namespace.clone(), ..EmbeddedConfig::default() };
            AnyStore::Embedded(EmbeddedStore::open(folder.path(), &settings, clock)?)
        }
        StoreSection::Redis { url, password, namespace, timeout } => {
            let settings = RedisConfig {
                url: url.reveal().to_owned(),
                password: password.as_ref().map(|password| password.reveal().to_owned()),
                namespace: namespace.clone(),
                timeout: *timeout,
            };
            AnyStore::Redis(RedisStore::new(&settings, clock)?)
        }
    })
}

fn measured(store: AnyStore, metrics: &MetricsPage, clock: &Arc<SystemClock>) -> Timed<AnyStore> {
    let kind = store.kind();
    metrics.with(|| Timed::new(store, kind, Arc::clone(clock) as _))
}

/// The registry as the gateway's feed of snapshots.
struct RegistryFeed(Arc<Registry>);

impl SnapshotFeed for RegistryFeed {
    fn newest(&self, known: Option<u64>) -> Newest<'_> {
        Box::pin(async move {
            use tidegate_control::SnapshotSource;
            let failed = |error: tidegate_control::Error| FeedError { message: error.to_string() };
            let Some(version) = self.0.newest_version().await.map_err(failed)? else { return Ok(None) };
            if Some(version) == known {
                return Ok(None);
            }
            let bytes = self.0.bytes(version).await.map_err(failed)?;
            Ok(Some(Published { version, bytes }))
        })
    }
}
