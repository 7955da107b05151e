//! What is kept outside the process: golden bytes, snapshots, and the fingerprints that decide about generations.

mod fingerprint;
mod golden;
mod sample;
mod snapshot;
