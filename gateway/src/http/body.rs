//! Reading a request's body within its route's limit and the client's time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{app::BODY_UNIT_BYTES, refusal::Refusal};

/// A body up to here is small: it needs no room, and a refused one is read away.
const SMALL: usize = 64 * 1024;

/// A whole body, and the room that a large one takes until it is dropped.
#[derive(Debug)]
pub(crate) struct WholeBody<'r> {
    pub(crate) bytes: Bytes,
    _room: Option<SemaphorePermit<'r>>,
}

/// What a body is read within.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits<'r> {
    /// The route's.
    pub(crate) bytes: usize,
    /// The client's time.
    pub(crate) time: Duration,
    /// Room for large bodies, shared by all calls.
    pub(crate) room: &'r Semaphore,
}

/// The whole body.
///
/// Cancel-safe: a dropped read closes the connection with its request.
/// # Errors
/// A body over its limit, declared or read; a client that takes longer than its time, or goes away half-way; no room for
/// another large body.
/// # Cost
/// A body that arrived with its head is handed on without a copy.
pub(crate) async fn read(body: Incoming, limits: BodyLimits<'_>) -> Result<WholeBody<'_>, Refusal> {
    let declared = body.size_hint().lower();
    if declared > limits.bytes as u64 {
        return Err(Refusal::BodyTooLarge { limit_bytes: limits.bytes });
    }
    match tokio::time::timeout(limits.time, collected(body, limits)).await {
        Ok(read) => read,
        Err(_) => Err(Refusal::BodyLate { waited: limits.time }),
    }
}

/// Reads away the body of a refused request when it is small: its connection can then be kept.
///
/// Cancel-safe.
pub(crate) async fn drain(mut body: Incoming, timeout: Duration) {
    if body.size_hint().upper().is_some_and(|bytes| bytes <= SMALL as u64) {
        let drained = async { while body.frame().await.is_some_and(|frame| frame.is_ok()) {} };
        // too late or not, the refusal is sent; hyper closes what was not read
        drop(tokio::time::timeout(timeout, drained).await);
    }
}

async fn collected(mut body: Incoming, limits: BodyLimits<'_>) -> Result<WholeBody<'_>, Refusal> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    let mut room = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::BodyCutOff)?;
        let Ok(data) = frame.into_data() else { continue };
        let length = first.len().max(all.len()).saturating_add(data.len());
        if length > limits.bytes {
            return Err(Refusal::BodyTooLarge { limit_bytes: limits.bytes });
        }
        if length > SMALL {
            take_room(limits.room, &mut room, data.len())?;
        }
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
    }
    Ok(WholeBody { bytes: if all.is_empty() { first } else { all.freeze() }, _room: room })
}

/// Takes room for bytes that are there: what a client only declares costs nobody anything.
fn take_room<'r>(room: &'r Semaphore, taken: &mut Option<SemaphorePermit<'r>>, bytes: usize) -> Result<(), Refusal> {
    let units = u32::try_from(bytes.div_ceil(BODY_UNIT_BYTES)).unwrap_or(u32::MAX);
    let more = room.try_acquire_many(units).map_err(|_| Refusal::NoRoomForBody)?;
    match taken {
        Some(taken) => taken.merge(more),
        None => *taken = Some(more),
    }
    Ok(())
}
