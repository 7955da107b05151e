//! The models of ONNX Runtime: `inference`'s handles behind the gateway's words.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use tidegate_catalog::{CallContext, Clock, definitions::ModelRef};
use tidegate_inference::{
    batch_input::BatchInput,
    error::Error,
    fit::InputPlan,
    model::{ModelConfig, ModelHandle},
    model_file::{DEFAULT_LIMIT_BYTES, ModelFile},
    runtime::Runtime,
    signature::Signature,
};

use super::{Given, LoadError, Opened, Ran};
use crate::{log_limit::LogLimit, refusal::Refusal};

/// Requests that may wait for one model.
const QUEUE_REQUESTS: NonZeroUsize = NonZeroUsize::new(1_024).expect("1,024 is not zero");

/// Where model files are, and what runs them.
#[derive(Clone, Debug)]
pub(super) struct OnnxSource {
    runtime: Runtime,
    root: PathBuf,
}

/// A running model.
#[derive(Debug)]
pub(super) struct OnnxModel {
    handle: ModelHandle,
    clock: Arc<dyn Clock>,
    failures: LogLimit,
}

impl OnnxSource {
    pub(super) const fn new(runtime: Runtime, root: PathBuf) -> Self {
        Self { runtime, root }
    }

    /// Reads and opens a file on a thread that may block.
    pub(super) async fn open(&self, path: &str) -> Result<(Signature, String, Opened), LoadError> {
        let (runtime, file) = (self.runtime.clone(), self.root.join(path));
        let failed = |message, told| LoadError::Failed { path: path.to_owned(), message, told };
        let opened = tokio::task::spawn_blocking(move || ModelFile::open(&runtime, &file, DEFAULT_LIMIT_BYTES));
        let opened = opened.await.map_err(|error| failed(error.to_string(), "the process is stopping"))?;
        let file = opened.map_err(|error| failed(error.to_string(), error.client_message()))?;
        Ok((file.signature().clone(), file.hash().to_owned(), Opened::Onnx(file)))
    }
}

impl OnnxModel {
    pub(super) async fn start(
        file: &ModelFile,
        plan: &InputPlan,
        reference: &ModelRef,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LoadError> {
        let count = |number: u32| usize::try_from(number).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN);
        let config = ModelConfig {
            replicas: count(reference.replicas),
            max_batch_size: count(reference.max_batch_size),
            queue_requests: QUEUE_REQUESTS,
        };
        let started = ModelHandle::start(file, plan, config, Arc::clone(&clock)).await;
        let handle = started.map_err(|error| {
            let (path, message) = (reference.path.clone(), error.to_string());
            LoadError::Failed { path, message, told: error.client_message() }
        })?;
        Ok(Self { handle, clock, failures: LogLimit::new() })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.handle.is_ready()
    }

    pub(super) fn batch(&self, rows: usize) -> BatchInput {
        self.handle.input(rows)
    }

    pub(super) fn recycle(&self, input: BatchInput) {
        self.handle.recycle(input);
    }

    pub(super) async fn run(&self, input: BatchInput, context: &CallContext) -> Result<Ran, Refusal> {
        if input.rows() == 0 {
            let names = self.handle.signature().outputs.iter().map(|output| output.name.clone()).collect();
            let outputs = Given::Nothing(names);
            return Ok(Ran { outputs, input, queued: Duration::ZERO, ran: Duration::ZERO });
        }
        let inferred = self.handle.infer(input, context).await.map_err(|error| self.refused(&error, context))?;
        let (queued, ran) = (inferred.queued, inferred.ran);
        Ok(Ran { outputs: Given::Outputs(inferred.outputs), input: inferred.input, queued, ran })
    }

    /// The caller reads that the model failed; why, in the library's words, stands in the log alone.
    fn refused(&self, error: &Error, context: &CallContext) -> Refusal {
        let request_id = &*context.request_id;
        match error {
            Error::Late { .. } | Error::QueueFull { .. } => {
                tracing::debug!(request_id, %error, "the model did not answer");
            }
            _ => {
                if let Some(held_back) = self.failures.allow(self.clock.monotonic()) {
                    tracing::warn!(request_id, %error, held_back, "the model failed");
                }
            }
        }
        Refusal::Model { code: error.code(), message: error.client_message() }
    }
}
