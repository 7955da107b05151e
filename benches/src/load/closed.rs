//! Saturation: connections that send the next request as soon as they have the answer.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use serde::Serialize;

use super::{Client, Requests};
use crate::clock;

/// The numbers of connections that are tried; a side's best counts.
pub const CONNECTIONS: [usize; 4] = [32, 64, 128, 256];

/// What a closed loop reached.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Saturation {
    /// Connections, each with one request in flight.
    pub connections: usize,
    /// Answers a second.
    pub per_second: f64,
    /// Answers in the measured time.
    pub answered: u64,
}

struct Shared {
    requests: Requests,
    next: AtomicUsize,
    answered: AtomicU64,
    stop: AtomicBool,
}

/// Loads `addr` over `connections` connections for `length`, after a fifth of it that is left out.
/// # Errors
/// The first answer that is not 200: a server that refuses is not measured.
#[expect(clippy::disallowed_methods, reason = "a bench's tasks end with it")]
pub async fn closed_loop(
    addr: SocketAddr,
    requests: &Requests,
    connections: usize,
    length: Duration,
) -> Result<Saturation> {
    let shared = Arc::new(Shared {
        requests: requests.clone(),
        next: AtomicUsize::new(0),
        answered: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let mut tasks = Vec::with_capacity(connections);
    for _ in 0..connections {
        let (mut client, shared) = (Client::connect(addr).await?, Arc::clone(&shared));
        tasks.push(tokio::spawn(async move {
            while !shared.stop.load(Ordering::Relaxed) {
                let body = shared.requests.body(shared.next.fetch_add(1, Ordering::Relaxed));
                client.post(&shared.requests.path, body).await?;
                shared.answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, anyhow::Error>(())
        }));
    }
    tokio::time::sleep(length / 5).await;
    let (from, start) = (shared.answered.load(Ordering::Relaxed), clock::now());
    tokio::time::sleep(length).await;
    let (to, took) = (shared.answered.load(Ordering::Relaxed), start.elapsed());
    shared.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await??;
    }
    let answered = to - from;
    if answered == 0 {
        bail!("{addr} answered nothing within {length:?} over {connections} connections");
    }
    Ok(Saturation { connections, per_second: answered as f64 / took.as_secs_f64(), answered })
}

/// The number of [`CONNECTIONS`] at which `addr` answers most, each tried for `length`: a side's rounds are run there.
/// # Errors
/// As [`closed_loop`].
pub async fn best_connections(addr: SocketAddr, requests: &Requests, length: Duration) -> Result<usize> {
    let mut best: Option<Saturation> = None;
    for connections in CONNECTIONS {
        let found = closed_loop(addr, requests, connections, length).await?;
        if best.is_none_or(|best| found.per_second > best.per_second) {
            best = Some(found);
        }
    }
    best.map(|best| best.connections).ok_or_else(|| anyhow::anyhow!("no number of connections was tried"))
}
