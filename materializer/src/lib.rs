//! Materialization: a view's rows, reduced to the greatest per key, put into the online store; and the audit of it.
//!
//! [`materialize`] runs views, [`verify`] compares the store with the definition of the winner, [`reclaim`] removes the
//! cells of generations that nobody reads any more. This crate computes no view (the offline engine does), decides no
//! winner (rows compare by their bytes, in the catalog's order), keeps no ledger (the registry does) and knows no HTTP.
//!
//! ```text
//!  view rows ──> encode, count ──> reduce to one row a key ──> join the views of ──> batches in flight ──> store
//!  (batches)     (a thread)        (memory, then files)        one key set           (bounded, repeated)     │ acknowledged
//!                                                                                ledger <────────────────────┘ watermark,
//!                                                                                                              counts, hash
//! ```
//!
//! An interval is `(start, end]` of event time and never goes past now:
//!
//! ```
//! use tidegate_catalog::Micros;
//! use tidegate_materializer::{Coverage, run_interval};
//!
//! let now = Micros(100);
//! let first = run_interval(None, Some(Micros(50)), None, now);
//! let next = run_interval(None, Some(Micros(500)), Some(first.end), now);
//! assert_eq!(next.end, now);
//! assert!(!Coverage::from_iter([next]).contains(Micros(50)), "it is the first run's");
//! assert!(Coverage::from_iter([first, next]).contains(Micros(50)));
//! ```

mod columns;
pub mod config;
pub mod counts;
mod emit;
pub mod error;
mod group;
pub mod interval;
pub mod materialize;
pub mod metrics;
pub mod progress;
mod put;
pub mod reclaim;
mod reduce;
mod rows;
mod run;
mod sample;
pub mod source;
pub mod verify;
mod worker;

pub use config::Config;
pub use counts::Counts;
pub use error::Error;
pub use interval::{Coverage, run_interval};
pub use materialize::{Parts, Rebuild, Report, Request, ViewOutcome, ViewReport, materialize};
pub use progress::{Phase, Progress, Silent, Step};
pub use reclaim::{ReclaimReport, reclaim};
pub use source::{OpenedView, ViewSource};
pub use verify::{VerifyReport, VerifyRequest, verify};
