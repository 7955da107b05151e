//! One view's rows through encoding and reduction, on a thread of their own: CPU work that would hold an async worker.
//!
//! ```text
//!  batches ──(bounded)──> [ encode, count, reduce ] ──> the rows that stand
//! ```
//! The thread ends when its input ends or at its first error.

use arrow_array::RecordBatch;
use tokio::sync::{mpsc, oneshot};

use crate::{
    Config, Counts, Error,
    reduce::Reducer,
    rows::{RowEncoder, Window},
    sample::Sample,
};

/// Batches that wait for the thread.
const WAITING_BATCHES: usize = 2;

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
    /// Every count of the reading; also of a run that stopped.
    pub(crate) counts: Counts,
    /// The rows that stand, or why the thread stopped.
    pub(crate) rows: Result<Reducer, Error>,
    /// Of a sample: which keys belong to it. Some that no longer do may be among the rows.
    pub(crate) sample: Option<Sample>,
}

/// The async side of the thread.
pub(crate) struct Worker {
    /// Where batches go.
    pub(crate) batches: mpsc::Sender<Input>,
    /// What stands, when the thread ends.
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
    /// Starts the thread, which holds `config.memory_bytes`.
    pub(crate) fn start(encoder: RowEncoder, window: Window, keep: Keep, config: &Config) -> Result<Self, Error> {
        let (batches, batches_in) = mpsc::channel(WAITING_BATCHES);
        let (answer, outcome) = oneshot::channel();
        let sample = match keep {
            Keep::All => None,
            Keep::Sample { keys, seed } => Some(Sample::new(keys, seed)),
        };
        let work = Work { encoder, window, sample, config: config.clone() };
        let spawned = std::thread::Builder::new().name("tidegate-reduce".to_owned()).spawn(move || {
            // nobody waits for the answer once the run is dropped
            drop(answer.send(work.run(batches_in)));
        });
        match spawned {
            Ok(_joined_by_its_answer) => Ok(Self { batches, outcome }),
            Err(source) => Err(Error::spill(&config.spill_folder, source)),
        }
    }
}

impl Work {
    fn run(mut self, batches: mpsc::Receiver<Input>) -> Reduced {
        let mut counts = Counts::default();
        let rows = self.reduce(batches, &mut counts);
        Reduced { counts, rows, sample: self.sample }
    }

    fn reduce(&mut self, mut batches: mpsc::Receiver<Input>, counts: &mut Counts) -> Result<Reducer, Error> {
        let folder = &self.config.spill_folder;
        let mut reducer = Reducer::new(self.config.memory_bytes, folder);
        while let Input::Batch(batch) = batches.blocking_recv().ok_or(Error::Interrupted)? {
            let sample = &mut self.sample;
            self.encoder.encode(&batch, &self.window, counts, |key, row| {
                if sample.as_mut().is_some_and(|sample| !sample.admit(key.as_bytes())) {
                    return Ok(());
                }
                reducer.offer(key.as_bytes(), row).map_err(|source| Error::spill(folder, source))
            })?;
            counts.require_budget(self.config.error_budget_rows)?;
        }
        Ok(reducer)
    }
}
