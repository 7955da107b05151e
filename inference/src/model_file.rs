//! A model file: bounded, hashed, and opened once to learn and check its signature.
//!
//! A model file is code-like input. It is read up to a limit, and its content, not its path, is what a session is made
//! of: replacing the file on disk changes nothing that runs.

use std::{
    fs::File,
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use ort::{
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
    value::{Outlet, TensorElementType, ValueType},
};

use crate::{
    error::ModelError,
    runtime::{Runtime, panic_text},
    signature::{Dim, ElementType, Signature, TensorSpec},
};

/// The most bytes of a model file that are read unless the caller says otherwise.
pub const DEFAULT_LIMIT_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// The most rows that a model may fix for every run: each run is padded to them.
const MOST_FIXED_ROWS: usize = 65_536;

/// ONNX Runtime's option for where a model's external tensors lie.
const EXTERNAL_DATA_FOLDER: &str = "session.model_external_initializers_file_folder_path";

/// The content of a model file whose signature can be served. A cheap clone.
#[derive(Clone)]
pub struct ModelFile {
    path: Arc<Path>,
    bytes: Arc<[u8]>,
    hash: Arc<str>,
    signature: Signature,
    runtime: Runtime,
}

impl std::fmt::Debug for ModelFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelFile").field("path", &self.path).field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl ModelFile {
    /// Reads the file at `path`, at most `limit_bytes` of it, and opens it once. It blocks: call it on a thread that may.
    /// # Errors
    /// Why the file cannot be served. Content that is not a model is an error, never a panic.
    pub fn open(runtime: &Runtime, path: &Path, limit_bytes: u64) -> Result<Self, ModelError> {
        Self::of_bytes(runtime, path, read_bounded(path, limit_bytes)?)
    }

    /// Opens `bytes` as if they had been read from `path`.
    /// # Errors
    /// As [`Self::open`].
    pub fn of_bytes(runtime: &Runtime, path: &Path, bytes: Vec<u8>) -> Result<Self, ModelError> {
        let session = new_session(runtime, path, &bytes).map_err(|reason| refused(path, &reason))?;
        let signature = Signature {
            inputs: session.inputs().iter().map(|input| spec(path, "input", input)).collect::<Result<_, _>>()?,
            outputs: session.outputs().iter().map(|output| spec(path, "output", output)).collect::<Result<_, _>>()?,
        };
        let hash = content_hash(&bytes).into();
        Ok(Self { path: path.into(), bytes: bytes.into(), hash, signature, runtime: runtime.clone() })
    }

    /// Where it was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// blake3 of the content, in hexadecimal.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// What it takes and gives.
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// A session of its own.
    pub(crate) fn session(&self) -> Result<Session, String> {
        new_session(&self.runtime, &self.path, &self.bytes)
    }
}

