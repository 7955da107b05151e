//! Reading a request's body within its route's limit and the client's time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};

use crate::refusal::Refusal;

/// The whole body.
///
/// Cancel-safe: a dropped read closes the connection with its request.
/// # Errors
/// Over `limit` bytes, declared or read; a client that takes longer than `timeout`, or goes away half-way.
/// # Cost
/// A body that arrived with its head is handed on without a copy.
pub(crate) async fn read(body: Incoming, limit: usize, timeout: Duration) -> Result<Bytes, Refusal> {
    let declared = body.size_hint().lower();
    if declared > limit as u64 {
        return Err(Refusal::BodyTooLarge { limit_bytes: limit });
    }
    match tokio::time::timeout(timeout, collected(body, limit)).await {
        Ok(read) => read,
        Err(_) => Err(Refusal::BodyLate { waited: timeout }),
    }
}

/// Reads away the body of a refused request when it is small: its connection can then be kept.
///
/// Cancel-safe.
pub(crate) async fn drain(mut body: Incoming, timeout: Duration) {
    const SMALL: u64 = 64 * 1024;
    if body.size_hint().upper().is_some_and(|bytes| bytes <= SMALL) {
        let drained = async { while body.frame().await.is_some_and(|frame| frame.is_ok()) {} };
        // too late or not, the refusal is sent; hyper closes what was not read
        drop(tokio::time::timeout(timeout, drained).await);
    }
}

async fn collected(mut body: Incoming, limit: usize) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::BodyCutOff)?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len().max(all.len()).saturating_add(data.len()) > limit {
            return Err(Refusal::BodyTooLarge { limit_bytes: limit });
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
    Ok(if all.is_empty() { first } else { all.freeze() })
}
