//! The faces: what a caller sees of the gateway, one file each.

pub(crate) mod online_features;
pub(crate) mod operations;
pub(crate) mod predict;
