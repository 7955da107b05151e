//! Reduction to one row per key, the greatest, in bounded memory: a year of history costs one write a key.
//!
//! **How.** A view's rows go into a [`table::WinnerTable`] of at most `memory_bytes`. When it is full its winners go to 64
//! unnamed files by hash of the key and the table starts again; at the end each file is reduced alone, again by the same rule
//! with the next six bits of the hash. "Greatest" is commutative, so neither the order of rows nor where the table was
//! full changes a byte of the result.
//!
//! **Why files and not early writes.** Writing the half-reduced winners to the store when memory is full would be right
//! too (a put keeps the greater row), but a history in order of time brings every key again after each fill: a year of
//! daily rows of more keys than fit would cost up to 365 writes a key, each some microseconds of server time, against
//! one sequential write and read of the row on local disk. It would also make the run's content hash depend on the order.
//!
//! **Views together.** [`Winners`] joins the winners of several views by key: it walks the first view's table in the order in
//! which its keys came and takes each key's rows out of the others' tables, then walks what is left of the second, and so on.
//! So rows of one key meet whatever the order in which each view yields them, which merging the views' streams would not do:
//! one key more in one view, or another order of files, and they never meet again. If one view went to files, all do, so
//! that the same part of each is joined in memory.
//!
//! Memory: `memory_bytes` a view, plus 64 write buffers of 32 KiB and one read buffer while there are files.

mod spill;
mod table;

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use spill::{MAX_LEVEL, PARTS, SpillPart, SpillWriter};
use table::{Offer, WinnerRow, WinnerTable, key_hash};
use tidegate_catalog::EntityKey;

/// Takes one view's rows in, see the module; [`Winners`] gives what stands.
#[derive(Debug)]
pub(crate) struct Reducer {
    table: WinnerTable,
    spill: Option<SpillWriter>,
    level: u32,
    memory_bytes: usize,
    folder: PathBuf,
}

/// The winners of several views, key by key.
pub(crate) struct Winners {
    /// What is left of each view's, of the views from `walked` on.
    tables: Vec<WinnerTable>,
    /// The view whose keys come now.
    walked: usize,
    walk: Box<dyn Iterator<Item = WinnerRow> + Send>,
    /// Parts not yet joined.
    parts: Vec<Part>,
    memory_bytes: usize,
    folder: PathBuf,
    /// Bytes that went to files, all levels together.
    pub(crate) spilled_bytes: u64,
}

/// The rows of all views whose keys' hashes have some bits in common.
struct Part {
    views: Vec<Option<SpillPart>>,
    /// Of a spill of its own.
    level: u32,
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

    fn empty_table(&mut self) -> io::Result<()> {
        let level = self.level;
        let Self { table, spill, folder, .. } = self;
        let spill = spill.get_or_insert_with(|| SpillWriter::new(level));
        table.empty_into(|hash, key, row| spill.push(folder, hash, key, row))
    }

    /// All rows in files, and how many bytes they are.
    fn into_parts(mut self) -> io::Result<(Vec<Option<SpillPart>>, u64)> {
        self.empty_table()?;
        let spill = self.spill.take().expect("a table was emptied into it");
        let bytes = spill.bytes;
        Ok((spill.into_parts()?, bytes))
    }
}

impl Winners {
    /// The winners of what was offered to each view's reducer, all made with the same memory and folder.
    /// # Errors
    /// When a spill file cannot be written.
    pub(crate) fn of(views: Vec<Reducer>) -> io::Result<Self> {
        let (memory_bytes, folder) =
            views.first().map(|view| (view.memory_bytes, view.folder.clone())).unwrap_or_default();
        let walk = Box::new(std::iter::empty());
        let (tables, parts) = (Vec::new(), Vec::new());
        let mut winners = Self { tables, walked: 0, walk, parts, memory_bytes, folder, spilled_bytes: 0 };
        winners.join(views, 0)?;
        Ok(winners)
    }

    /// The next key, each once; `rows` becomes its rows, each with its view's number, in the order of the views. `None` after
    /// the last.
    /// # Errors
    /// When a spill file cannot be read, or written for a part that does not fit either.
    pub(crate) fn next_key(&mut self, rows: &mut Vec<(usize, Bytes)>) -> io::Result<Option<EntityKey>> {
        rows.clear();
        loop {
            if let Some(WinnerRow { key, row }) = self.walk.next() {
                rows.push((self.walked, row));
                for (view, table) in self.tables.iter_mut().enumerate().skip(self.walked + 1) {
                    rows.extend(table.take(key.as_bytes()).map(|row| (view, row)));
                }
                return Ok(Some(key));
            }
            if self.walked + 1 < self.tables.len() {
                self.walk(self.walked + 1);
                continue;
            }
            let Some(part) = self.parts.pop() else { return Ok(None) };
            self.join_part(part)?;
        }
    }

    /// Whether all rows of `view` were given.
    pub(crate) fn is_past(&self, view: usize) -> bool {
        let left = self.tables.get(view).is_some_and(|table| !table.is_empty());
        self.parts.is_empty() && view != self.walked && !left
    }

    fn join_part(&mut self, part: Part) -> io::Result<()> {
        // past the last level (64^6 parts) equal hashes are meant to collide: more memory is better than a lost row
        let memory_bytes = if part.level > MAX_LEVEL { usize::MAX } else { self.memory_bytes };
        let mut views = Vec::with_capacity(part.views.len());
        for rows in part.views {
            let mut reducer = Reducer::at_level(memory_bytes, &self.folder, part.level);
            if let Some(rows) = rows {
                let mut rows = rows.read()?;
                while let Some((key, row)) = rows.next()? {
                    reducer.offer(key, row)?;
                }
            }
            views.push(reducer);
        }
        self.join(views, part.level)
    }

    /// Goes on with the rows of these reducers: at once, or part by part when they did not all fit.
    fn join(&mut self, views: Vec<Reducer>, level: u32) -> io::Result<()> {
        if views.iter().all(|view| view.spill.is_none()) {
            self.tables = views.into_iter().map(|view| view.table).collect();
            self.walk(0);
            return Ok(());
        }
        let mut parts = (0..PARTS).map(|_| Part { views: Vec::new(), level: level + 1 }).collect::<Vec<_>>();
        for view in views {
            let (files, bytes) = view.into_parts()?;
            self.spilled_bytes += bytes;
            parts.iter_mut().zip(files).for_each(|(part, file)| part.views.push(file));
        }
        self.parts.extend(parts.into_iter().filter(|part| part.views.iter().any(Option::is_some)));
        Ok(())
    }

    fn walk(&mut self, view: usize) {
        self.walked = view;
        if let Some(table) = self.tables.get_mut(view) {
            self.walk = Box::new(table.drain());
        }
    }
}

#[cfg(test)]
mod tests;
