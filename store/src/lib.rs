//! The online store: newest row per cell, on disk in this process or on a Redis server, behind one contract.
//!
//! It knows entity keys, field numbers and row bytes, never features, ttl or HTTP. Rows order themselves; a put wins only
//! with a greater stamp, so writers may race, repeat and arrive in any order.
//!
//! ```text
//!  Put (key, field, row) ──> Timed ──> AnyStore ──> EmbeddedStore (redb, one writing thread)
//!  ReadPlan ──────────────>        └──────────────> RedisStore (one HASH an entity, scripts compare)
//!                                  Cells <──────────┘
//! ```

mod any;
mod contract;
mod embedded;
mod error;
mod marks;
mod metrics;
mod namespace;
mod read;
mod redis;
mod timed;
mod write;

#[cfg(feature = "testing")]
pub mod conformance;
#[cfg(feature = "testing")]
pub mod testing;

pub use any::AnyStore;
pub use contract::{OnlineStore, ScanCursor, ScanPage, ScannedCell};
pub use embedded::{Durability, EmbeddedConfig, EmbeddedStore};
pub use error::{BackendKind, Error};
pub use marks::StoreMarks;
pub use read::{Cell, Cells, MAX_READ_BYTES, ReadPlan};
pub use redis::{RedisConfig, RedisStore};
pub use timed::Timed;
pub use write::{Put, PutOutcome, Rejection};
