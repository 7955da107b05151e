//! What can go wrong between a source's files and a view's rows. Each message names the view, the column or the file.

use std::path::PathBuf;

use tidegate_catalog::ErrorCode;

/// Why a source or a view cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No file is where the source says.
    #[error("source {source_name:?}: {path:?} names no Parquet file (hidden and unfinished files are passed over)")]
    NoFiles {
        /// The source.
        source_name: String,
        /// Its path as written.
        path: String,
    },
    /// The path cannot be read at all.
    #[error("source {source_name:?}: {path}: {reason}")]
    Path {
        /// The source.
        source_name: String,
        /// The path.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// An object store that is not configured.
    #[error("source {source_name:?}: {scheme}:// is not yet a place for sources; use a local file, glob or folder")]
    NotYet {
        /// The source.
        source_name: String,
        /// The URL's scheme.
        scheme: String,
    },
    /// A file that is no Parquet file, or is cut off.
    #[error("source {source_name:?}: {file}: not a readable Parquet file: {reason}")]
    File {
        /// The source.
        source_name: String,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file whose column conflicts with its siblings'.
    #[error("source {source_name:?}: {file}: column {column:?} is {found}, in the files before it {expected}")]
    Conflict {
        /// The source.
        source_name: String,
        /// The file.
        file: PathBuf,
        /// The column.
        column: String,
        /// Its type here.
        found: String,
        /// Its type there.
        expected: String,
    },
    /// A file was replaced, changed or deleted while a view was being read.
    #[error("source {source_name:?}: {file} changed while it was read; run it again")]
    Changed {
        /// The source.
        source_name: String,
        /// The file.
        file: PathBuf,
    },
    /// The view's query cannot be planned.
    #[error("feature view {view:?}: {message}")]
    Query {
        /// The view.
        view: String,
        /// What is wrong.
        message: String,
        /// Line and column inside the SQL, from 1, where the parser says so.
        position: Option<(u64, u64)>,
    },
    /// The query yields no such column.
    #[error("feature view {view:?}: its query yields no column {column:?} (it yields: {has})")]
    NoColumn {
        /// The view.
        view: String,
        /// The column.
        column: String,
        /// What there is.
        has: String,
    },
    /// The query yields two columns of this name.
    #[error(
        "feature view {view:?}: its query yields more than one column {column:?}; give each a name of its own with AS"
    )]
    Ambiguous {
        /// The view.
        view: String,
        /// The column.
        column: String,
    },
    /// A column's type does not fit and is not to be narrowed.
    #[error("feature view {view:?}: column {column:?} is {found}, which is no {expected}; cast it in the SQL")]
    ColumnType {
        /// The view.
        view: String,
        /// The column.
        column: String,
        /// The planned type.
        found: String,
        /// What the definition says.
        expected: String,
    },
    /// A value that its type cannot hold.
    #[error("feature view {view:?}: column {column:?}: {reason}")]
    Value {
        /// The view.
        view: String,
        /// The column.
        column: String,
        /// Why not.
        reason: String,
    },
    /// The query cannot be computed for a row: a cast that fails, a division by zero.
    #[error(
        "feature view {view:?}: a row cannot be computed: {reason}; where a null will do, TRY_CAST and NULLIF give one"
    )]
    Row {
        /// The view.
        view: String,
        /// What the engine says.
        reason: String,
    },
    /// The query needs more memory than it may have, and cannot spill.
    #[error("feature view {view:?}: its query needs more than offline.memory_bytes = {memory_bytes}: {reason}")]
    Memory {
        /// The view.
        view: String,
        /// The limit.
        memory_bytes: usize,
        /// What the engine says.
        reason: String,
    },
    /// The engine failed while running the query.
    #[error("feature view {view:?}: {reason}")]
    Execution {
        /// The view.
        view: String,
        /// What it says.
        reason: String,
    },
    /// The engine cannot be set up.
    #[error("the query engine cannot start: {reason}")]
    Engine {
        /// Why.
        reason: String,
    },
}

impl Error {
    /// The caller's view of it.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NoFiles { .. }
            | Self::Path { .. }
            | Self::File { .. }
            | Self::Conflict { .. }
            | Self::Row { .. }
            | Self::Changed { .. } => ErrorCode::FailedPrecondition,
            Self::NotYet { .. } => ErrorCode::Unimplemented,
            Self::Query { .. }
            | Self::NoColumn { .. }
            | Self::Ambiguous { .. }
            | Self::ColumnType { .. }
            | Self::Value { .. } => ErrorCode::InvalidArgument,
            Self::Memory { .. } => ErrorCode::ResourceExhausted,
            Self::Execution { .. } | Self::Engine { .. } => ErrorCode::Internal,
        }
    }
}
