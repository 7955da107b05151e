//! The load generator: saturation in a closed loop, latencies in an open one.
//!
//! Every connection has one request in flight. The open loop has a thread that only sleeps until the next intended time
//! and hands the request to a free connection; when none is free the request waits, and its wait is latency.

mod client;
mod closed;
mod open;
mod pace;

pub use client::{Client, Requests};
pub use closed::{CONNECTIONS, Saturation, best_connections, closed_loop};
pub use open::{Measured, OpenLoop, open_loop};
pub use pace::keeps_pace;
