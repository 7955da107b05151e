//! One view's rows through encoding and reduction, on a thread of their own: CPU work that would hold an async worker.
//!
//! ```text
//!  batches ──(bounded)──> [ encode, count, reduce ] ──(bounded)──> batches of winners ──> the store
//! ```
//! The thread ends when its input ends, when its output is no longer wanted, or at its first error.

use std::path::Path;

use arrow_array::RecordBatch;
use tidegate_catalog::row::RowHeader;
use tidegate_store::Put;
use tokio::sync::{mpsc, oneshot};
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    Config, Counts, Error,
    reduce::{Reducer, Winners},
    rows::{RowEncoder, Window},
    sample::Sample,
};

/// Batches that wait for the thread.
const WAITING_BATCHES: usize = 2;
/// A batch of more rows grows as it fills: the setting has no upper bound.
const LARGEST_RESERVED_ROWS: usize = 10_000;

/// What goes into the thread. A channel that closes before [`Input::End`] is a run given up: nothing is written.
#[derive(Debug)]
pub(crate) enum Input {
    /// Some of the view's rows.
    Batch(RecordBatch),
    /// The view has no more.
    End,
}

/// Whose rows are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Every key's.
    All,
    /// Those of this many keys, chosen by hash with a seed: the same keys whatever the order of rows.
    Sample {
        /// How many keys.
        keys: usize,
        /// Which ones.
        seed: u64,
    },
}

/// What the thread found.
#[derive(Debug)]
pub(crate) struct Reduced {
    /// Every count but the store's outcomes; also of a run that stopped.
    pub(crate) counts: Counts,
    /// The order-independent hash of all winners once they are handed on, or why the thread stopped.
    pub(crate) content_hash: Result<String, Error>,
    /// Of a sample: which keys belong to it.
    pub(crate) sample: Option<Sample>,
}

/// The async side of the thread.
pub(crate) struct Worker {
    /// Where batches go.
    pub(crate) batches: mpsc::Sender<Input>,
    /// Where winners come from, after [`Input::End`] went in.
    pub(crate) winners: mpsc::Receiver<Vec<Put>>,
    /// The counts, when the thread ends.
    pub(crate) outcome: oneshot::Receiver<Reduced>,
}

/// What the thread owns.
struct Work {
    encoder: RowEncoder,
    window: Window,
    sample: Option<Sample>,
    config: Config,
}

impl Worker {
    /// Starts the thread.
    pub(crate) fn start(encoder: RowEncoder, window: Window, keep: Keep, config: &Config) -> Result<Self, Error> {
        let (batches, batches_in) = mpsc::channel(WAITING_BATCHES);
        let (winners_out, winners) = mpsc::channel(config.batches_in_flight.max(1));
        let (answer, outcome) = oneshot::channel();
        let sample = match keep {
            Keep::All => None,
            Keep::Sample { keys, seed } => Some(Sample::new(keys, seed)),
        };
        let work = Work { encoder, window, sample, config: config.clone() };
        let spawned = std::thread::Builder::new().name("tidegate-reduce".to_owned()).spawn(move || {
            // nobody waits for the answer once the run is dropped
            drop(answer.send(work.run(batches_in, &winners_out)));
        });
        match spawned {
            Ok(_joined_by_its_answer) => Ok(Self { batches, winners, outcome }),
            Err(source) => Err(Error::Spill { folder: config.spill_folder.clone(), source }),
        }
    }
}

impl Work {
    fn run(mut self, batches: mpsc::Receiver<Input>, winners: &mpsc::Sender<Vec<Put>>) -> Reduced {
        let mut counts = Counts::default();
        let content_hash = self.reduce(batches, &mut counts).and_then(|found| self.emit(found, winners, &mut counts));
        Reduced { counts, content_hash, sample: self.sample }
    }

    fn reduce(&mut self, mut batches: mpsc::Receiver<Input>, counts: &mut Counts) -> Result<Winners, Error> {
        let mut reducer = Reducer::new(self.config.memory_bytes, &self.config.spill_folder);
        let folder = &self.config.spill_folder;
        while let Input::Batch(batch) = batches.blocking_recv().ok_or(Error::Interrupted)? {
            let sample = &mut self.sample;
            self.encoder.encode(&batch, &self.window, counts, |key, row| {
                if sample.as_mut().is_some_and(|sample| !sample.admit(key.as_bytes())) {
                    return Ok(());
                }
                reducer.offer(key.as_bytes(), row).map_err(|error| spill(folder, error))
            })?;
            self.require_budget(counts)?;
        }
        reducer.finish().map_err(|error| spill(folder, error))
    }

    /// Hands the winners on in batches and answers their hash.
    fn emit(&self, mut found: Winners, winners: &mpsc::Sender<Vec<Put>>, counts: &mut Counts) -> Result<String, Error> {
        let (mut rows, mut sum, mut hashed) = (0_u64, 0_u128, Vec::new());
        let empty = || Vec::with_capacity(self.config.batch_rows.min(LARGEST_RESERVED_ROWS));
        let mut next = empty();
        while let Some(winner) = found.next().map_err(|error| spill(&self.config.spill_folder, error))? {
            if self.sample.as_ref().is_some_and(|sample| !sample.contains(winner.key.as_bytes())) {
                continue;
            }
            rows += 1;
            sum = sum.wrapping_add(content_hash(winner.key.as_bytes(), &winner.row, &mut hashed));
            next.push(Put { key: winner.key, field: self.encoder.field(), row: winner.row });
            if next.len() >= self.config.batch_rows {
                winners.blocking_send(std::mem::replace(&mut next, empty())).map_err(|_| Error::Interrupted)?;
            }
        }
        if !next.is_empty() {
            winners.blocking_send(next).map_err(|_| Error::Interrupted)?;
        }
        counts.reduced = counts.read - counts.accounted() - rows;
        tracing::debug!(rows, spilled_bytes = found.spilled_bytes, "rows are reduced");
        // a sum of hashes does not depend on their order; the number of rows stands beside it
        Ok(format!("{sum:032x}-{rows}"))
    }

    fn require_budget(&self, counts: &Counts) -> Result<(), Error> {
        let (bad_rows, budget_rows) = (counts.bad_rows(), self.config.error_budget_rows);
        match counts.first_bad() {
            Some(example) if bad_rows > budget_rows => {
                Err(Error::TooManyBadRows { bad_rows, budget_rows, example: example.clone() })
            }
            _ => Ok(()),
        }
    }
}

/// The hash of what a row says of which entity. The row's check is left out: it differs between generations that hold the
/// same, and so a generation built anew can be compared with the one before.
fn content_hash(key: &[u8], row: &[u8], buffer: &mut Vec<u8>) -> u128 {
    buffer.clear();
    buffer.extend_from_slice(&(key.len() as u64).to_le_bytes());
    buffer.extend_from_slice(key);
    match RowHeader::split(row) {
        Some((header, values)) => {
            buffer.extend_from_slice(&header.stamp.event.0.to_le_bytes());
            buffer.push(u8::from(header.stamp.created.is_some()));
            buffer.extend_from_slice(&header.stamp.created.map_or(0, |created| created.0).to_le_bytes());
            buffer.push(u8::from(header.tombstone));
            buffer.extend_from_slice(values);
        }
        None => buffer.extend_from_slice(row),
    }
    xxh3_128(buffer)
}

fn spill(folder: &Path, source: std::io::Error) -> Error {
    Error::Spill { folder: folder.to_owned(), source }
}
