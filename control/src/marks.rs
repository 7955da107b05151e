//! The highest numbers that a registry has given: what a store's meta cells are compared with.

use serde::{Deserialize, Serialize};

/// A registry's identity and its highest numbers, each a maximum of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// Which registry.
    pub registry_id: String,
    /// The newest snapshot's version; 0 before the first.
    pub version: u64,
    /// The highest project number given.
    pub project: u32,
    /// The highest key-set number given.
    pub key_set: u32,
    /// The highest field number given.
    pub field: u32,
}