/// blake3 of a model file's content in hexadecimal, readable without ONNX Runtime.
pub fn content_hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// The content of the file at `path`.
/// # Errors
/// [`ModelError::Unreadable`] and [`ModelError::TooLarge`]; of a file above the limit nothing is kept.
pub fn read_bounded(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, ModelError> {
    let unreadable =
        |error: std::io::Error| ModelError::Unreadable { path: path.to_owned(), reason: error.to_string() };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(ModelError::Unreadable { path: path.to_owned(), reason: "it is not a file".to_owned() });
    }
    let too_large = |size_bytes| ModelError::TooLarge { path: path.to_owned(), size_bytes, limit_bytes };
    if metadata.len() > limit_bytes {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    let size_bytes = bytes.len() as u64;
    if size_bytes > limit_bytes { Err(too_large(size_bytes)) } else { Ok(bytes) }
}

fn new_session(runtime: &Runtime, path: &Path, bytes: &[u8]) -> Result<Session, String> {
    let made = catch_unwind(AssertUnwindSafe(|| builder(runtime, path)?.commit_from_memory(bytes).map_err(words)));
    made.unwrap_or_else(|panic| Err(panic_text(&*panic)))
}

/// One thread a session, asleep when idle: replicas give parallelism, and a spinning pool would steal the cores of the
/// request path. Tensors in files beside the model would be looked for in the process's working folder; they are looked
/// for below the model file instead, where nothing can be, because the content hash would not cover them.
fn builder(runtime: &Runtime, path: &Path) -> Result<SessionBuilder, String> {
    let builder = Session::builder(runtime.environment()).map_err(words)?;
    let builder = builder.with_intra_threads(1).map_err(words)?;
    let builder = builder.with_inter_threads(1).map_err(words)?;
    let builder = builder.with_intra_op_spinning(false).map_err(words)?;
    let builder = builder.with_inter_op_spinning(false).map_err(words)?;
    let builder = builder.with_config_entry(EXTERNAL_DATA_FOLDER, path.to_string_lossy()).map_err(words)?;
    builder.with_optimization_level(GraphOptimizationLevel::All).map_err(words)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn words<R>(error: ort::Error<R>) -> String {
    error.message().to_owned()
}

fn spec(path: &Path, direction: &'static str, outlet: &Outlet) -> Result<TensorSpec, ModelError> {
    let refuse = |found: String| ModelError::Unsupported {
        path: path.to_owned(),
        direction,
        name: outlet.name().to_owned(),
        found,
    };
    match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let element = element(*ty).ok_or_else(|| refuse(format!("a tensor of {ty:?}")))?;
            let dims =
                shape.iter().map(|length| usize::try_from(*length).map_or(Dim::Free, Dim::Fixed)).collect::<Vec<_>>();
            match dims.first() {
                None => Err(refuse("a single value; its first dimension must be the row".to_owned())),
                Some(Dim::Fixed(rows)) if !(1..=MOST_FIXED_ROWS).contains(rows) => {
                    Err(refuse(format!("a tensor of always {rows} rows; the most is {MOST_FIXED_ROWS}")))
                }
                Some(Dim::Free | Dim::Fixed(_)) => Ok(TensorSpec { name: outlet.name().to_owned(), element, dims }),
            }
        }
        ValueType::Sequence(inner) if matches!(**inner, ValueType::Map { .. }) => {
            Err(ModelError::ZipMap { path: path.to_owned(), output: outlet.name().to_owned() })
        }
        ValueType::Sequence(_) => Err(refuse("a sequence".to_owned())),
        ValueType::Map { .. } => Err(refuse("a map".to_owned())),
        ValueType::Optional(_) => Err(refuse("optional".to_owned())),
    }
}

const fn element(ty: TensorElementType) -> Option<ElementType> {
    match ty {
        TensorElementType::Float32 => Some(ElementType::Float32),
        TensorElementType::Float64 => Some(ElementType::Float64),
        TensorElementType::Int32 => Some(ElementType::Int32),
        TensorElementType::Int64 => Some(ElementType::Int64),
        TensorElementType::Bool => Some(ElementType::Bool),
        TensorElementType::String => Some(ElementType::String),
        _ => None,
    }
}

fn refused(path: &Path, reason: &str) -> ModelError {
    if reason.contains("External data path") {
        return ModelError::ExternalData { path: path.to_owned() };
    }
    ModelError::NotOnnx { path: path.to_owned(), reason: first_line(reason) }
}

/// ONNX Runtime's messages may go on for pages.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("no reason given").chars().take(500).collect()
}

/// The path, for messages about a model.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_above_the_limit_is_refused_with_both_sizes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [0_u8; 11]).unwrap();
        assert_eq!(read_bounded(file.path(), 11).unwrap().len(), 11);
        let refused = read_bounded(file.path(), 10).unwrap_err();
        assert!(matches!(refused, ModelError::TooLarge { size_bytes: 11, limit_bytes: 10, .. }), "{refused}");
    }

    #[test]
    fn a_folder_is_not_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let refused = read_bounded(folder.path(), 10).unwrap_err();
        assert!(refused.to_string().contains("it is not a file"), "{refused}");
    }

    #[test]
    fn the_hash_is_blake3_of_the_content() {
        assert_eq!(content_hash(b""), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    }
}
