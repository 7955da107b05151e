//! stub
pub mod cli;
pub mod clock;
pub mod config;
pub mod output;
pub mod shutdown;
pub mod state;
pub mod telemetry;
