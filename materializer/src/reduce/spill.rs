//! Rows that did not fit, on disk: one unnamed file per part of the hashes, so that each part can be reduced alone.
//!
//! The files have no name (they are unlinked as they are made), so a killed process leaves nothing behind.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
    path::Path,
};

/// Parts of one level: six bits of the hash.
pub(super) const PARTS: usize = 64;
/// The levels that a 64-bit hash has bits for, leaving the low ones to the hash table.
pub(super) const MAX_LEVEL: u32 = 6;
const WRITE_BUFFER_BYTES: usize = 32 * 1024;
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Files that are being written, made as their first row comes.
#[derive(Debug)]
pub(super) struct SpillWriter {
    files: Vec<Option<BufWriter<File>>>,
    level: u32,
    /// All that was written.
    pub(super) bytes: u64,
}

/// One file that is complete; read when its turn comes.
#[derive(Debug)]
pub(super) struct SpillPart(File);

/// One file, being read back.
#[derive(Debug)]
pub(super) struct SpillReader {
    file: BufReader<File>,
    key: Vec<u8>,
    row: Vec<u8>,
}

impl SpillWriter {
    pub(super) fn new(level: u32) -> Self {
        Self { files: (0..PARTS).map(|_| None).collect(), level, bytes: 0 }
    }

    /// Appends a row to the part that its hash names.
    pub(super) fn push(&mut self, folder: &Path, hash: u64, key: &[u8], row: &[u8]) -> io::Result<()> {
        let part = (hash >> (20 + 6 * self.level)) as usize % PARTS;
        let slot = self.files.get_mut(part).expect("a part is below their number");
        let file = match slot {
            Some(file) => file,
            None => slot.insert(BufWriter::with_capacity(WRITE_BUFFER_BYTES, tempfile::tempfile_in(folder)?)),
        };
        file.write_all(&(key.len() as u32).to_le_bytes())?;
        file.write_all(&(row.len() as u32).to_le_bytes())?;
        file.write_all(key)?;
        file.write_all(row)?;
        self.bytes += (8 + key.len() + row.len()) as u64;
        Ok(())
    }

    /// All [`PARTS`], those without rows empty.
    pub(super) fn into_parts(self) -> io::Result<Vec<Option<SpillPart>>> {
        // the buffers go, so that parts which wait for their turn hold no memory
        let part = |file: BufWriter<File>| Ok(SpillPart(file.into_inner().map_err(io::IntoInnerError::into_error)?));
        self.files.into_iter().map(|file| file.map(part).transpose()).collect()
    }
}

impl SpillPart {
    /// The file from its beginning.
    pub(super) fn read(self) -> io::Result<SpillReader> {
        let mut file = self.0;
        file.rewind()?;
        Ok(SpillReader { file: BufReader::with_capacity(READ_BUFFER_BYTES, file), key: Vec::new(), row: Vec::new() })
    }
}

impl SpillReader {
    /// The next row; `None` after the last.
    pub(super) fn next(&mut self) -> io::Result<Option<(&[u8], &[u8])>> {
        let mut lengths = [0_u8; 8];
        if let Err(error) = self.file.read_exact(&mut lengths) {
            return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
        }
        let [a, b, c, d, e, f, g, h] = lengths;
        self.key.resize(u32::from_le_bytes([a, b, c, d]) as usize, 0);
        self.row.resize(u32::from_le_bytes([e, f, g, h]) as usize, 0);
        self.file.read_exact(&mut self.key)?;
        self.file.read_exact(&mut self.row)?;
        Ok(Some((&self.key, &self.row)))
    }
}
