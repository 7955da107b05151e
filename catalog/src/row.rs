//! The row codec: one canonical layout from Parquet to tensor. Layout and reasons: ARCHITECTURE.md, "The row".
//!
//! Two rows of one cell compare as stamps by comparing their bytes, unsigned, a shorter prefix first. Encoding goes
//! through [`RowLayout::encode`]; decoding borrows ([`RowRef`]); nothing here allocates per feature.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod decode;
mod encode;
mod header;
mod layout;

pub use decode::{ListRef, RowError, RowRef};
pub use encode::{CANONICAL_NAN_32, CANONICAL_NAN_64, EncodeError, MAX_ROW_BYTES, Value};
pub use header::{Check, RowHeader, Stamp};
pub use layout::{CellCheck, RowLayout};

#[cfg(test)]
mod tests;
