//! The greatest row per key in one piece of bounded memory: an arena of entries and a hash table of places in it.
//!
//! ```text
//!  table: hash(key) -> place     arena: [ live 1 | key length 4 | row length 4 | key | row ] [ ... ] ...
//! ```
//! A greater row of the same length is written over the old one, which is what rows of fixed width always do; one of
//! another length is appended and the old entry marked dead. Dead entries are not compacted: the table calls itself full
//! sooner, and emptying it drops them.

use bytes::{Bytes, BytesMut};
use hashbrown::HashTable;
use tidegate_catalog::EntityKey;
use xxhash_rust::xxh3::xxh3_64;

/// The front of an entry: live flag, key length, row length.
const FRONT: usize = 9;
/// Most bytes of one piece of the arena; a longer entry has a piece of its own.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What became of an offered row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It is kept, or a greater or equal one is.
    Taken,
    /// There is no room; nothing changed. An empty table never answers this.
    Full,
}

/// The row that won its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WinnerRow {
    /// Whose it is.
    pub(crate) key: EntityKey,
    /// Its canonical bytes.
    pub(crate) row: Bytes,
}

/// Where an entry begins: piece and offset.
#[derive(Clone, Copy, Debug)]
struct Place {
    chunk: u32,
    offset: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct WinnerTable {
    places: HashTable<Place>,
    arena: Arena,
    budget_bytes: usize,
}

#[derive(Debug)]
struct Arena {
    chunks: Vec<BytesMut>,
    chunk_bytes: usize,
    held_bytes: usize,
}

/// The hash that places and partitions keys.
pub(super) fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

impl WinnerTable {
    pub(super) fn new(budget_bytes: usize) -> Self {
        let chunk_bytes = CHUNK_BYTES.min(budget_bytes / 8).max(256);
        let arena = Arena { chunks: Vec::new(), chunk_bytes, held_bytes: 0 };
        Self { places: HashTable::new(), arena, budget_bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Keeps `row` if it is greater, byte by byte, than what `key` has.
    /// # Cost
    /// One hash of the key, one probe, one comparison; a copy only of rows that win.
    pub(super) fn offer(&mut self, hash: u64, key: &[u8], row: &[u8]) -> Offer {
        let room = self.has_room(key, row);
        let Self { places, arena, .. } = self;
        if let Some(place) = places.find_mut(hash, |place| arena.key(*place) == key) {
            if arena.row(*place) >= row || arena.overwrite(*place, row) {
                return Offer::Taken;
            }
            if room {
                let old = std::mem::replace(place, arena.append(key, row));
                arena.kill(old);
                return Offer::Taken;
            }
            return Offer::Full;
        }
        if !room {
            return Offer::Full;
        }
        let place = self.arena.append(key, row);
        let arena = &self.arena;
        self.places.insert_unique(hash, place, |place| key_hash(arena.key(*place)));
        Offer::Taken
    }

    /// Calls `each` with hash, key and row of every winner, then empties the table, keeping its memory for the next fill.
    pub(super) fn empty_into<E>(&mut self, mut each: impl FnMut(u64, &[u8], &[u8]) -> Result<(), E>) -> Result<(), E> {
        for place in &self.places {
            let key = self.arena.key(*place);
            each(key_hash(key), key, self.arena.row(*place))?;
        }
        self.places.clear();
        self.arena.clear();
        Ok(())
    }

    /// Takes the winners that are left out, in the order in which their entries were made; each piece of the arena is given
    /// up as the last row of it is dropped.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = WinnerRow> + use<> {
        self.places = HashTable::new();
        self.arena.held_bytes = 0;
        std::mem::take(&mut self.arena.chunks).into_iter().flat_map(|chunk| Entries { rest: chunk.freeze() })
    }

    /// Takes the row of `key` out, if there is one.
    /// # Cost
    /// One hash, one probe, one copy of the row; nothing of an empty table.
    pub(super) fn take(&mut self, key: &[u8]) -> Option<Bytes> {
        if self.places.is_empty() {
            return None;
        }
        let Self { places, arena, .. } = self;
        let entry = places.find_entry(key_hash(key), |place| arena.key(*place) == key).ok()?;
        let (place, _) = entry.remove();
        let row = Bytes::copy_from_slice(arena.row(place));
        arena.kill(place);
        Some(row)
    }

    fn has_room(&self, key: &[u8], row: &[u8]) -> bool {
        if self.places.is_empty() {
            return true;
        }
        let table_bytes = self.places.allocation_size();
        let grown = if self.places.len() == self.places.capacity() { table_bytes * 2 } else { table_bytes };
        let more = self.arena.bytes_to_append(FRONT + key.len() + row.len());
        self.arena.held_bytes + more + grown <= self.budget_bytes
    }
}

impl Arena {
    fn chunk(&self, place: Place) -> &[u8] {
        let chunk = self.chunks.get(place.chunk as usize).expect("a place names a piece of its own arena");
        chunk.get(place.offset as usize..).expect("a place lies inside its piece")
    }

