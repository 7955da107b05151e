//! One catalog version, compiled: everything a call looks at, immutable and whole.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use tidegate_catalog::{Clock, Micros, ProjectNumber, Snapshot, snapshot::SnapshotError};
use tidegate_proto::error_body::clipped;

use crate::{
    metrics::{MetricsPage, StageMetrics},
    models::ModelLoader,
    plan::{EndpointPlan, ListPlan, ListPlans, PlanError, Views, endpoint::EndpointError},
};

/// A loaded snapshot with its plans and warmed models.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) version: u64,
    /// Hex blake3 of the snapshot's bytes.
    pub(crate) hash: String,
    pub(crate) registry_id: String,
    pub(crate) made_at: Micros,
    pub(crate) project: ProjectNumber,
    pub(crate) origin: Origin,
    pub(crate) views: Views,
    pub(crate) endpoints: HashMap<String, EndpointPlan>,
    pub(crate) services: HashMap<String, ListPlan>,
    pub(crate) lists: ListPlans,
}

/// Where a snapshot came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The feed.
    Feed,
    /// The copy on disk, because the feed was down at the start.
    LastGood,
}

/// What loading needs besides the bytes.
#[derive(Clone, Debug)]
pub(crate) struct LoadFrom {
    pub(crate) models: ModelLoader,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) page: MetricsPage,
}

/// Why a snapshot cannot be served. For the log and `/health`; the one before goes on serving.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("the process is stopping")]
    Stopping,
    #[error("feature service {service:?}: {source}")]
    Service { service: String, source: PlanError },
    #[error("endpoint {endpoint:?}: {source}")]
    Endpoint { endpoint: String, source: EndpointError },
}

impl LoadError {
    /// What `/health` may say: which definition and what is wrong with it, no folders, no words of a library; within the
    /// length of every message.
    pub(crate) fn client_message(&self) -> String {
        let message = match self {
            Self::Endpoint { endpoint, source: EndpointError::Model(error) } => {
                format!("endpoint {endpoint:?}: {}", error.client_message())
            }
            other => other.to_string(),
        };
        clipped(&message).to_owned()
    }
}

impl Served {
    /// Reads `bytes`, compiles every plan, loads and warms every model that `previous` does not have already.
    ///
    /// Cancel-safe: nothing is kept of a load that is dropped.
    /// # Errors
    /// [`LoadError`] names the definition that cannot be served.
    pub(crate) async fn load(
        bytes: &Bytes,
        origin: Origin,
        from: &LoadFrom,
        previous: Option<&Self>,
    ) -> Result<Self, LoadError> {
        let read = bytes.clone();
        let compiled = tokio::task::spawn_blocking(move || {
            let snapshot = Snapshot::from_bytes(&read)?;
            let hash = blake3::hash(&read).to_hex().to_string();
            let views = Views::compile(&snapshot);
            let services = Self::services(&snapshot, &views)?;
            Ok::<_, LoadError>((snapshot, hash, views, services))
        });
        // a large catalog takes milliseconds: not on the threads that answer
        let (snapshot, hash, views, services) = compiled.await.map_err(|_| LoadError::Stopping)??;
        let mut endpoints = HashMap::new();
        for (index, (name, endpoint)) in snapshot.definitions.endpoints.iter().enumerate() {
            let failed = |source| LoadError::Endpoint { endpoint: name.clone(), source };
            let (variant, service) = EndpointPlan::parts(endpoint, &snapshot.definitions).map_err(failed)?;
            let hash = snapshot.model_hashes.get(&variant.model.path).map(String::as_str);
            let known = previous.and_then(|previous| previous.endpoints.get(name)).map(|known| &known.model);
            let opened = from.models.open(&variant.model, hash, known).await;
            let opened = opened.map_err(|error| failed(EndpointError::Model(error)))?;
            let running = (Arc::clone(&from.clock), StageMetrics::of_endpoint(&from.page, index, name));
            let catalog = (&views, snapshot.version);
            let plan = EndpointPlan::compile(endpoint, (variant, service), catalog, opened, running).await;
            endpoints.insert(name.clone(), plan.map_err(failed)?);
        }
        Ok(Self {
            version: snapshot.version,
            hash,
            registry_id: snapshot.registry_id,
            made_at: snapshot.made_at,
            project: snapshot.project,
            origin,
            views,
            endpoints,
            services,
            lists: ListPlans::default(),
        })
    }

    fn services(snapshot: &Snapshot, views: &Views) -> Result<HashMap<String, ListPlan>, LoadError> {
        let services = snapshot.definitions.services.iter().map(|(name, service)| {
            let plan = ListPlan::of_service(service, views, snapshot.version);
            let plan = plan.map_err(|source| LoadError::Service { service: name.clone(), source })?;
            Ok((name.clone(), plan))
        });
        services.collect()
    }

    /// What a loaded catalog is, for logs.
    pub(crate) fn announce(self: &Arc<Self>) {
        let (version, hash) = (self.version, self.hash.as_str());
        tracing::info!(version, hash, origin = ?self.origin, endpoints = self.endpoints.len(), "catalog serves");
    }
}
