//! The faces over real sockets: a gateway on a free port, the embedded store in a temporary folder, fake models.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test kit fails where it stands")]

#[path = "faces/as_of.rs"]
mod as_of;
#[path = "faces/definitions.rs"]
mod definitions;
#[path = "faces/kit.rs"]
mod kit;
#[path = "faces/logs.rs"]
mod logs;
#[path = "faces/online_features.rs"]
mod online_features;
#[path = "faces/online_features_refusals.rs"]
mod online_features_refusals;
#[path = "faces/onnx.rs"]
mod onnx;
#[path = "faces/operations.rs"]
mod operations;
#[path = "faces/predict.rs"]
mod predict;
#[path = "faces/predict_refusals.rs"]
mod predict_refusals;
#[path = "faces/redis.rs"]
mod redis;
#[path = "faces/reload.rs"]
mod reload;
#[path = "faces/round_trips.rs"]
mod round_trips;
#[path = "faces/server.rs"]
mod server;
#[path = "faces/store_down.rs"]
mod store_down;
