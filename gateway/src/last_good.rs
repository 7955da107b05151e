//! The last good snapshot on disk: written whole or not at all, read when the feed is down at the start.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;

/// The file of the last snapshot that was served.
#[derive(Clone, Debug)]
pub(crate) struct LastGood {
    path: PathBuf,
}

impl LastGood {
    pub(crate) const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Its bytes; `None` when none was ever kept.
    ///
    /// Cancel-safe.
    /// # Errors
    /// The file is there and cannot be read.
    pub(crate) async fn read(&self) -> std::io::Result<Option<Bytes>> {
        match tokio::fs::read(&self.path).await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces it: written beside, synced, renamed over.
    ///
    /// Cancel-safe: the write goes on by itself.
    /// # Errors
    /// The folder cannot be written.
    pub(crate) async fn keep(&self, bytes: Bytes) -> std::io::Result<()> {
        let path = self.path.clone();
        match tokio::task::spawn_blocking(move || replace(&path, &bytes)).await {
            Ok(written) => written,
            Err(_) => Err(std::io::Error::other("the runtime is stopping")),
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}