    fn entry(&self, place: Place) -> Entry<'_> {
        Entry::split(self.chunk(place)).expect("a place is the beginning of a whole entry")
    }

    fn key(&self, place: Place) -> &[u8] {
        self.entry(place).key
    }

    fn row(&self, place: Place) -> &[u8] {
        self.entry(place).row
    }

    /// Writes `row` over the entry's, if both have one length.
    fn overwrite(&mut self, place: Place, row: &[u8]) -> bool {
        let entry = self.entry(place);
        if entry.row.len() != row.len() {
            return false;
        }
        let start = place.offset as usize + FRONT + entry.key.len();
        let chunk = self.chunks.get_mut(place.chunk as usize).expect("a place names a piece of its own arena");
        chunk.get_mut(start..start + row.len()).expect("an entry lies inside its piece").copy_from_slice(row);
        true
    }

    fn kill(&mut self, place: Place) {
        let chunk = self.chunks.get_mut(place.chunk as usize);
        if let Some(live) = chunk.and_then(|chunk| chunk.get_mut(place.offset as usize)) {
            *live = 0;
        }
    }

    /// How much memory an entry of `size` would add.
    fn bytes_to_append(&self, size: usize) -> usize {
        match self.chunks.last() {
            Some(chunk) if chunk.capacity() - chunk.len() >= size => 0,
            _ => self.chunk_bytes.max(size),
        }
    }

    fn append(&mut self, key: &[u8], row: &[u8]) -> Place {
        let more = self.bytes_to_append(FRONT + key.len() + row.len());
        if more > 0 {
            self.chunks.push(BytesMut::with_capacity(more));
            self.held_bytes += more;
        }
        let index = self.chunks.len() - 1;
        let chunk = self.chunks.last_mut().expect("a piece was pushed if none had room");
        let offset = chunk.len();
        chunk.extend_from_slice(&[1]);
        chunk.extend_from_slice(&length(key).to_le_bytes());
        chunk.extend_from_slice(&length(row).to_le_bytes());
        chunk.extend_from_slice(key);
        chunk.extend_from_slice(row);
        let small = |number: usize| u32::try_from(number).expect("the arena's pieces are bounded by its budget");
        Place { chunk: small(index), offset: small(offset) }
    }

    fn clear(&mut self) {
        self.chunks.clear();
        self.held_bytes = 0;
    }
}

/// Keys are at most 8 KiB and rows at most 1 MiB; the encoder refused the rest.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("the encoder bounds keys and rows")
}

struct Entry<'a> {
    live: bool,
    key: &'a [u8],
    row: &'a [u8],
}

impl<'a> Entry<'a> {
    fn split(bytes: &'a [u8]) -> Option<Self> {
        let (live, rest) = bytes.split_first()?;
        let (key_len, rest) = rest.split_first_chunk::<4>()?;
        let (row_len, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_len) as usize)?;
        let row = rest.get(..u32::from_le_bytes(*row_len) as usize)?;
        Some(Self { live: *live == 1, key, row })
    }
}

/// Walks the entries of one piece of the arena; dead ones are passed over.
struct Entries {
    rest: Bytes,
}

impl Iterator for Entries {
    type Item = WinnerRow;

    fn next(&mut self) -> Option<WinnerRow> {
        loop {
            let entry = Entry::split(&self.rest)?;
            let (live, key_end) = (entry.live, FRONT + entry.key.len());
            let whole = self.rest.split_to(key_end + entry.row.len());
            if live {
                let key = EntityKey::from_stored(whole.slice(FRONT..key_end));
                return Some(WinnerRow { key, row: whole.slice(key_end..) });
            }
        }
    }
}
