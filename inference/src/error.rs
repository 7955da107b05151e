//! What can go wrong between a model file and an answer: one enum per caller, each with its code.

use std::path::PathBuf;

use tidegate_catalog::ErrorCode;

/// ONNX Runtime's library cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    /// No library at any of the places looked at.
    #[error(
        "ONNX Runtime's library is at none of {}; `make runtime` installs it, or set ORT_DYLIB_PATH or inference.onnxruntime",
        listed(looked_at)
    )]
    NotFound {
        /// The places, in the order they were tried.
        looked_at: Vec<PathBuf>,
    },
    /// The named file cannot be read.
    #[error("ONNX Runtime's library {} cannot be read: {reason}; `make runtime` installs it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is there and is not ONNX Runtime's library.
    #[error("{} is not ONNX Runtime's library for this machine: {reason}", path.display())]
    NotALibrary {
        /// The file.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// A library of an older interface.
    #[error("ONNX Runtime's library {} is too old: it is {found}, needed is 1.{needed_minor} or newer", path.display())]
    TooOld {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
        /// The smallest minor version of major version 1.
        needed_minor: u32,
    },
    /// This process runs another library already; one process has one.
    #[error("ONNX Runtime is loaded from {} already and cannot be loaded from {} too; restart to change it", loaded.display(), wanted.display())]
    OtherLoaded {
        /// The library in use.
        loaded: PathBuf,
        /// The library asked for.
        wanted: PathBuf,
    },
    /// The library was loaded and would not start.
    #[error("ONNX Runtime from {} did not start: {reason}", path.display())]
    NotStarted {
        /// The file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// A model file that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("model {} cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A file above the limit.
    #[error("model {} has {size_bytes} bytes, the limit is {limit_bytes}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
        /// The most that is read.
        limit_bytes: u64,
    },
    /// ONNX Runtime refuses the content.
    #[error("model {} is not an ONNX model that ONNX Runtime can run: {reason}", path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// A model whose tensors lie in other files.
    #[error(
        "model {} keeps tensors in other files; save it as one: onnx.save_model(model, path, save_as_external_data=False)",
        path.display()
    )]
    ExternalData {
        /// The file.
        path: PathBuf,
    },
    /// An output that is a sequence of maps, as scikit-learn exports make it by default.
    #[error(
        "model {}: output {output:?} is a sequence of maps (ZipMap); export it with options={{id(model): {{'zipmap': False}}}} so that the probabilities are one tensor",
        path.display()
    )]
    ZipMap {
        /// The file.
        path: PathBuf,
        /// The output.
        output: String,
    },
    /// An input or output that is not a tensor, or whose elements are of a type that is not served.
    #[error("model {}: {direction} {name:?} is {found}; served are tensors of float32, float64, int32, int64, bool and string", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// `input` or `output`.
        direction: &'static str,
        /// Its name.
        name: String,
        /// What it is.
        found: String,
    },
    /// No session could be made, or its first run failed.
    #[error("model {} did not start: {reason}", path.display())]
    NotStarted {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The system has no thread left for the model.
    #[error("model {}: no thread could be started for it: {reason}", path.display())]
    NoThread {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl ModelError {
    /// What a caller over the wire may read, after the model's name: neither its folder nor ONNX Runtime's words.
    pub const fn client_message(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "the file cannot be read",
            Self::TooLarge { .. } => "the file is too large",
            Self::NotOnnx { .. } => "it is not an ONNX model that ONNX Runtime can run",
            Self::ExternalData { .. } => "it keeps tensors in other files; save it as one",
            Self::ZipMap { .. } => {
                "an output is a sequence of maps (ZipMap); export it with options={id(model): {'zipmap': False}}"
            }
            Self::Unsupported { .. } => "an input or output is of a type that is not served",
            Self::NotStarted { .. } => "it did not start; the log says why",
            Self::NoThread { .. } => "no thread could be started for it",
        }
    }

    /// How a caller can act on it.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::NotOnnx { .. }
            | Self::ExternalData { .. }
            | Self::ZipMap { .. }
            | Self::Unsupported { .. }
            | Self::NotStarted { .. } => ErrorCode::FailedPrecondition,
            Self::NoThread { .. } => ErrorCode::ResourceExhausted,
        }
    }
}

