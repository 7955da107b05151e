//! Models as the gateway sees them: inputs, outputs, one run. The sessions are `inference`'s.

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fake;
mod onnx;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tidegate_catalog::{CallContext, Clock, definitions::ModelRef};
use tidegate_inference::{
    batch_input::BatchInput,
    fit::InputPlan,
    model_file::ModelFile,
    outputs::{OutputValues as Values, Outputs},
    runtime::Runtime,
    signature::Signature,
};
use tidegate_proto::predict::{OutputColumn, OutputValues};

use crate::refusal::Refusal;

/// Loads the models that snapshots name.
#[derive(Clone, Debug)]
pub struct ModelLoader {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Onnx(onnx::OnnxSource),
    /// There is no ONNX Runtime, and why.
    Missing(Arc<str>),
    #[cfg(any(test, feature = "testing"))]
    Fake(Arc<fake::FakeModels>),
}

/// A model file that was opened: its signature is known, nothing runs yet.
#[derive(Debug)]
pub(crate) struct OpenModel {
    reference: ModelRef,
    hash: String,
    signature: Signature,
    opened: Opened,
}

#[derive(Debug)]
enum Opened {
    /// The same file runs already; the loader opens it again should it have to run under another plan.
    Running(Arc<Model>, ModelLoader),
    Onnx(ModelFile),
    #[cfg(any(test, feature = "testing"))]
    Fake(fake::FakeModel),
}

/// One running, warmed model.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Hex blake3 of the file.
    pub(crate) hash: String,
    reference: ModelRef,
    signature: Signature,
    plan: InputPlan,
    runner: Runner,
}

#[derive(Debug)]
enum Runner {
    Onnx(onnx::OnnxModel),
    #[cfg(any(test, feature = "testing"))]
    Fake(fake::FakeModel),
}

/// What a run gave.
#[derive(Debug)]
pub struct Ran {
    outputs: Given,
    /// The batch as the model saw it.
    pub(crate) input: BatchInput,
    pub(crate) queued: Duration,
    pub(crate) ran: Duration,
}

#[derive(Debug)]
enum Given {
    /// The model's outputs.
    Outputs(Outputs),
    /// The names of outputs without a row: an empty batch is not run.
    Nothing(Vec<String>),
    #[cfg(any(test, feature = "testing"))]
    Sums(Vec<f32>),
}

/// Why a model cannot be loaded. For the log and `/health`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("model {path}: the file has changed since apply (hash {found}, applied {applied}); apply again")]
    Changed { path: String, found: String, applied: String },
    #[error("model {path}: {message}")]
    Failed {
        /// As the definitions write it.
        path: String,
        /// For the operator: it may name folders and say what a library said.
        message: String,
        /// For anybody.
        told: &'static str,
    },
}

impl LoadError {
    /// The message without folders and without a library's words; the log has them.
    pub(crate) fn client_message(&self) -> String {
        match self {
            Self::Changed { .. } => self.to_string(),
            Self::Failed { path, told, .. } => format!("model {path}: {told}"),
        }
    }
}

impl ModelLoader {
    /// A loader of ONNX files, whose paths are relative to the project's folder `root`.
    pub const fn onnx(runtime: Runtime, root: PathBuf) -> Self {
        Self { source: Source::Onnx(onnx::OnnxSource::new(runtime, root)) }
    }

    /// A loader of a process without ONNX Runtime: catalogs without a model are served, others are refused with `why`.
    pub fn without_runtime(why: &str) -> Self {
        Self { source: Source::Missing(why.into()) }
    }

    /// Opens the file of `reference`, which must have the content `hash` where the snapshot knows one. A file that
    /// `known` runs, by its hash, is not read again.
    ///
    /// Cancel-safe: a dropped call leaves nothing behind.
    /// # Errors
    /// [`LoadError`] names the file.
    pub(crate) async fn open(
        &self,
        reference: &ModelRef,
        hash: Option<&str>,
        known: Option<&Arc<Model>>,
    ) -> Result<OpenModel, LoadError> {
        let running = |hash: &str| {
            let same = |known: &&Arc<Model>| known.reference == *reference && known.hash == hash && known.is_ready();
            let known = known.filter(same)?;
            Some(OpenModel {
                reference: reference.clone(),
                hash: known.hash.clone(),
                signature: known.signature.clone(),
                opened: Opened::Running(Arc::clone(known), self.clone()),
            })
        };
        if let Some(open) = hash.and_then(running) {
            return Ok(open);
        }
        let (signature, found, opened) = match &self.source {
            Source::Onnx(source) => source.open(&reference.path).await?,
            Source::Missing(why) => {
                let told = "ONNX Runtime is not there";
                return Err(LoadError::Failed { path: reference.path.clone(), message: (**why).to_owned(), told });
            }
            #[cfg(any(test, feature = "testing"))]
            Source::Fake(models) => models.open(&reference.path, hash)?,
        };
        if let Some(applied) = hash.filter(|applied| *applied != found) {
            let (path, applied) = (reference.path.clone(), applied.to_owned());
            return Err(LoadError::Changed { path, found, applied });
        }
        if let Some(open) = running(&found) {
            return Ok(open);
        }
        Ok(OpenModel { reference: reference.clone(), hash: found, signature, opened })
    }
}

