//! Finds ONNX Runtime's library: the configuration, `ORT_DYLIB_PATH`, then where `make runtime` puts it.

use std::path::{Path, PathBuf};

use tidegate_inference::{LibraryError, Runtime, find_library, library_candidates};

use crate::config::Config;

/// Loads the library. Looked at are the `.cache` of the working folder, of the project, of the binary, and of the folders
/// around each.
/// # Errors
/// [`LibraryError`] when there is none, or it is too old.
pub(crate) fn load(config: &Config, environment: Option<PathBuf>) -> Result<Runtime, LibraryError> {
    if let Some(path) = config.onnxruntime.clone().or(environment) {
        return Runtime::load(&path);
    }
    let near =
        [Path::new("."), &config.root].map(|folder| std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()));
    let binary = std::env::current_exe().ok();
    let around = near.iter().chain(&binary).flat_map(|place| place.ancestors());
    let mut candidates = Vec::new();
    for candidate in around.flat_map(library_candidates) {
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    }
    Runtime::load(&find_library(&candidates)?)
}
