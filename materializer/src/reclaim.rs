//! Removing the cells of generations that readers left long ago: in the background, page by page.

use std::collections::BTreeSet;

use serde::Serialize;
use tidegate_catalog::{Deadline, FieldNumber};
use tidegate_store::{OnlineStore, Put, ScanCursor};
use tokio_util::sync::CancellationToken;

use crate::Error;

/// Cells of one page of the scan, and most cells of one removal.
const PAGE_CELLS: usize = 1_000;

/// What a reclaim did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReclaimReport {
    /// Cells looked at.
    pub scanned: u64,
    /// Cells removed.
    pub removed: u64,
}

/// Removes every cell of `fields`, which no reader reads any more (the registry says when: `reclaim_grace` after the
/// move). A cell written again since the scan saw it stays, so a racing writer loses nothing.
///
/// One page is scanned and removed at a time; readers wait for no more than one page's removal. Cancelling the token stops
/// between pages; the same call again goes on from the beginning and finds less.
/// # Errors
/// [`Error::Store`]; what was removed stays removed. [`Error::Interrupted`] when the token was cancelled.
pub async fn reclaim<S: OnlineStore>(
    store: &S,
    fields: &[FieldNumber],
    cancel: &CancellationToken,
) -> Result<ReclaimReport, Error> {
    let mut report = ReclaimReport::default();
    if fields.is_empty() {
        return Ok(report);
    }
    let fields = fields.iter().copied().collect::<BTreeSet<_>>();
    let mut from: Option<ScanCursor> = None;
    loop {
        if cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        let page = store.scan(from.as_ref(), PAGE_CELLS, Deadline::NEVER).await?;
        report.scanned += page.cells.len() as u64;
        let left = page.cells.into_iter().filter(|cell| fields.contains(&cell.field));
        let left = left.map(|cell| Put { key: cell.key, field: cell.field, row: cell.row }).collect::<Vec<_>>();
        for some in left.chunks(PAGE_CELLS) {
            report.removed += store.remove(some, Deadline::NEVER).await?;
        }
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    tracing::info!(scanned = report.scanned, removed = report.removed, "retired generations reclaimed");
    Ok(report)
}
