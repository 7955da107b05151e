//! Counts the bytes that a process copies, by a memcpy of our own that is preloaded into it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

const SOURCE: &str = include_str!("count_copies.c");

/// The compiled counter, in a folder of its own.
#[derive(Debug)]
pub struct Counter {
    library: PathBuf,
    told: PathBuf,
}

impl Counter {
    /// Compiles it into `folder`.
    /// # Errors
    /// When there is no C compiler, or it refuses.
    pub fn build(folder: &Path) -> Result<Self> {
        let source = folder.join("count_copies.c");
        let this = Self { library: folder.join("count_copies.so"), told: folder.join("copied_bytes") };
        std::fs::write(&source, SOURCE)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&this.library).arg(&source).arg("-ldl");
        let status = compiler.status().context("there is no C compiler `cc`")?;
        ensure!(status.success(), "cc refuses count_copies.c: {status}");
        Ok(this)
    }

    /// What a process must be started with to be counted.
    pub fn environment(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.library), ("COUNT_COPIES_FILE", &self.told)]
    }

    /// Bytes that the last counted process has copied from its start to its end.
    /// # Errors
    /// When none has ended in order.
    pub fn copied_bytes(&self) -> Result<u64> {
        let text = std::fs::read_to_string(&self.told).context("no counted process has ended")?;
        Ok(text.trim().parse()?)
    }
}
