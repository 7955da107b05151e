//! From rows to the model's tensors: the rows that can be given, side by side; the others with their reason.

use tidegate_inference::batch_input::BatchInput;
use tidegate_proto::predict::RowFailure;
use xxhash_rust::xxh3::Xxh3;

use crate::{
    gather::{Gather, Lacking, RowAt},
    plan::GatherPlan,
};

/// A filled batch and what became of each row.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) batch: BatchInput,
    /// For each row of the request its place in the batch.
    pub(crate) slots: Vec<Option<u32>>,
    /// The rows that were looked up and cannot be given.
    pub(crate) failures: Vec<RowFailure>,
}

/// Gathers into `batch`, which has a row for each of the request's, the rows that have keys (`looked_up` says which of the request's rows those are, and where).
/// # Cost
/// One allocation, for the slots; the batch's memory is the model's, used again and again.
pub(crate) fn fill(plan: &GatherPlan, gather: &Gather<'_>, looked_up: &[Option<u32>], mut batch: BatchInput) -> Filled {
    let mut slots = Vec::with_capacity(looked_up.len());
    let mut failures = Vec::new();
    let mut filled = 0;
    for (row, slot) in looked_up.iter().enumerate() {
        let Some(slot) = *slot else {
            slots.push(None);
            continue;
        };
        // a row that fails is written over by the next
        match put_row(plan, gather, RowAt { row, slot: slot as usize }, (&mut batch, filled)) {
            Ok(()) => {
                slots.push(u32::try_from(filled).ok());
                filled += 1;
            }
            Err(lacking) => {
                slots.push(None);
                failures.push(RowFailure { row, code: lacking.code(), message: lacking.to_string() });
            }
        }
    }
    batch.truncate(filled);
    Filled { batch, slots, failures }
}

fn put_row(
    plan: &GatherPlan,
    gather: &Gather<'_>,
    at: RowAt,
    (batch, row): (&mut BatchInput, usize),
) -> Result<(), Lacking> {
    plan.elements.iter().try_for_each(|element| gather.put(at, *element, batch, row))
}

/// A hash of each row's elements, in the model's input order: what a record says the model saw.
pub(crate) fn row_hashes(batch: &BatchInput) -> Vec<u64> {
    let hash = |row| {
        let mut hash = Xxh3::new();
        batch.feed_row(row, |bytes| hash.update(bytes));
        hash.digest()
    };
    (0..batch.rows()).map(hash).collect()
}
