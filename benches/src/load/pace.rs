//! The generator's check of itself: on a null server it keeps the rate that it offers.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};

use super::{Measured, OpenLoop, Requests, open_loop};
use crate::schedule::Schedule;

/// Offers `rate` to the null server at `addr` for `length`.
/// # Errors
/// When less than 99 % of the offered rate was achieved, or a request failed or stayed unsent: then no latency of this
/// machine means anything at that rate.
pub async fn keeps_pace(addr: SocketAddr, requests: &Requests, rate: f64, length: Duration) -> Result<Measured> {
    let schedule = Schedule::poisson(rate, length, 1);
    let settings = OpenLoop { connections: 64, warm_up: length / 5 };
    let measured = open_loop(addr, requests, schedule, settings).await?;
    ensure!(
        measured.achieved >= 0.99 * measured.offered && measured.errors == 0 && measured.unsent == 0,
        "the load generator does not keep {rate:.0} requests a second on a null server: {measured:?}; give it more cores"
    );
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use bytes::Bytes;

    use super::*;
    use crate::echo;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[expect(clippy::disallowed_methods, reason = "a bench's tasks end with it")]
    async fn the_generator_keeps_a_modest_rate_on_a_null_server() {
        let (listener, addr) = echo::listen().await.unwrap();
        tokio::spawn(echo::echo(listener, Bytes::from_static(b"{}")));
        let requests = Requests { path: "/".to_owned(), bodies: [Bytes::from_static(b"{}")].into() };
        let measured = keeps_pace(addr, &requests, 200.0, Duration::from_secs(2)).await.unwrap();
        assert!(measured.answered > 200, "{measured:?}");
        assert!(measured.p50_us > 0.0 && measured.p50_us <= measured.p99_us, "{measured:?}");
    }

    /// A stopwatch that starts at the actual send would see one slow answer of four hundred.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[expect(clippy::disallowed_methods, reason = "a bench's tasks end with it")]
    async fn a_stall_of_the_server_is_in_the_latency_of_all_who_meant_to_ask_meanwhile() {
        let (listener, addr) = echo::listen().await.unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let stalls_once = move |_body| {
            let stalls = asked.fetch_add(1, Ordering::Relaxed) == 100;
            async move {
                if stalls {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Ok(Bytes::from_static(b"{}"))
            }
        };
        tokio::spawn(echo::serve(listener, stalls_once));
        let requests = Requests { path: "/".to_owned(), bodies: [Bytes::from_static(b"{}")].into() };
        let schedule = Schedule::poisson(200.0, Duration::from_secs(2), 1);
        let settings = OpenLoop { connections: 1, warm_up: Duration::ZERO };
        let measured = open_loop(addr, &requests, schedule, settings).await.unwrap();
        assert!(measured.max_us >= 500_000.0 && measured.p90_us >= 200_000.0, "{measured:?}");
        assert!(measured.errors == 0 && measured.unsent == 0, "{measured:?}");
    }
}
