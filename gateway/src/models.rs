//! Models as the gateway sees them: inputs, outputs, one run. The sessions are `inference`'s.

mod onnx;
#[cfg(any(test, feature = "testing"))]
pub mod fake;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tidegate_catalog::{CallContext, definitions::ModelRef};
use tidegate_inference::OutputValues as Values;
use tidegate_proto::predict::{OutputColumn, OutputValues};

use crate::{batch::Batch, convert::Element, refusal::Refusal};

/// Loads the models that snapshots name.
#[derive(Clone, Debug)]
pub struct ModelLoader {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Onnx(onnx::OnnxSource),
    #[cfg(any(test, feature = "testing"))]
    Fake(Arc<fake::FakeModels>),
}

/// One loaded, warmed model.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Hex blake3 of the file.
    pub(crate) hash: String,
    reference: ModelRef,
    inputs: Vec<ModelInput>,
    runner: Runner,
}

#[derive(Debug)]
enum Runner {
    Onnx(onnx::OnnxModel),
    #[cfg(any(test, feature = "testing"))]
    Fake(fake::FakeModel),
}

/// One input of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelInput {
    pub(crate) name: String,
    pub(crate) form: InputForm,
}

/// The form of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputForm {
    /// `[batch, n]` float32; `None` where the model leaves n open.
    Packed { width: Option<usize> },
    /// `[batch]` or `[batch, 1]`.
    One { element: Element },
}

impl InputForm {
    /// What a value becomes in it.
    pub(crate) const fn element(self) -> Element {
        match self {
            Self::Packed { .. } => Element::Float32,
            Self::One { element } => element,
        }
    }
}

/// What a run gave.
#[derive(Debug, Default)]
pub struct Ran {
    pub(crate) outputs: Vec<ModelOutput>,
    pub(crate) queued: Duration,
    pub(crate) ran: Duration,
}

/// One output over the rows of the batch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModelOutput {
    pub(crate) name: String,
    /// Values per row; `None` for one bare value.
    pub(crate) width: Option<usize>,
    pub(crate) values: Values,
}

/// Why a model cannot be loaded. For the log and `/health`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ModelError {
    #[error("model {path}: the file has changed since apply (hash {found}, applied {applied}); apply again")]
    Changed { path: String, found: String, applied: String },
    #[error("model {path}: {message}")]
    Load { path: String, message: String },
}

impl ModelLoader {
    /// A loader of ONNX files, whose paths are relative to the project's folder `root`.
    pub fn onnx(runtime: tidegate_inference::Runtime, root: PathBuf) -> Self {
        Self { source: Source::Onnx(onnx::OnnxSource::new(runtime, root)) }
    }

    /// The model of `reference`, warmed; `known` again where it is the same file and settings.
    ///
    /// Cancel-safe: a dropped load leaves nothing behind.
    /// # Errors
    /// [`ModelError`] names the file.
    pub(crate) async fn load(
        &self,
        reference: &ModelRef,
        hash: Option<&str>,
        known: Option<&Arc<Model>>,
    ) -> Result<Arc<Model>, ModelError> {
        if let Some(known) = known.filter(|known| known.reference == *reference && hash == Some(&known.hash)) {
            return Ok(Arc::clone(known));
        }
        let (hash, inputs, runner) = match &self.source {
            Source::Onnx(source) => source.load(reference, hash).await?,
            #[cfg(any(test, feature = "testing"))]
            Source::Fake(models) => models.load(reference, hash)?,
        };
        let (name, version) = (reference.name.clone(), reference.version.clone());
        Ok(Arc::new(Model { name, version, hash, reference: reference.clone(), inputs, runner }))
    }
}

impl Model {
    pub(crate) fn inputs(&self) -> &[ModelInput] {
        &self.inputs
    }

    /// Whether it takes runs.
    pub(crate) fn is_ready(&self) -> bool {
        match &self.runner {
            Runner::Onnx(model) => model.is_ready(),
            #[cfg(any(test, feature = "testing"))]
            Runner::Fake(_) => true,
        }
    }

    /// Runs one batch. An empty one is answered without a run, with every output empty.
    ///
    /// Cancel-safe: a dropped call leaves the queue.
    /// # Errors
    /// The model's failure, or its full queue.
    pub(crate) async fn run(&self, batch: Batch, context: &CallContext) -> Result<Ran, Refusal> {
        match &self.runner {
            Runner::Onnx(model) => model.run(batch, context).await,
            #[cfg(any(test, feature = "testing"))]
            Runner::Fake(model) => model.run(&batch).await,
        }
    }
}

impl Ran {
    /// The outputs as the wire writes them.
    pub(crate) fn columns(&self) -> impl Iterator<Item = OutputColumn<'_>> {
        self.outputs.iter().map(|output| OutputColumn {
            name: &output.name,
            width: output.width,
            values: match &output.values {
                Values::Float32(values) => OutputValues::Float32(values),
                Values::Float64(values) => OutputValues::Float64(values),
                Values::Int64(values) => OutputValues::Int64(values),
                Values::Int32(values) => OutputValues::Int32(values),
                Values::Bool(values) => OutputValues::Bool(values),
                Values::String(values) => OutputValues::String(values),
            },
        })
    }
}
