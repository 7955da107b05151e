//! The domain of Tidegate, pure: definitions, snapshots, entity keys, rows, stamps, statuses, time.
//!
//! Every other crate stands on this one. It does no I/O, knows no runtime, no store, no model and no wire; it never
//! reads a clock by itself.
//!
//! ```text
//!  YAML text ──> definitions ──> Snapshot ──> (readers: store plans, gather plans, joins)
//!  Arrow columns ──> Value ──> RowLayout::encode ──> row bytes ──> RowRef::parse ──> Value / f32
//!  join-key values ──> EntityKey (injective bytes)
//! ```
//!
//! ```
//! use tidegate_catalog::yaml::{SourceText, load};
//!
//! let text = "kind: Entity\nname: carrier\njoin_keys: [{name: carrier, typ: string}]\n";
//! let problems = load("flights", &[SourceText { path: "entities.yaml".into(), text: text.into() }]).unwrap_err();
//! assert!(problems[0].to_string().starts_with("entities.yaml:3: join_keys[0]"));
//! ```

pub mod call_context;
pub mod clock;
pub mod definitions;
pub mod entity_key;
pub mod error_code;
pub mod feature_type;
pub mod micros;
pub mod row;
pub mod snapshot;
pub mod status;
pub mod winner;
pub mod yaml;

pub use call_context::{CallContext, Principal, Priority, TraceContext};
pub use clock::{Clock, Deadline, Monotonic};
pub use definitions::Definitions;
pub use entity_key::{EntityKey, FieldNumber, KeySetNumber, KeyValue, OwnedKeyValue, ProjectNumber};
pub use error_code::ErrorCode;
pub use feature_type::{FeatureType, ScalarType};
pub use micros::Micros;
pub use row::{RowLayout, RowRef, Stamp, Value};
pub use snapshot::{Generation, GenerationState, Snapshot};
pub use status::{FieldStatus, Ttl, ValueSource};
