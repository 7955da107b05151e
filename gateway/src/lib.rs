//! The data plane over HTTP: entity keys in, features or predictions out.
//!
//! It compiles a snapshot into plans, reads the online store once per call, gathers a model's input from the rows and
//! answers. It does not know where snapshots are made, how rows come into the store, or what runs inside a model; it
//! has no query engine and no database below it.
//!
//! ```text
//!  SnapshotFeed ──> CatalogFollower ──> Served (plans, warmed models)    swapped whole, within a second
//!                                          │ one per call
//!  HTTP ──> Connection ──> face ──> rows, keys ──> one store read ──> answers ──> batch ──> model ──> JSON
//! ```
//!
//! Main types: [`Gateway`] and what it is made of ([`GatewayConfig`], [`Parts`]), [`SnapshotFeed`], [`PredictionSink`],
//! [`MetricsPage`], the table [`ROUTES`].
//!
//! ```
//! use tidegate_gateway::{Permission, ROUTES};
//! assert!(ROUTES.iter().any(|route| route.path == "/ready" && route.permission == Permission::ReadHealth));
//! ```

mod answers;
mod app;
mod batch;
mod catalog_follower;
mod config;
mod event_clock;
mod faces;
mod feed;
mod gateway;
mod gather;
mod http;
mod ids;
mod keys;
mod last_good;
mod log_limit;
mod metrics;
mod models;
mod plan;
mod reading;
mod record;
mod recording;
mod refusal;
mod rows;
mod served;
mod timings;

pub use config::{Exposure, GatewayConfig, MAX_REQUEST_ID_BYTES, MAX_ROWS};
pub use feed::{FeedError, Newest, Published, SnapshotFeed};
pub use gateway::{BindError, Bound, Gateway, Parts, ServedVersion};
pub use http::route::{Handler, Permission, ROUTES, Route, Verb};
pub use metrics::{MetricsPage, ROWS_BUCKETS, SECONDS_BUCKETS};
#[cfg(any(test, feature = "testing"))]
pub use models::fake::{FakeModel, FakeModels};
pub use models::{ModelLoader, Ran};
pub use record::{DroppingSink, PredictionRecord, PredictionSink};
