//! The gateway's settings, as its caller has validated them, and the limits that are nobody's setting.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use tidegate_catalog::definitions::MAX_DEADLINE_MS;

pub use tidegate_proto::columns::MAX_ROWS;

/// Longest `x-request-id` that is echoed; a longer one, or one that is not visible ASCII, is replaced.
pub const MAX_REQUEST_ID_BYTES: usize = 128;

/// Settings of one gateway.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether an address other than loopback may be taken although nobody is authenticated.
    pub exposure: Exposure,
    /// Where the last good snapshot is kept; the folder exists.
    pub last_good: PathBuf,
    /// How often the feed is asked for a newer snapshot.
    pub poll_interval: Duration,
    /// Most requests answered at once; more are refused with 429.
    pub max_in_flight: usize,
    /// Most bytes of large bodies (over 64 KiB) held at once; a body beyond it is refused with 429.
    pub max_body_bytes: usize,
    /// Most open connections; more wait in the listen queue.
    pub max_connections: usize,
    /// The time of a call on the Feast face, and the longest that a caller may ask for with `x-deadline-ms`.
    pub max_deadline: Duration,
    /// How long a client may take for a request's head, again for its body, and to take any byte of an answer.
    pub client_timeout: Duration,
    /// How long a connection may be idle between two requests.
    pub idle_timeout: Duration,
    /// Longest request head in bytes; the connection reads in steps, so up to twice as much may pass.
    pub max_head_bytes: usize,
    /// How long `run` waits for the requests in flight once it is told to stop.
    pub drain_timeout: Duration,
    /// How far the store's event clock may be ahead of this gateway's before it stops being ready.
    pub max_clock_skew: Duration,
}

/// What may reach the gateway while nobody is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// This machine only.
    LoopbackOnly,
    /// Whoever can reach the address: `--insecure`.
    Insecure,
}

impl GatewayConfig {
    /// Defaults at `listen`, keeping the last good snapshot in `last_good`.
    pub const fn new(listen: SocketAddr, last_good: PathBuf) -> Self {
        Self {
            listen,
            exposure: Exposure::LoopbackOnly,
            last_good,
            poll_interval: Duration::from_millis(250),
            max_in_flight: 1_024,
            max_body_bytes: 256 * 1024 * 1024,
            max_connections: 4_096,
            max_deadline: Duration::from_millis(MAX_DEADLINE_MS as u64),
            client_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            max_head_bytes: 64 * 1024,
            drain_timeout: Duration::from_secs(20),
            max_clock_skew: Duration::from_secs(2),
        }
    }
}
