//! The closed list of outcomes that a caller of Tidegate can be told about.
//!
//! Every crate's error enum maps to this list; `proto` maps it to HTTP and gRPC, in one table. It never carries a
//! message: the enum that owns the message owns its words.

/// What went wrong, as the caller can act on it. The list is closed: design and wire table cover the same set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorCode {
    /// The request itself is wrong; sending it again unchanged fails again.
    InvalidArgument,
    /// Something that the request names does not exist.
    NotFound,
    /// Something that the request wants to create exists already.
    AlreadyExists,
    /// Another writer was faster; read again and repeat.
    Aborted,
    /// The request is fine, the state it needs is not there.
    FailedPrecondition,
    /// Nobody, or nobody known, is asking.
    Unauthenticated,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// A limit or a queue is full; try again later.
    ResourceExhausted,
    /// The caller went away.
    Cancelled,
    /// The call's time was over before its work was.
    DeadlineExceeded,
    /// The request asks for something that this server does not do.
    Unimplemented,
    /// A part that the call needs cannot be reached now.
    Unavailable,
    /// A fault of ours.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::InvalidArgument,
        Self::NotFound,
        Self::AlreadyExists,
        Self::Aborted,
        Self::FailedPrecondition,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::Cancelled,
        Self::DeadlineExceeded,
        Self::Unimplemented,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The name on the wire, in logs and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "InvalidArgument",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Aborted => "Aborted",
            Self::FailedPrecondition => "FailedPrecondition",
            Self::Unauthenticated => "Unauthenticated",
            Self::PermissionDenied => "PermissionDenied",
            Self::ResourceExhausted => "ResourceExhausted",
            Self::Cancelled => "Cancelled",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::Unimplemented => "Unimplemented",
            Self::Unavailable => "Unavailable",
            Self::Internal => "Internal",
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
