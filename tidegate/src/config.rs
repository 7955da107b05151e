//! Configuration: defaults < `tidegate.yaml` < `TIDEGATE__SECTION__KEY` < flags, read once, then a value that cannot be wrong.
//!
//! [`raw`] is what may be written, its comments the reference; [`layers`] merges and remembers where each value came
//! from; [`Config`] is what the rest of the program sees.

mod layers;
mod raw;
mod secret;
mod validate;

pub use layers::{Layer, Layers, LayersError};
pub use raw::{RawConfig, schema};
pub use secret::{Secret, StoreUrl};
pub use validate::{
    Config, ConfigError, GatewaySection, LogFormat, LogSection, MaterializerSection, OfflineSection, StoreSection,
};
