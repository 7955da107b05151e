//! ONNX Runtime's shared library: where it may lie, and its one start in this process.
//!
//! The library is loaded by path, never by the system's search, so that what runs is what the operator sees named. One
//! process has one ONNX Runtime; that is the library's own rule, and the only state here that outlives its handle.

use std::{
    fs::File,
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use ort::{environment::Environment, logging::LogLevel};
use parking_lot::Mutex;

use crate::error::LibraryError;

/// The version that the project installs.
const INSTALLED_VERSION: &str = "1.32.0";

/// The one runtime of the process; ONNX Runtime allows no second one, even after the first is gone.
static RUNNING: Mutex<Option<Runtime>> = Mutex::new(None);

/// ONNX Runtime, loaded and started. A cheap clone.
#[derive(Clone)]
pub struct Runtime {
    environment: Environment,
    path: Arc<Path>,
    version: Arc<str>,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("path", &self.path).field("version", &self.version).finish_non_exhaustive()
    }
}

/// Where the library lies if nobody names one, the likeliest place first: below the project's folder `root`, as
/// `make runtime` installs it, then where a distribution's package puts it.
pub fn library_candidates(root: &Path) -> Vec<PathBuf> {
    let file = format!("libonnxruntime.so.{INSTALLED_VERSION}");
    vec![
        root.join(".cache/onnxruntime").join(INSTALLED_VERSION).join(&file),
        PathBuf::from("/usr/local/lib/libonnxruntime.so"),
        PathBuf::from("/usr/lib/libonnxruntime.so"),
    ]
}

/// The first of `candidates` that is a file.
/// # Errors
/// [`LibraryError::NotFound`] with all of them.
pub fn find_library(candidates: &[PathBuf]) -> Result<PathBuf, LibraryError> {
    let found = candidates.iter().find(|path| path.is_file());
    found.cloned().ok_or_else(|| LibraryError::NotFound { looked_at: candidates.to_vec() })
}

impl Runtime {
    /// Loads the library at `path` and starts it; a second call with the same file answers the running one.
    /// # Errors
    /// Why the library cannot be used, never a panic. Another path may be tried then, except after
    /// [`LibraryError::NotStarted`]: that library stays loaded until the process ends.
    pub fn load(path: &Path) -> Result<Self, LibraryError> {
        let path = readable_library(path)?;
        let mut running = RUNNING.lock();
        if let Some(runtime) = &*running {
            if *runtime.path == *path {
                return Ok(runtime.clone());
            }
            return Err(LibraryError::OtherLoaded { loaded: runtime.path.to_path_buf(), wanted: path });
        }
        let started = catch_unwind(AssertUnwindSafe(|| start(&path))).unwrap_or_else(|panic| {
            Err(LibraryError::NotStarted { path: path.clone(), reason: panic_text(&*panic) })
        })?;
        *running = Some(started.clone());
        Ok(started)
    }

    /// The file that was loaded.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The library's build, as it describes itself.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(crate) const fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// The words of a panic.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}

/// The canonical path, after the looks that give better words than the system's loader does.
fn readable_library(path: &Path) -> Result<PathBuf, LibraryError> {
    let unreadable =
        |error: std::io::Error| LibraryError::Unreadable { path: path.to_owned(), reason: error.to_string() };
    if !path.exists() {
        return Err(LibraryError::NotFound { looked_at: vec![path.to_owned()] });
    }
    let canonical = path.canonicalize().map_err(unreadable)?;
    let mut magic = [0_u8; 4];
    let mut file = File::open(&canonical).map_err(unreadable)?;
    if !canonical.is_file() {
        return Err(LibraryError::NotALibrary { path: canonical, reason: "it is not a file".to_owned() });
    }
    match file.read_exact(&mut magic) {
        Ok(()) if cfg!(target_os = "linux") && magic != *b"\x7fELF" => {
            Err(LibraryError::NotALibrary { path: canonical, reason: "it is not an ELF file".to_owned() })
        }
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(LibraryError::NotALibrary { path: canonical, reason: "it is empty or cut off".to_owned() })
        }
        Err(error) => Err(unreadable(error)),
        Ok(()) => Ok(canonical),
    }
}

fn start(path: &Path) -> Result<Runtime, LibraryError> {
    let builder = ort::init_from(path).map_err(|error| refused(path, &error))?;
    let environment = builder
        .with_name("tidegate")
        // this alone comes too late for the first report: the binary sets ORT_DISABLE_TELEMETRY
        .with_telemetry(false)
        .with_logger(Arc::new(|level, category, id, location, message| log(level, [category, id, location, message])))
        .build()
        .map_err(|error| LibraryError::NotStarted { path: path.to_owned(), reason: error.to_string() })?;
    environment.set_log_level(LogLevel::Warning);
    Ok(Runtime { environment, path: path.into(), version: ort::info().into() })
}

fn refused(path: &Path, error: &ort::LoadDynamicError) -> LibraryError {
    match error {
        ort::LoadDynamicError::BadVersion { version_str, .. } => {
            LibraryError::TooOld { path: path.to_owned(), found: version_str.clone(), needed_minor: ort::MINOR_VERSION }
        }
        other => LibraryError::NotALibrary { path: path.to_owned(), reason: other.to_string() },
    }
}

/// ONNX Runtime's own log lines, which it would print to standard error otherwise.
fn log(level: LogLevel, [category, id, location, text]: [&str; 4]) {
    match level {
        LogLevel::Fatal | LogLevel::Error => tracing::error!(category, id, location, text, "onnxruntime says"),
        LogLevel::Warning => tracing::warn!(category, id, location, text, "onnxruntime says"),
        LogLevel::Info => tracing::debug!(category, id, location, text, "onnxruntime says"),
        LogLevel::Verbose => tracing::trace!(category, id, location, text, "onnxruntime says"),
    }
}
