//! What a read asks for and what it gets: both reused from call to call.

use std::ops::Range;

use bytes::Bytes;
use tidegate_catalog::{EntityKey, FieldNumber};

use crate::Error;

/// The most row bytes that one read answers. A row may have a mebibyte and a key may be asked often: without a limit, a
/// small request takes all memory.
pub const MAX_READ_BYTES: usize = 64 * 1024 * 1024;

/// The cells of one read: entity keys in order, each with its fields in order. [`ReadPlan::clear`] keeps the memory.
#[derive(Clone, Debug, Default)]
pub struct ReadPlan {
    keys: Vec<(EntityKey, Range<usize>)>,
    fields: Vec<FieldNumber>,
}

impl ReadPlan {
    /// Forgets every cell.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.fields.clear();
    }

    /// Adds the cells of `key`; the same key may be added again and is answered again.
    pub fn push(&mut self, key: EntityKey, fields: &[FieldNumber]) {
        let start = self.fields.len();
        self.fields.extend_from_slice(fields);
        self.keys.push((key, start..self.fields.len()));
    }

    /// Keys with their fields, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = (&EntityKey, &[FieldNumber])> {
        self.keys.iter().map(|(key, range)| (key, self.fields.get(range.clone()).unwrap_or_default()))
    }

    /// How many cells it asks for.
    pub const fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether it asks for none.
    pub const fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// The answer to a [`ReadPlan`]: one cell per (key, field), in the plan's order.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    slots: Vec<Slot>,
    arena: Vec<u8>,
    /// Bytes of all rows.
    row_bytes: usize,
}

#[derive(Clone, Debug)]
enum Slot {
    Absent,
    Failed,
    Arena(Range<usize>),
    Shared(Bytes),
}

/// One cell of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// The store holds no row here.
    Absent,
    /// The store answered for others but not for this one.
    Failed,
    /// The row's bytes; whether they are a row of this cell is for the decoder to say.
    Row(&'a [u8]),
}

impl Cells {
    /// Forgets every cell and keeps the memory.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.arena.clear();
        self.row_bytes = 0;
    }

    /// Whether the rows so far are no more than a read may answer. For backends.
    pub(crate) const fn within_limit(&self) -> Result<(), Error> {
        if self.row_bytes > MAX_READ_BYTES { Err(Error::TooMuch { limit_bytes: MAX_READ_BYTES }) } else { Ok(()) }
    }

    /// Bytes of all rows.
    pub const fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// How many cells there are.
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Cell `index` of the plan; one that was not asked for is absent.
    /// # Cost
    /// No allocation, no copy.
    pub fn cell(&self, index: usize) -> Cell<'_> {
        match self.slots.get(index) {
            None | Some(Slot::Absent) => Cell::Absent,
            Some(Slot::Failed) => Cell::Failed,
            Some(Slot::Arena(range)) => self.arena.get(range.clone()).map_or(Cell::Failed, Cell::Row),
            Some(Slot::Shared(bytes)) => Cell::Row(bytes),
        }
    }

    /// The cells in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Cell<'_>> {
        (0..self.slots.len()).map(|index| self.cell(index))
    }

    /// Adds a cell without a row. For backends and decorators.
    pub fn push_absent(&mut self) {
        self.slots.push(Slot::Absent);
    }

    /// Adds a cell that was not answered. For backends and decorators.
    pub fn push_failed(&mut self) {
        self.slots.push(Slot::Failed);
    }

    /// Adds a row by copying it behind the others: one copy, no allocation while the memory lasts.
    pub fn push_copied(&mut self, row: &[u8]) {
        self.row_bytes = self.row_bytes.saturating_add(row.len());
        let start = self.arena.len();
        self.arena.extend_from_slice(row);
        self.slots.push(Slot::Arena(start..self.arena.len()));
    }

    /// Adds a row that the reply buffer owns: no copy.
    pub fn push_shared(&mut self, row: Bytes) {
        self.row_bytes = self.row_bytes.saturating_add(row.len());
        self.slots.push(Slot::Shared(row));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_in_the_order_they_were_pushed_and_clear_forgets_them() {
        let mut cells = Cells::default();
        cells.push_copied(b"one");
        cells.push_absent();
        cells.push_shared(Bytes::from_static(b"two"));
        cells.push_failed();
        let all = cells.iter().collect::<Vec<_>>();
        assert_eq!(all, [Cell::Row(b"one"), Cell::Absent, Cell::Row(b"two"), Cell::Failed]);
        assert_eq!(cells.cell(9), Cell::Absent);
        cells.clear();
        assert!(cells.is_empty());
    }
}