/// A batch that got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The model's queue is full.
    #[error("model {model}: its queue of {limit} requests is full")]
    QueueFull {
        /// The model.
        model: String,
        /// Requests that may wait.
        limit: usize,
    },
    /// The deadline passed before the model answered.
    #[error("model {model}: the deadline passed {stage}")]
    Late {
        /// The model.
        model: String,
        /// Where the batch was then.
        stage: Stage,
    },
    /// The model is being shut down.
    #[error("model {model} is shutting down")]
    ShutDown {
        /// The model.
        model: String,
    },
    /// The session was lost and could not be made again.
    #[error("model {model} has no session: {reason}")]
    NoSession {
        /// The model.
        model: String,
        /// Why a new one could not be made.
        reason: String,
    },
    /// ONNX Runtime failed the run; other batches are not touched.
    #[error("model {model} failed this batch: {reason}")]
    Run {
        /// The model.
        model: String,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The run panicked; other batches are not touched.
    #[error("model {model} panicked on this batch: {reason}")]
    Panicked {
        /// The model.
        model: String,
        /// The panic's message.
        reason: String,
    },
    /// An output whose first dimension is not the batch.
    #[error(
        "model {model}: output {output:?} has shape {shape:?} for {rows} rows; its first dimension must be the row"
    )]
    OutputShape {
        /// The model.
        model: String,
        /// The output.
        output: String,
        /// The shape it came in.
        shape: Vec<i64>,
        /// Rows that were run.
        rows: usize,
    },
    /// A batch made for other inputs than this model's.
    #[error("model {model}: the batch has other inputs than the model")]
    OtherInputs {
        /// The model.
        model: String,
    },
    /// A batch without rows.
    #[error("model {model}: the batch has no rows")]
    NoRows {
        /// The model.
        model: String,
    },
}

/// Where a batch was when its deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before it joined the queue.
    BeforeQueue,
    /// In the queue; it was not run.
    Queued,
    /// Between two runs of a request that is larger than one run.
    BetweenRuns,
    /// The caller stopped waiting; whether the model ran is unknown.
    Waiting,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::BeforeQueue => "before the batch joined its queue",
            Self::Queued => "while the batch waited in its queue",
            Self::BetweenRuns => "between two runs of the batch",
            Self::Waiting => "while the batch waited for its answer",
        })
    }
}

impl Error {
    /// How a caller can act on it.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::QueueFull { .. } => ErrorCode::ResourceExhausted,
            Self::Late { .. } => ErrorCode::DeadlineExceeded,
            Self::ShutDown { .. } | Self::NoSession { .. } => ErrorCode::Unavailable,
            Self::Run { .. } | Self::Panicked { .. } | Self::OtherInputs { .. } => ErrorCode::Internal,
            Self::OutputShape { .. } => ErrorCode::FailedPrecondition,
            Self::NoRows { .. } => ErrorCode::InvalidArgument,
        }
    }

    /// What a caller over the wire may read: the model and the outcome, never ONNX Runtime's own words.
    pub fn client_message(&self) -> String {
        match self {
            Self::QueueFull { .. }
            | Self::Late { .. }
            | Self::ShutDown { .. }
            | Self::OutputShape { .. }
            | Self::OtherInputs { .. }
            | Self::NoRows { .. } => self.to_string(),
            Self::NoSession { model, .. } => format!("model {model} has no session"),
            Self::Run { model, .. } | Self::Panicked { model, .. } => format!("model {model} failed this batch"),
        }
    }
}
