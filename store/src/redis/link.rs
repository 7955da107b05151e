//! The connection to one server, and when to leave it.
//!
//! The driver leaves a connection that was closed, but not one whose peer has gone silent (a lost host, a forgotten entry in
//! a gateway's table): the kernel may take a quarter of an hour to notice. So when calls have gone unanswered for two
//! timeouts, and none was answered in between, the next call opens a new connection. A server that is only slow costs one
//! connection per two timeouts by this; calls that still wait on the old one keep it until they end.
//!
//! Nor does it try again where the server answered the greeting with a refusal (it does not know the password yet, it loads
//! its file): that answer stays the connection's for good. And a server that became a replica keeps its connections, while
//! the name may stand for another one by now. So after such an answer, too, the next call opens a new connection, at most
//! one per two timeouts.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::RwLock;
use redis::{
    Client, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tidegate_catalog::Monotonic;

/// No call is unanswered since the last answer.
const NONE: u64 = u64::MAX;

pub(super) struct Link {
    client: Client,
    settings: ConnectionManagerConfig,
    current: RwLock<ConnectionManager>,
    /// When the first call was sent that has had no answer since the last one that had; microseconds, or [`NONE`].
    silent_since_us: AtomicU64,
    /// When a refusal last replaced the connection; microseconds, or [`NONE`].
    refused_at_us: AtomicU64,
    patience: Duration,
}

impl Link {
    /// Nothing is sent before the first call.
    pub(super) fn new(client: Client, timeout: Duration) -> RedisResult<Self> {
        let settings = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(timeout))
            // the caller's own limit is the shorter one
            .set_response_timeout(Some(timeout.saturating_mul(4)))
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(20));
        let current = RwLock::new(ConnectionManager::new_lazy_with_config(client.clone(), settings.clone())?);
        let patience = timeout.saturating_mul(2);
        Ok(Self { client, settings, current, silent_since_us: NONE.into(), refused_at_us: NONE.into(), patience })
    }

    /// The connection to send the next call on.
    pub(super) fn connection(&self) -> ConnectionManager {
        self.current.read().clone()
    }

    /// The server answered, whatever it said.
    pub(super) fn answered(&self) {
        // the common case reads a line that nobody writes
        if self.silent_since_us.load(Ordering::Relaxed) != NONE {
            self.silent_since_us.store(NONE, Ordering::Relaxed);
        }
    }

    /// A call sent at `sent` has no answer at `now`.
    pub(super) fn silent(&self, sent: Monotonic, now: Monotonic) {
        let sent_us = micros(sent);
        let first = self.silent_since_us.compare_exchange(NONE, sent_us, Ordering::Relaxed, Ordering::Relaxed);
        let since_us = first.map_or_else(|earlier| earlier.min(sent_us), |_none| sent_us);
        if now.since(Monotonic(Duration::from_micros(since_us))) < self.patience {
            return;
        }
        // whoever puts it back to NONE replaces the connection, the others have it done
        if self.silent_since_us.swap(NONE, Ordering::Relaxed) == NONE {
            return;
        }
        self.replace();
    }

    /// The server answered at `now` that it takes no calls on this connection.
    pub(super) fn refused(&self, now: Monotonic) {
        let last_us = self.refused_at_us.load(Ordering::Relaxed);
        if last_us != NONE && now.since(Monotonic(Duration::from_micros(last_us))) < self.patience {
            return;
        }
        // of several that come at once, one replaces it
        if self.refused_at_us.compare_exchange(last_us, micros(now), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.replace();
        }
    }

    fn replace(&self) {
        match ConnectionManager::new_lazy_with_config(self.client.clone(), self.settings.clone()) {
            Ok(fresh) => *self.current.write() = fresh,
            Err(error) => tracing::warn!(%error, "a new connection to the online store cannot be prepared"),
        }
    }
}

fn micros(at: Monotonic) -> u64 {
    u64::try_from(at.0.as_micros()).unwrap_or(NONE - 1)
}
