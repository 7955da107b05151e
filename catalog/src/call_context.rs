//! What travels with one call through every stage: who asks, under which id, until when.

use std::sync::Arc;

use crate::Deadline;

/// One call's identity and limits, handed from stage to stage by reference.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// The caller's `x-request-id`, or one made here; in every error body and log line.
    pub request_id: Arc<str>,
    /// Who asks.
    pub principal: Principal,
    /// When the call's time is over.
    pub deadline: Deadline,
    /// Which calls go first when there is not room for all.
    pub priority: Priority,
    /// W3C trace context, when the caller sent one.
    pub trace: Option<TraceContext>,
}

/// Who makes a call. Keys and certificates come with access control; until then everybody is local.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// An unauthenticated caller on the loopback address.
    Local,
    /// A caller known by name.
    Named(Arc<str>),
}

/// Order among waiting calls; the smaller goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Before the others.
    High,
    /// What a call is unless it says otherwise.
    #[default]
    Normal,
    /// After the others.
    Low,
}

/// The ids of a W3C `traceparent` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace's 16 bytes.
    pub trace_id: [u8; 16],
    /// The caller's span.
    pub parent_id: [u8; 8],
    /// Whether the caller records it.
    pub sampled: bool,
}
