//! What one answered row leaves behind, and who may want it. Logging, replay, drift and rewards will hang on it.

use bytes::Bytes;
use tidegate_catalog::{CallContext, Micros, Stamp, ValueSource};

use crate::models::Ran;

/// One answered row, borrowed from the call that answered it. A sink copies what it keeps.
#[derive(Debug)]
pub struct PredictionRecord<'a> {
    /// The call.
    pub context: &'a CallContext,
    /// The row's own id, as answered.
    pub prediction_id: u128,
    /// The endpoint.
    pub endpoint: &'a str,
    /// The variant.
    pub variant: &'a str,
    /// The model's name.
    pub model: &'a str,
    /// The model's version.
    pub model_version: &'a str,
    /// The model file's content hash.
    pub model_hash: &'a str,
    /// The snapshot's version.
    pub catalog_version: u64,
    /// The event clock's reading that decided the statuses.
    pub event_now: Micros,
    /// The row's entity keys, one per key set and mapping of the plan.
    pub entity_keys: &'a [Bytes],
    /// Per feature: its row's stamp where there is a row, also one that is too old, and where its value came from.
    pub features: &'a [(Option<Stamp>, Option<ValueSource>)],
    /// Hash (xxh3) of the row's part of the input tensors, in the model's input order.
    pub input_hash: u64,
    /// The model's outputs over the whole batch.
    pub outputs: &'a Ran,
    /// The row's place in them.
    pub output_row: usize,
}

/// Takes records. The default wants none, and none is then made.
pub trait PredictionSink: Send + Sync {
    /// Asked once per call, before any record is made.
    fn wants(&self, endpoint: &str) -> bool;
    /// One answered row. Called on the request's path: it must not wait.
    fn offer(&self, record: &PredictionRecord<'_>);
}

/// Wants nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct DroppingSink;

impl PredictionSink for DroppingSink {
    fn wants(&self, _endpoint: &str) -> bool {
        false
    }
    fn offer(&self, _record: &PredictionRecord<'_>) {}
}
