//! A source's files: found, pinned and read as one table.
//!
//! A path is a file, a glob or a folder. Files whose name begins with `.` or `_`, or does not end in `.parquet`, are passed
//! over: that is how writers mark what is hidden or unfinished. `key=value` folders become columns. Files may add, reorder
//! and widen columns, and hold their times in any unit; a conflict names the file.

mod files;
mod pinned;
mod table;
mod units;
mod widen;

pub use pinned::{PinnedFile, PinnedSource};
pub(crate) use table::SourceTable;
