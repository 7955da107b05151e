//! The winners of views that share a key set, joined by key and handed on in batches, on a thread of their own.
//!
//! ```text
//!  what stands, a view each ──> [ join, hash ] ──(bounded)──> batches with the rows of a key side by side ──> the store
//! ```
//! The thread ends after the last row, when its output is no longer wanted, or at its first error.

use bytes::Bytes;
use tidegate_catalog::{EntityKey, FieldNumber, row::RowHeader};
use tidegate_store::Put;
use tokio::sync::{mpsc, oneshot};
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    Config, Error,
    reduce::{Reducer, Winners},
};

/// A batch of more rows grows as it fills: the setting has no upper bound.
const LARGEST_RESERVED_ROWS: usize = 10_000;

/// The async side of the thread.
pub(crate) struct Emitter {
    /// Where batches come from.
    pub(crate) batches: mpsc::Receiver<Vec<Put>>,
    /// What they were, when the thread ends.
    pub(crate) outcome: oneshot::Receiver<Emitted>,
}

/// What was handed on.
#[derive(Debug)]
pub(crate) struct Emitted {
    /// Of each view, in the order in which they were given.
    pub(crate) views: Vec<EmittedView>,
    /// Why the thread stopped before the end, if it did.
    pub(crate) result: Result<(), Error>,
}

/// A view's winners.
#[derive(Clone, Debug, Default)]
pub(crate) struct EmittedView {
    /// How many there were so far.
    pub(crate) rows: u64,
    /// Whether none is left.
    pub(crate) complete: bool,
    /// The sum of their hashes, which does not depend on their order.
    sum: u128,
}

impl EmittedView {
    /// The content hash of the whole view.
    pub(crate) fn content_hash(&self) -> String {
        format!("{:032x}-{}", self.sum, self.rows)
    }
}

/// What the thread owns.
struct Emission {
    fields: Vec<FieldNumber>,
    views: Vec<EmittedView>,
    batches: mpsc::Sender<Vec<Put>>,
    batch: Vec<Put>,
    config: Config,
}

impl Emitter {
    /// Starts the thread on what stands of each view.
    pub(crate) fn start(views: Vec<(FieldNumber, Reducer)>, config: &Config) -> Result<Self, Error> {
        let (batches, batches_out) = mpsc::channel(config.batches_in_flight.max(1));
        let (answer, outcome) = oneshot::channel();
        let (fields, reducers) = views.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        let views = vec![EmittedView::default(); fields.len()];
        let mut emission = Emission { fields, views, batches, batch: Vec::new(), config: config.clone() };
        let spawned = std::thread::Builder::new().name("tidegate-emit".to_owned()).spawn(move || {
            let result = emission.run(reducers);
            // nobody waits for the answer once the run is dropped
            drop(answer.send(Emitted { views: emission.views, result }));
        });
        match spawned {
            Ok(_joined_by_its_answer) => Ok(Self { batches: batches_out, outcome }),
            Err(source) => Err(Error::spill(&config.spill_folder, source)),
        }
    }
}

impl Emission {
    fn run(&mut self, reducers: Vec<Reducer>) -> Result<(), Error> {
        let spill = |source| Error::spill(&self.config.spill_folder, source);
        let mut winners = Winners::of(reducers).map_err(spill)?;
        let result = self.hand_on(&mut winners);
        for (number, view) in self.views.iter_mut().enumerate() {
            view.complete = result.is_ok() || winners.is_past(number);
        }
        let rows = self.views.iter().map(|view| view.rows).sum::<u64>();
        tracing::debug!(rows, spilled_bytes = winners.spilled_bytes, "winners are handed on");
        result
    }

    fn hand_on(&mut self, winners: &mut Winners) -> Result<(), Error> {
        let (mut rows, mut hashed) = (Vec::with_capacity(self.fields.len()), Vec::new());
        loop {
            let next = winners.next_key(&mut rows);
            let Some(key) = next.map_err(|source| Error::spill(&self.config.spill_folder, source))? else { break };
            // a key's rows are not parted
            if !self.batch.is_empty() && self.batch.len() + rows.len() > self.config.batch_rows {
                self.send()?;
            }
            for (view, row) in rows.drain(..) {
                self.add(view, key.clone(), row, &mut hashed);
            }
        }
        if self.batch.is_empty() { Ok(()) } else { self.send() }
    }

    fn add(&mut self, view: usize, key: EntityKey, row: Bytes, hashed: &mut Vec<u8>) {
        let (Some(emitted), Some(field)) = (self.views.get_mut(view), self.fields.get(view)) else { return };
        emitted.rows += 1;
        emitted.sum = emitted.sum.wrapping_add(content_hash(key.as_bytes(), &row, hashed));
        self.batch.push(Put { key, field: *field, row });
    }

    fn send(&mut self) -> Result<(), Error> {
        let empty = Vec::with_capacity(self.config.batch_rows.min(LARGEST_RESERVED_ROWS));
        let batch = std::mem::replace(&mut self.batch, empty);
        self.batches.blocking_send(batch).map_err(|_| Error::Interrupted)
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
