//! The control plane: the registry of definitions, generations and numbers, the run ledger, and the pure judges `plan`
//! and `validate`. It is never on the path of a request, knows no store, no query engine, no model and no wire, reads no
//! file but the registry's, and takes time from the [`tidegate_catalog::Clock`] that it is given.
//!
//! ```text
//!  Definitions + Facts ──> validate ──> problems
//!  Snapshot + Definitions + Facts ──> plan ──> Registry::apply ──> Snapshot n+1 ──> readers (SnapshotSource)
//!  materializer ──> begin_run / finish_run ──> ledger ──> settle ──> Snapshot n+1 (readers move to the new generation)
//! ```
//!
//! ```
//! # use std::{path::Path, sync::Arc};
//! # use tidegate_catalog::{Clock, Definitions};
//! # use tidegate_control::{Breaking, Error, Facts, Registry};
//! async fn bring_up_to_date(file: &Path, clock: Arc<dyn Clock>, wanted: &Definitions) -> Result<u64, Error> {
//!     let registry = Registry::open(file, clock).await?;
//!     let plan = tidegate_control::plan(registry.newest().await?.as_ref(), wanted, &Facts::default());
//!     let applied = registry.apply(&plan, wanted, Breaking::Refused).await?;
//!     Ok(applied.snapshot.version)
//! }
//! ```

mod error;
pub mod facts;
mod generations;
mod interval;
mod marks;
pub mod plan;
mod registry;
mod run;
mod storage;
mod target;
pub mod validate;

pub use error::Error;
pub use facts::Facts;
pub use interval::{Interval, covers, union};
pub use marks::Marks;
pub use plan::{Plan, definitions_hash, plan};
pub use registry::{
    Applied, ApplyOutcome, Breaking, Cause, PublishedVersion, Reclaimable, Registry, Settled, SnapshotSource,
};
pub use run::{Reproducibility, Run, RunEnd, RunFilter, RunId, RunOutcome, RunStart, RunState, SourceFile};
pub use target::{Kind, Target};
pub use validate::{Problem, Severity, validate};