impl OpenModel {
    /// What it takes and gives.
    pub(crate) const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Starts and warms it under `plan`; one that runs under the same plan already goes on.
    ///
    /// Cancel-safe: a dropped start leaves nothing running.
    /// # Errors
    /// [`LoadError`] names the file.
    pub(crate) async fn start(self, plan: &InputPlan, clock: Arc<dyn Clock>) -> Result<Arc<Model>, LoadError> {
        let Self { reference, hash, signature, mut opened } = self;
        if let Opened::Running(model, loader) = opened {
            if model.plan == *plan {
                return Ok(model);
            }
            opened = loader.open(&reference, Some(&hash), None).await?.opened;
        }
        let runner = match opened {
            Opened::Onnx(file) => Runner::Onnx(onnx::OnnxModel::start(&file, plan, &reference, clock).await?),
            #[cfg(any(test, feature = "testing"))]
            Opened::Fake(model) => Runner::Fake(model),
            Opened::Running(model, _) => return Ok(model),
        };
        let (name, version) = (reference.name.clone(), reference.version.clone());
        Ok(Arc::new(Model { name, version, hash, reference, signature, plan: plan.clone(), runner }))
    }
}

impl Model {
    /// Whether it takes runs.
    pub(crate) fn is_ready(&self) -> bool {
        match &self.runner {
            Runner::Onnx(model) => model.is_ready(),
            #[cfg(any(test, feature = "testing"))]
            Runner::Fake(model) => model.is_ready(),
        }
    }

    /// A batch to write into.
    pub(crate) fn batch(&self, rows: usize) -> BatchInput {
        match &self.runner {
            Runner::Onnx(model) => model.batch(rows),
            #[cfg(any(test, feature = "testing"))]
            Runner::Fake(_) => self.plan.batch(rows),
        }
    }

    /// Runs one batch; an empty one is answered without a run.
    ///
    /// Cancel-safe: a dropped call that has not begun is never run.
    /// # Errors
    /// The model's failure, its full queue, or the call's time being over.
    pub(crate) async fn run(&self, batch: BatchInput, context: &CallContext) -> Result<Ran, Refusal> {
        match &self.runner {
            Runner::Onnx(model) => model.run(batch, context).await,
            #[cfg(any(test, feature = "testing"))]
            Runner::Fake(model) => model.run(batch).await,
        }
    }

    /// Takes a run's memory back for the next.
    pub(crate) fn recycle(&self, ran: Ran) {
        match &self.runner {
            Runner::Onnx(model) => model.recycle(ran.input),
            #[cfg(any(test, feature = "testing"))]
            Runner::Fake(_) => drop(ran),
        }
    }
}

impl Ran {
    /// The outputs as the wire writes them. One value per row stands bare, also where the tensor is `[rows, 1]`.
    pub(crate) fn columns(&self) -> impl Iterator<Item = OutputColumn<'_>> {
        (0..).map_while(|index| self.column(index))
    }

    fn column(&self, index: usize) -> Option<OutputColumn<'_>> {
        match &self.outputs {
            Given::Outputs(outputs) => {
                let (name, tensor) = outputs.iter().nth(index)?;
                let width = Some(tensor.width()).filter(|width| *width != 1);
                Some(OutputColumn { name, width, values: wire_values(tensor.values()) })
            }
            Given::Nothing(names) => {
                let name = names.get(index)?;
                Some(OutputColumn { name, width: None, values: OutputValues::Float32(&[]) })
            }
            #[cfg(any(test, feature = "testing"))]
            Given::Sums(sums) => {
                (index == 0).then_some(OutputColumn { name: "sum", width: None, values: OutputValues::Float32(sums) })
            }
        }
    }
}

fn wire_values(values: &Values) -> OutputValues<'_> {
    match values {
        Values::Float32(values) => OutputValues::Float32(values),
        Values::Float64(values) => OutputValues::Float64(values),
        Values::Int64(values) => OutputValues::Int64(values),
        Values::Int32(values) => OutputValues::Int32(values),
        Values::Bool(values) => OutputValues::Bool(values),
        Values::String(values) => OutputValues::String(values),
    }
}
