//! What can go wrong with a whole call to a store. One row's fate is a [`crate::PutOutcome`], one cell's a [`crate::Cell`].

use tidegate_catalog::ErrorCode;

/// Which backend speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendKind {
    /// In this process, on disk.
    Embedded,
    /// A Redis or Valkey server.
    Redis,
}

impl std::fmt::Display for BackendKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded store",
            Self::Redis => "redis",
        })
    }
}

/// Why a call to a store failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer in time. For a write it is not known whether it happened; repeating it is safe.
    #[error("{backend} gave no answer within {waited_ms} ms; check the server or store.timeout_ms")]
    Late {
        /// Which one.
        backend: BackendKind,
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// Not reachable, or the connection broke. For a write it is not known whether it happened; repeating it is safe.
    #[error("{backend} at {address} cannot be reached: {reason}")]
    Unavailable {
        /// Which one.
        backend: BackendKind,
        /// Where, without user and password.
        address: String,
        /// What the system or the driver says.
        reason: String,
    },
    /// The store answered that it cannot do this.
    #[error("{backend} refused: {reason}")]
    Refused {
        /// Which one.
        backend: BackendKind,
        /// What it says.
        reason: String,
    },
    /// A read of more than a read may answer.
    #[error("the rows asked for take more than {limit_bytes} bytes; ask for fewer keys or features at once")]
    TooMuch {
        /// The most that one read answers.
        limit_bytes: usize,
    },
    /// The store's rows were written under another registry.
    #[error(
        "the store belongs to registry {store}, this is {ours}; if this registry replaces it, run `tidegate store adopt`"
    )]
    OtherRegistry {
        /// The id in the store.
        store: String,
        /// The id that came.
        ours: String,
    },
    /// The store has seen a newer version of this registry: it was restored from a backup.
    #[error(
        "the store has seen version {store} of this registry, which is now at {ours} (restored from a backup?); run `tidegate store adopt`"
    )]
    RegistryBehind {
        /// The version in the store.
        store: u64,
        /// The version that came.
        ours: u64,
    },
    /// The configuration names something that is no store.
    #[error("store.url cannot be used: {reason}")]
    Config {
        /// Why; the URL itself is not repeated, it may hold a password.
        reason: String,
    },
}

impl Error {
    /// The caller's view of it.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Late { .. } => ErrorCode::DeadlineExceeded,
            Self::Unavailable { .. } => ErrorCode::Unavailable,
            Self::Refused { .. } => ErrorCode::Internal,
            Self::OtherRegistry { .. } | Self::RegistryBehind { .. } => ErrorCode::FailedPrecondition,
            // not ResourceExhausted: asking again later does not help
            Self::TooMuch { .. } | Self::Config { .. } => ErrorCode::InvalidArgument,
        }
    }

    /// What a caller over the wire may read: no addresses, no words of the server.
    pub const fn client_message(&self) -> &'static str {
        match self {
            Self::Late { .. } => "the online store did not answer in time",
            Self::Unavailable { .. } => "the online store cannot be reached",
            Self::Refused { .. } => "the online store could not do this",
            Self::TooMuch { .. } => "the rows asked for take more than 64 MiB; ask for fewer keys or features at once",
            Self::OtherRegistry { .. } | Self::RegistryBehind { .. } => "the online store belongs to another registry",
            Self::Config { .. } => "the online store is not configured",
        }
    }

    /// Whether repeating the same call may help.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Late { .. } | Self::Unavailable { .. })
    }
}
