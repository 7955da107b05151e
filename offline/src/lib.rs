//! Offline computation: sources of Parquet files, views in SQL or as plain projections, computed by DataFusion.
//!
//! It never knows the online store, the registry or HTTP: it turns a view's definition into a stream of normalised
//! batches over pinned files, and says what can be known of a definition without running it.
//!
//! ```text
//!  DataSource ──> PinnedSource (files, identities, one schema) ──> table
//!  FeatureView ──> plan over those tables ──> batches ──> normalised batches ──> (the materializer)
//!                       └──> OfflineFacts: schemas, positions of errors, what is volatile or order-dependent
//! ```

mod engine;
mod error;
mod facts;
mod hints;
mod normalise;
mod order;
mod parquet_file;
mod source;
mod times;
mod unread;
mod view;

pub use engine::{Engine, EngineConfig};
pub use error::Error;
pub use facts::{OfflineFacts, PlannedQuery};
pub use normalise::{CREATED, DELETED, EVENT, REFUSED};
pub use parquet_file::parquet_bytes;
pub use source::{PinnedFile, PinnedSource};
pub use view::{Spilled, ViewRows};
