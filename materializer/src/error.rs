//! Why a materialization, a verification or a reclaim stopped.

use tidegate_catalog::{ErrorCode, Micros};

use crate::counts::Example;

/// Outcomes that a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `--start` after `--end`, or after now.
    #[error(
        "the interval starts at {start}, after its end {end}; start is exclusive, end inclusive and never after now"
    )]
    Backwards {
        /// The start.
        start: Micros,
        /// The end, at most now.
        end: Micros,
    },
    /// More bad rows than the run may bear.
    #[error(
        "{bad_rows} rows are bad, the budget is {budget_rows}; the first: key {} - {}; correct the source or the view's filter, or raise materializer.error_budget_rows", .example.key, .example.why
    )]
    TooManyBadRows {
        /// How many.
        bad_rows: u64,
        /// How many were allowed.
        budget_rows: u64,
        /// The first of them.
        example: Example,
    },
    /// An audit at a time whose values the store has overwritten already.
    #[error(
        "the store holds rows up to {event_clock}, and what it held at {at} is gone; the earliest time that can be verified is {event_clock}"
    )]
    BeforeEventClock {
        /// The time asked for.
        at: Micros,
        /// The store's event clock.
        event_clock: Micros,
    },
    /// A batch without the columns of the view's generation.
    #[error("feature view {view:?} yields other columns than its generation holds: {what}")]
    Batch {
        /// The view.
        view: String,
        /// What is wrong.
        what: String,
    },
    /// The view's rows could not be computed.
    #[error(transparent)]
    Offline(#[from] tidegate_offline::Error),
    /// The store failed for good, or longer than retries last.
    #[error(transparent)]
    Store(#[from] tidegate_store::Error),
    /// The registry or its run ledger failed.
    #[error(transparent)]
    Control(#[from] tidegate_control::Error),
    /// The files for rows that do not fit into memory.
    #[error("rows that do not fit into memory could not go to {}: {source}; check materializer's folder and its disk", .folder.display())]
    Spill {
        /// Where.
        folder: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Stopped by its caller. What was acknowledged stays; the same command again completes it.
    #[error("interrupted; what the store acknowledged stays, the same command again completes it")]
    Interrupted,
    /// A thread that reduces rows or hands them on ended without an answer: a fault of ours.
    #[error("the thread of feature view {view:?} ended without an answer")]
    WorkerLost {
        /// The view.
        view: String,
    },
}

impl Error {
    pub(crate) fn spill(folder: &std::path::Path, source: std::io::Error) -> Self {
        Self::Spill { folder: folder.to_owned(), source }
    }

    /// The caller's view of it.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Backwards { .. } => ErrorCode::InvalidArgument,
            Self::TooManyBadRows { .. } | Self::BeforeEventClock { .. } | Self::Batch { .. } => {
                ErrorCode::FailedPrecondition
            }
            Self::Offline(error) => error.code(),
            Self::Control(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Spill { .. } => ErrorCode::Unavailable,
            Self::Interrupted => ErrorCode::Cancelled,
            Self::WorkerLost { .. } => ErrorCode::Internal,
        }
    }
}
