//! What is kept outside the process: golden bytes, snapshots, and the fingerprints that decide about generations.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail where they stand")]

mod fingerprint;
mod golden;
mod sample;
mod snapshot;
