//! The one binary as a library: configuration, the state folder and its owner, the commands, the roles they start.
//!
//! It composes the other crates and holds no policy of theirs. Every command that touches a project's state runs in the
//! process that owns the state folder: the one that was typed, or the live owner that it finds.
//!
//! ```text
//!  argv + environment + tidegate.yaml ──> run ──> stateless command
//!                                           └──> state folder ── ours ──> Instance ──> command ──> output
//!                                                      └── a live owner's ──> handover ──> the same there
//! ```

pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
mod facts;
mod http_client;
pub mod instance;
mod onnxruntime;
pub mod output;
mod owner;
pub mod project;
pub mod run;
mod shutdown;
pub mod state;
mod telemetry;
