//! A redb file that is written but not synced: a commit is in the kernel's page cache, which outlives the process.
//!
//! redb writes a commit's pages first and its header last, and the kernel keeps the order in which one process wrote a
//! file. So after a `kill -9` the file is as of the last commit; only the machine's death could reorder the writes, and then the
//! file may be refused at the next start.

use std::{io::Result, ops::Bound};

use redb::{BackendError, StorageBackend, backends::FileBackend};

type Locking<T> = std::result::Result<T, BackendError>;

/// A file whose sync does nothing. Everything else is the file's, its locks above all: they keep a second owner out, and the
/// trait's own methods would lock nothing without a word.
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

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locking<bool> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locking<bool> {
        self.0.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locking<()> {
        self.0.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locking<()> {
        self.0.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locking<()> {
        self.0.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locking<bool> {
        self.0.query_lock_range(start, end)
    }

    /// Synced once: a file that was closed in order also survives the machine.
    fn close(&self) -> Result<()> {
        self.0.sync_data()?;
        self.0.close()
    }
}
