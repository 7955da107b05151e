//! Reduction to one row per key, the greatest, in bounded memory: a year of history costs one write a key.
//!
//! **How.** Rows go into a [`table::WinnerTable`] of at most `memory_bytes`. When it is full its winners go to 64 unnamed
//! files by hash of the key and the table starts again; at the end each file is reduced alone, again by the same rule
//! with the next six bits of the hash. "Greatest" is commutative, so neither the order of rows nor where the table was
//! full changes a byte of the result.
//!
//! **Why files and not early writes.** Writing the half-reduced winners to the store when memory is full would be right
//! too (a put keeps the greater row), but a history in order of time brings every key again after each fill: a year of
//! daily rows of more keys than fit would cost up to 365 writes a key, each some microseconds of server time, against
//! one sequential write and read of the row on local disk. It would also make the run's content hash depend on the order.
//!
//! Memory: `memory_bytes`, plus 64 write buffers of 32 KiB and one read buffer while there are files.

mod spill;
mod table;

use std::{
    io,
    path::{Path, PathBuf},
};

use spill::{MAX_LEVEL, SpillPart, SpillWriter};
pub(crate) use table::WinnerRow;
use table::{Offer, WinnerTable, key_hash};

/// Takes rows in, see the module; [`Reducer::finish`] gives the winners.
#[derive(Debug)]
pub(crate) struct Reducer {
    table: WinnerTable,
    spill: Option<SpillWriter>,
    level: u32,
    memory_bytes: usize,
    folder: PathBuf,
}

/// The winners, part by part; within a part in the order in which their keys first came.
pub(crate) struct Winners {
    current: Box<dyn Iterator<Item = WinnerRow> + Send>,
    /// Parts not yet reduced, each with the level of a spill of its own.
    parts: Vec<(SpillPart, u32)>,
    memory_bytes: usize,
    folder: PathBuf,
    /// Bytes that went to files, all levels together.
    pub(crate) spilled_bytes: u64,
}

impl Reducer {
    /// A reducer that holds `memory_bytes` and puts what does not fit into unnamed files in `folder`.
    pub(crate) fn new(memory_bytes: usize, folder: &Path) -> Self {
        Self::at_level(memory_bytes, folder, 0)
    }

    fn at_level(memory_bytes: usize, folder: &Path, level: u32) -> Self {
        let table = WinnerTable::new(memory_bytes);
        Self { table, spill: None, level, memory_bytes, folder: folder.to_owned() }
    }

    /// Keeps `row` if it is the greatest of `key` so far.
    /// # Errors
    /// When a spill file cannot be written.
    /// # Cost
    /// One hash, one probe, one comparison; no allocation but the arena's pieces.
    pub(crate) fn offer(&mut self, key: &[u8], row: &[u8]) -> io::Result<()> {
        let hash = key_hash(key);
        if self.table.offer(hash, key, row) == Offer::Taken {
            return Ok(());
        }
        self.empty_table()?;
        let again = self.table.offer(hash, key, row);
        debug_assert_eq!(again, Offer::Taken, "an empty table has room for one row");
        Ok(())
    }

    /// The winners of all that was offered.
    /// # Errors
    /// When a spill file cannot be written or read.
    pub(crate) fn finish(mut self) -> io::Result<Winners> {
        if self.spill.is_some() && !self.table.is_empty() {
            self.empty_table()?;
        }
        let (parts, spilled_bytes) = match self.spill.take() {
            None => (Vec::new(), 0),
            Some(spill) => {
                let (next, bytes) = (spill.level() + 1, spill.bytes);
                (spill.into_parts()?.into_iter().map(|part| (part, next)).collect(), bytes)
            }
        };
        let current = Box::new(self.table.drain());
        Ok(Winners { current, parts, memory_bytes: self.memory_bytes, folder: self.folder, spilled_bytes })
    }

    fn empty_table(&mut self) -> io::Result<()> {
        // past the last level (64^6 parts) equal hashes are meant to collide: more memory is better than a lost row
        let level = self.level.min(MAX_LEVEL);
        let Self { table, spill, folder, .. } = self;
        let spill = spill.get_or_insert_with(|| SpillWriter::new(level));
        table.empty_into(|hash, key, row| spill.push(folder, hash, key, row))
    }
}

impl Winners {
    /// The next winner; `None` after the last. Each key comes once.
    /// # Errors
    /// When a spill file cannot be read, or written for a part that does not fit either.
    pub(crate) fn next(&mut self) -> io::Result<Option<WinnerRow>> {
        loop {
            if let Some(row) = self.current.next() {
                return Ok(Some(row));
            }
            let Some((part, level)) = self.parts.pop() else { return Ok(None) };
            let mut part = part.read()?;
            let memory_bytes = if level > MAX_LEVEL { usize::MAX } else { self.memory_bytes };
            let mut reducer = Reducer::at_level(memory_bytes, &self.folder, level);
            while let Some((key, row)) = part.next()? {
                reducer.offer(key, row)?;
            }
            let winners = reducer.finish()?;
            self.spilled_bytes += winners.spilled_bytes;
            self.current = winners.current;
            self.parts.extend(winners.parts);
        }
    }
}

#[cfg(test)]
mod tests;
