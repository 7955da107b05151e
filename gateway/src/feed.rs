//! Where snapshots come from: a trait that the binary binds to the registry.

use std::{future::Future, pin::Pin};

use bytes::Bytes;

/// One published snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its version.
    pub version: u64,
    /// Its canonical bytes.
    pub bytes: Bytes,
}

/// The control plane cannot be asked. The message is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FeedError {
    /// What failed, in words.
    pub message: String,
}

/// A pending answer of the feed. Boxed: it is asked a few times a second, never by a request.
pub type Newest<'a> = Pin<Box<dyn Future<Output = Result<Option<Published>, FeedError>> + Send + 'a>>;

/// The source of snapshots. Implementations are asked again and again and keep no state for the gateway.
pub trait SnapshotFeed: Send + Sync {
    /// The newest snapshot, unless its version is `known`; `None` then, and also while nothing was ever published.
    ///
    /// Cancel-safe: reading changes nothing.
    /// # Errors
    /// [`FeedError`] when the registry cannot be asked; the gateway goes on with what it has.
    fn newest(&self, known: Option<u64>) -> Newest<'_>;
}
