//! What can go wrong with the registry, as a caller can act on it.

use std::path::PathBuf;

use tidegate_catalog::{ErrorCode, FieldNumber, snapshot::SnapshotError};

use crate::RunId;

/// An outcome of the registry that is not an answer. `Display` speaks to the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened, made or written.
    #[error("registry {path}: {reason}; check that its folder exists and is writable, or choose another state folder")]
    NotUsable {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// The file is something else.
    #[error("registry {path} is not a registry of tidegate ({found}); move it away or choose another state folder")]
    NotARegistry {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
    /// A newer Tidegate wrote it.
    #[error(
        "registry {path} has schema version {found}, this tidegate knows up to {known}; upgrade tidegate, or choose another state folder"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that this code knows.
        known: i64,
    },
    /// The definitions in the registry are not those that the plan was made against.
    #[error(
        "the plan was made against {planned} but the registry is now at {found}; run plan again and look at what changed"
    )]
    StalePlan {
        /// What the plan was made against.
        planned: String,
        /// What is there.
        found: String,
    },
    /// The definitions to apply are not those that were planned.
    #[error("the definitions changed after the plan was made; run plan again")]
    OtherDefinitions,
    /// Somebody else holds the registry's write lock for too long.
    #[error("registry {path} is being written by another process; run the command again when it is done")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The plan breaks readers.
    #[error("the plan has breaking changes: {}; check who reads them, then apply with --allow-breaking", .changes.join("; "))]
    Breaking {
        /// Each of them.
        changes: Vec<String>,
    },
    /// The registry holds another project.
    #[error(
        "the registry holds project {held:?}, the definitions are of project {given:?}; set `project: {held}` in tidegate.yaml or choose another state folder"
    )]
    OtherProject {
        /// The registry's.
        held: String,
        /// The definitions'.
        given: String,
    },
    /// Nothing was applied yet.
    #[error("nothing was applied to the registry yet; run tidegate apply")]
    NothingApplied,
    /// The view is not in the newest snapshot.
    #[error("feature view {view:?} is not in the registry (it has: {known}); run tidegate apply if it is new")]
    UnknownView {
        /// As asked.
        view: String,
        /// All views.
        known: String,
    },
    /// The version is not in the registry.
    #[error("the registry has no snapshot of version {version}")]
    UnknownVersion {
        /// As asked.
        version: u64,
    },
    /// The run is not in the ledger, or is over.
    #[error("run {run} is not running")]
    NotRunning {
        /// The run.
        run: RunId,
    },
    /// A run of a generation that the registry does not have.
    #[error("field {} is not a generation of feature view {view:?} that can be written; read the newest snapshot and start again", .field.0)]
    NotWritable {
        /// The view.
        view: String,
        /// The generation.
        field: FieldNumber,
    },
    /// All numbers of a kind are given.
    #[error("the registry has no {kind} numbers left")]
    NumbersExhausted {
        /// Which.
        kind: &'static str,
    },
    /// A stored snapshot cannot be read.
    #[error("snapshot {version} of the registry: {source}")]
    Snapshot {
        /// Its version.
        version: u64,
        /// Why.
        source: SnapshotError,
    },
    /// A stored value is not what this code writes.
    #[error("registry {path} is damaged: {what}; restore it from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The database failed.
    #[error("registry {path}: {source}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: sqlx::Error,
    },
}

impl Error {
    /// What the caller can do about it.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotUsable { .. }
            | Self::NotARegistry { .. }
            | Self::Newer { .. }
            | Self::Breaking { .. }
            | Self::OtherProject { .. }
            | Self::NothingApplied
            | Self::NotRunning { .. }
            | Self::NotWritable { .. } => ErrorCode::FailedPrecondition,
            Self::StalePlan { .. } | Self::OtherDefinitions | Self::Busy { .. } => ErrorCode::Aborted,
            Self::UnknownView { .. } | Self::UnknownVersion { .. } => ErrorCode::NotFound,
            Self::NumbersExhausted { .. } => ErrorCode::ResourceExhausted,
            Self::Snapshot { .. } | Self::Damaged { .. } => ErrorCode::Internal,
            Self::Database { .. } => ErrorCode::Unavailable,
        }
    }

    /// What a caller over the wire may read: no path and nothing that the database says.
    pub fn client_message(&self) -> String {
        match self {
            Self::NotUsable { .. } | Self::NotARegistry { .. } | Self::Newer { .. } | Self::Database { .. } => {
                "the registry cannot be used; its operator finds the reason in the log".to_owned()
            }
            Self::Busy { .. } => "the registry is being written by another process; try again".to_owned(),
            Self::Snapshot { .. } | Self::Damaged { .. } => "the registry is damaged".to_owned(),
            Self::StalePlan { .. }
            | Self::OtherDefinitions
            | Self::Breaking { .. }
            | Self::OtherProject { .. }
            | Self::NothingApplied
            | Self::UnknownView { .. }
            | Self::UnknownVersion { .. }
            | Self::NotRunning { .. }
            | Self::NotWritable { .. }
            | Self::NumbersExhausted { .. } => cut(self.to_string()),
        }
    }
}

/// The longest message that a client reads, in bytes.
const CLIENT_BYTES: usize = 1024;

fn cut(message: String) -> String {
    if message.len() <= CLIENT_BYTES {
        return message;
    }
    let end = (0..=CLIENT_BYTES - 3).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
    let mut short = message;
    short.truncate(end);
    short.push_str("...");
    short
}
