//! What the benches share: a load generator, a null server, the peers, a private Redis, and the result as JSON.
//!
//! A figure is a ratio of two sides that took turns in one run. The generator is open loop for latencies: arrivals are
//! drawn before the clock starts and latency counts from the intended send time.
//!
//! ```text
//!  Schedule ──> open_loop ──┐                      ┌─> gateway │ bare loop │ echo   (processes of their own)
//!  Requests ──> saturation ─┴─> Client, one call ──┘
//!  Measured, Saturation ──> Report ──> one JSON object, the last line
//! ```

pub mod bare;
pub mod bare_features;
pub mod catalog;
pub mod child;
pub mod clock;
pub mod copies;
pub mod counting;
pub mod echo;
pub mod feast;
pub mod fill;
pub mod gateway;
pub mod load;
pub mod plan;
pub mod raw_client;
pub mod redis_server;
pub mod report;
pub mod schedule;
pub mod syscalls;
