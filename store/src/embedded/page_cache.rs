//! A redb file that is written but not synced: a commit is in the kernel's page cache, which outlives the process.
//!
//! redb writes a commit's pages first and its header last, and the kernel keeps the order in which one process wrote a
//! file. So after a `kill -9` the file is as of the last commit; only the machine's death could reorder the writes, and then the
//! file may be refused at the next start.

use std::io::Result;

use redb::{StorageBackend, backends::FileBackend};

/// A file whose sync does nothing.
#[derive(Debug)]
pub(super) struct PageCacheFile(pub(super) FileBackend);

impl StorageBackend for PageCacheFile {
    fn len(&self) -> Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.0.write(offset, data)
    }

    /// Synced once: a file that was closed in order also survives the machine.
    fn close(&self) -> Result<()> {
        self.0.sync_data()?;
        self.0.close()
    }
}
