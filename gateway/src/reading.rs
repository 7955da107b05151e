//! The one round trip of a call: all keys, all cells; then each cell judged.

use std::time::Duration;

use tidegate_catalog::{CallContext, Deadline, ErrorCode, Micros};
use tidegate_store::{Cell as StoreCell, Cells, Error, OnlineStore as _, ReadPlan};

use crate::{
    answers::{Answers, CellState},
    app::App,
    plan::LookupPlan,
    refusal::Refusal,
};

/// Reads the cells of `read` into `cells`. The store may take three quarters of the time that is left: where it is late,
/// the rest still suffices for defaults and the model.
///
/// Cancel-safe: reading changes nothing.
/// # Errors
/// The store's, as a whole; `cells` is then empty.
/// # Cost
/// One round trip, and none when nothing is asked.
pub(crate) async fn read(app: &App, context: &CallContext, read: &ReadPlan, cells: &mut Cells) -> Result<(), Error> {
    let now = app.clock.monotonic();
    let share = context.deadline.left(now).saturating_mul(3) / 4;
    app.store.read(read, Deadline::after(now, share.max(Duration::from_millis(1))), cells).await
}

/// The store's failure, for a caller.
pub(crate) fn refusal(error: &Error) -> Refusal {
    Refusal::Store { code: store_code(error), message: error.client_message().to_owned() }
}

/// A foreign registry or a refused command is our trouble, not the caller's.
pub(crate) const fn store_code(error: &Error) -> ErrorCode {
    match error {
        Error::Late { .. } => ErrorCode::DeadlineExceeded,
        Error::Unavailable { .. } | Error::OtherRegistry { .. } | Error::RegistryBehind { .. } => {
            ErrorCode::Unavailable
        }
        Error::TooMuch { .. } => ErrorCode::InvalidArgument,
        Error::Refused { .. } | Error::Config { .. } => ErrorCode::Internal,
    }
}

/// Judges every cell of an answer against `now`.
/// # Cost
/// One allocation for all states; per cell one hash over the key and one pass over the row.
pub(crate) fn judge<'c>(
    app: &App,
    plan: &'c LookupPlan,
    read: &ReadPlan,
    cells: &'c Cells,
    now: Micros,
) -> Answers<'c> {
    let per_row = plan.cells.len();
    let mut answers = Answers { states: Vec::with_capacity(cells.len()), cells: per_row, now, failed: None };
    let groups = plan.groups.iter().cycle();
    let mut at = 0;
    for ((key, fields), group) in read.keys().zip(groups) {
        let planned = plan.cells.get(group.cells.clone()).unwrap_or(&[]);
        for (_, cell) in fields.iter().zip(planned) {
            let state = match (cells.cell(at), &cell.view.serving) {
                (StoreCell::Absent, _) | (_, None) => CellState::Absent,
                (StoreCell::Failed, _) => {
                    app.metrics.unanswered_cells.increment(1);
                    CellState::Failed
                }
                (StoreCell::Row(bytes), Some(serving)) => {
                    let expected = serving.check.of(key);
                    CellState::judge(bytes, &serving.layout, cell.view.ttl, expected, now).unwrap_or_else(|error| {
                        app.metrics.foreign_cells.increment(1);
                        if let Some(held_back) = app.limits.foreign_cells.allow(app.clock.monotonic()) {
                            tracing::warn!(view = cell.view.name, %error, held_back, "a cell holds no row of its own");
                        }
                        CellState::Failed
                    })
                }
            };
            if matches!(state, CellState::Failed) {
                answers.failed = Some(ErrorCode::Unavailable);
            }
            answers.states.push(state);
            at += 1;
        }
    }
    answers
}

/// The answers where the store gave none at all.
pub(crate) fn unanswered<'c>(plan: &LookupPlan, rows: usize, now: Micros, error: &Error) -> Answers<'c> {
    let states = vec![CellState::Failed; rows * plan.cells.len()];
    let failed = Some(store_code(error)).filter(|_| !states.is_empty());
    Answers { states, cells: plan.cells.len(), now, failed }
}
