//! What every call shares, and the two questions that it answers for them: which catalog serves, and is there room.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tidegate_catalog::{Clock, Micros};
use tidegate_store::{AnyStore, Timed};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::{
    catalog_follower::FollowState,
    config::GatewayConfig,
    ids::Ids,
    log_limit::LogLimit,
    metrics::{GatewayMetrics, MetricsPage},
    record::PredictionSink,
    refusal::Refusal,
    served::Served,
};

/// What one permit of [`App::body_room`] stands for.
pub(crate) const BODY_UNIT_BYTES: usize = 1_024;

/// The gateway's state. Immutable but for the catalog that serves, which is swapped whole.
pub(crate) struct App {
    pub(crate) config: GatewayConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Arc<Timed<AnyStore>>,
    pub(crate) served: ArcSwapOption<Served>,
    /// Told of the version of `served` after each swap, for who waits for one.
    pub(crate) served_version: watch::Sender<Option<u64>>,
    pub(crate) follow: FollowState,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) page: MetricsPage,
    pub(crate) ids: Ids,
    pub(crate) sink: Arc<dyn PredictionSink>,
    pub(crate) in_flight: Semaphore,
    /// Room for large bodies, in [`BODY_UNIT_BYTES`].
    pub(crate) body_room: Semaphore,
    pub(crate) as_of: Option<Micros>,
    pub(crate) limits: LogLimits,
}

/// The warnings that an outage would repeat with every call.
#[derive(Debug)]
pub(crate) struct LogLimits {
    pub(crate) failed_calls: LogLimit,
    pub(crate) shed_calls: LogLimit,
    pub(crate) store: LogLimit,
    pub(crate) foreign_cells: LogLimit,
    pub(crate) not_ready: LogLimit,
}

impl LogLimits {
    pub(crate) const fn new() -> Self {
        Self {
            failed_calls: LogLimit::new(),
            shed_calls: LogLimit::new(),
            store: LogLimit::new(),
            foreign_cells: LogLimit::new(),
            not_ready: LogLimit::new(),
        }
    }
}

impl App {
    /// The catalog that serves now. A call takes it once and keeps it to its end, so it sees exactly one version.
    /// # Errors
    /// [`Refusal::NoCatalog`] before the first.
    /// # Cost
    /// One reference count.
    pub(crate) fn served(&self) -> Result<Arc<Served>, Refusal> {
        self.served.load_full().ok_or(Refusal::NoCatalog)
    }

    /// Room for one more call, whose body is there: a client that is slow to send one takes no room.
    /// # Errors
    /// [`Refusal::TooManyInFlight`]: a full gateway answers at once, it does not queue.
    pub(crate) fn admit(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        let limit = self.config.max_in_flight;
        self.in_flight.try_acquire().map_err(|_| Refusal::TooManyInFlight { limit })
    }

    /// Whether a call would find no room now: it is then refused before its body is read.
    /// # Errors
    /// [`Refusal::TooManyInFlight`]
    pub(crate) fn refuse_when_full(&self) -> Result<(), Refusal> {
        match self.in_flight.available_permits() {
            0 => Err(Refusal::TooManyInFlight { limit: self.config.max_in_flight }),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("config", &self.config).finish_non_exhaustive()
    }
}
