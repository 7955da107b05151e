//! The role: settings and parts in, a bound address and `run(shutdown)` out.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use tidegate_catalog::{Clock, Micros};
use tidegate_store::{AnyStore, Timed};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

use crate::{
    app::{App, BODY_UNIT_BYTES, LogLimits},
    catalog_follower::{CatalogFollower, FollowState},
    config::{Exposure, GatewayConfig},
    event_clock,
    feed::SnapshotFeed,
    http::server,
    ids::Ids,
    metrics::{GatewayMetrics, MetricsPage},
    models::ModelLoader,
    record::PredictionSink,
};

/// What a gateway is made of.
pub struct Parts {
    /// The three readings of time.
    pub clock: Arc<dyn Clock>,
    /// The online store.
    pub store: Arc<Timed<AnyStore>>,
    /// What loads model files.
    pub models: ModelLoader,
    /// Where snapshots come from.
    pub feed: Arc<dyn SnapshotFeed>,
    /// Who wants prediction records.
    pub sink: Arc<dyn PredictionSink>,
    /// Where metrics stand.
    pub metrics: MetricsPage,
    /// Random per process: the start of all ids.
    pub id_seed: u64,
    /// The `--as-of` that the clock was started with: checked against the store's event clock, and told by `/health`.
    pub as_of: Option<Micros>,
}

/// The data plane's HTTP role.
#[derive(Clone, Copy, Debug)]
pub struct Gateway;

/// A gateway that listens and has not begun to answer.
#[derive(Debug)]
pub struct Bound {
    /// Where it listens.
    pub addr: SocketAddr,
    listener: TcpListener,
    app: Arc<App>,
    follower: CatalogFollower,
}

/// Tells which catalog version a gateway serves. It keeps nothing of the gateway alive.
#[derive(Clone, Debug)]
pub struct ServedVersion(watch::Receiver<Option<u64>>);

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An address that others can reach, and nobody authenticated.
    #[error(
        "gateway.listen {addr} is reachable from other machines and callers are not authenticated; listen on 127.0.0.1, or say --insecure"
    )]
    Exposed {
        /// The address.
        addr: SocketAddr,
    },
    /// The address cannot be taken.
    #[error("cannot listen on {addr}: {source}; choose another gateway.listen")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The store was written later than this gateway's event clock would start.
    #[error(
        "the online store was written up to {earliest} and no longer has the values of {as_of}; start with --as-of {earliest} or later"
    )]
    StoreIsLater {
        /// The `--as-of` that was asked for.
        as_of: Micros,
        /// The earliest that can be served: the store's event clock.
        earliest: Micros,
    },
}

impl Gateway {
    /// Takes the address and loads the newest snapshot, its models warmed; without the feed, the last good one; without
    /// either it starts empty and is not ready.
    ///
    /// Not cancel-safe.
    /// # Errors
    /// [`BindError`] for an exposed or taken address, and for an `--as-of` before the store's event clock, where the store
    /// answers.
    pub async fn bind(config: GatewayConfig, parts: Parts) -> Result<Bound, BindError> {
        let addr = config.listen;
        if !addr.ip().is_loopback() && config.exposure == Exposure::LoopbackOnly {
            return Err(BindError::Exposed { addr });
        }
        if let Some(as_of) = parts.as_of
            && let Some(earliest) = event_clock::earliest_after(as_of, &parts.store, &*parts.clock).await
        {
            return Err(BindError::StoreIsLater { as_of, earliest });
        }
        let listener = TcpListener::bind(addr).await.map_err(|source| BindError::Listen { addr, source })?;
        let addr = listener.local_addr().map_err(|source| BindError::Listen { addr, source })?;
        let app = Arc::new(App {
            in_flight: Semaphore::new(config.max_in_flight),
            body_room: Semaphore::new(config.max_body_bytes / BODY_UNIT_BYTES),
            metrics: GatewayMetrics::register(&parts.metrics),
            served: ArcSwapOption::empty(),
            served_version: watch::Sender::new(None),
            follow: FollowState::default(),
            ids: Ids::new(parts.id_seed),
            page: parts.metrics,
            clock: parts.clock,
            store: parts.store,
            sink: parts.sink,
            as_of: parts.as_of,
            limits: LogLimits::new(),
            config,
        });
        let mut follower = CatalogFollower::new(Arc::clone(&app), parts.feed, parts.models);
        follower.start().await;
        Ok(Bound { addr, listener, app, follower })
    }
}

impl ServedVersion {
    /// Waits until `version` or a later one serves, or the gateway has gone.
    ///
    /// Cancel-safe.
    pub async fn reached(&self, version: u64) {
        // an error is the gateway's end: nothing comes any more
        drop(self.0.clone().wait_for(|now| now.is_some_and(|now| now >= version)).await);
    }
}

impl Bound {
    /// What to wait with for a version to serve, while the gateway runs.
    pub fn served_version(&self) -> ServedVersion {
        ServedVersion(self.app.served_version.subscribe())
    }

    /// Answers until `shutdown`, follows the feed all the while, then finishes the calls in flight.
    ///
    /// Not cancel-safe: dropping it drops the calls in flight.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { addr, listener, app, mut follower } = self;
        tracing::info!(%addr, "gateway listens");
        let page = app.page.clone();
        tokio::select! {
            () = server::serve(app, listener, shutdown) => {}
            never = follower.follow() => match never {},
            never = upkeep(&page) => match never {},
        }
        tracing::info!(%addr, "gateway stopped");
    }
}

async fn upkeep(page: &MetricsPage) -> std::convert::Infallible {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        every.tick().await;
        page.upkeep();
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("clock", &self.clock).field("as_of", &self.as_of).finish_non_exhaustive()
    }
}
