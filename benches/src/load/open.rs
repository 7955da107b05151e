//! The open loop: requests go out when they are meant to, whatever became of those before.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::sync::mpsc;

use super::{Client, Requests};
use crate::{clock, schedule::Schedule};

/// How long after the last intended time answers are still waited for.
const GRACE: Duration = Duration::from_secs(2);

/// How an open loop is driven.
#[derive(Clone, Copy, Debug)]
pub struct OpenLoop {
    /// Connections, each with at most one request in flight.
    pub connections: usize,
    /// Requests intended before this are sent and not counted.
    pub warm_up: Duration,
}

/// What an open loop saw. Latencies count from the intended send time, in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Requests a second that the schedule asked for, warm-up included.
    pub offered: f64,
    /// Answers a second within the schedule's length.
    pub achieved: f64,
    /// Answers that count, warm-up left out.
    pub answered: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Requests that no connection was free for until the end.
    pub unsent: u64,
    /// Median.
    pub p50_us: f64,
    /// 90 %.
    pub p90_us: f64,
    /// 99 %.
    pub p99_us: f64,
    /// 99.9 %.
    pub p999_us: f64,
    /// The slowest.
    pub max_us: f64,
    /// How late the generator itself handed requests over, 99 %: its own part of every latency.
    pub handed_late_p99_us: f64,
}

struct Queue {
    /// Connections without a request, by number.
    idle: Vec<usize>,
    /// Requests that found no connection.
    waiting: VecDeque<usize>,
    closed: bool,
}

struct Shared {
    requests: Requests,
    schedule: Schedule,
    start: Instant,
    warm_up: Duration,
    queue: Mutex<Queue>,
    tally: Mutex<Tally>,
}

struct Tally {
    latencies: Histogram<u64>,
    handed_late: Histogram<u64>,
    finished: u64,
    /// Answered before the schedule's end.
    in_time: u64,
    errors: u64,
}

/// Sends `schedule` to `addr`.
/// # Errors
/// When the connections cannot be made. Requests that fail are counted, not returned.
#[expect(clippy::disallowed_methods, reason = "a bench's tasks end with it")]
pub async fn open_loop(
    addr: SocketAddr,
    requests: &Requests,
    schedule: Schedule,
    settings: OpenLoop,
) -> Result<Measured> {
    let mut clients = Vec::with_capacity(settings.connections);
    for _ in 0..settings.connections {
        clients.push(Client::connect(addr).await?);
    }
    let histogram = || Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3);
    let shared = Arc::new(Shared {
        requests: requests.clone(),
        schedule,
        start: clock::now() + Duration::from_millis(20),
        warm_up: settings.warm_up,
        queue: Mutex::new(Queue { idle: (0..clients.len()).collect(), waiting: VecDeque::new(), closed: false }),
        tally: Mutex::new(Tally {
            latencies: histogram()?,
            handed_late: histogram()?,
            finished: 0,
            in_time: 0,
            errors: 0,
        }),
    });
    let mut inboxes = Vec::with_capacity(clients.len());
    let mut tasks = Vec::with_capacity(clients.len());
    for (number, client) in clients.into_iter().enumerate() {
        let (inbox, requests) = mpsc::unbounded_channel();
        inboxes.push(inbox);
        tasks.push(tokio::spawn(Arc::clone(&shared).connection(number, client, requests)));
    }
    let dispatching = Arc::clone(&shared);
    tokio::task::spawn_blocking(move || dispatching.dispatch(&inboxes)).await?;
    for task in tasks {
        task.await?;
    }
    Ok(shared.measured())
}

impl Shared {
    /// Hands every request over at its time; drops the inboxes at the end, which ends the connections' tasks.
    fn dispatch(&self, inboxes: &[mpsc::UnboundedSender<usize>]) {
        for (index, arrival) in self.schedule.arrivals.iter().enumerate() {
            let due = self.start + *arrival;
            let wait = due.saturating_duration_since(clock::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            let late = clock::now().saturating_duration_since(due);
            lock(&self.tally).handed_late.saturating_record(nanos(late));
            let mut queue = lock(&self.queue);
            let taken = queue.idle.pop().and_then(|number| inboxes.get(number)).map(|inbox| inbox.send(index));
            if !matches!(taken, Some(Ok(()))) {
                queue.waiting.push_back(index);
            }
        }
        let end = self.start + self.schedule.length + GRACE;
        while clock::now() < end && !lock(&self.queue).waiting.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        lock(&self.queue).closed = true;
    }

    async fn connection(self: Arc<Self>, number: usize, mut client: Client, mut inbox: mpsc::UnboundedReceiver<usize>) {
        while let Some(first) = inbox.recv().await {
            let mut next = Some(first);
            while let Some(index) = next {
                let body = self.requests.body(index);
                let answered = client.post(&self.requests.path, body).await.is_ok();
                self.count(index, answered);
                if !answered {
                    // its connection is gone; the rest go over the others, or stay unsent
                    return;
                }
                next = self.free(number);
            }
        }
    }

    /// The next waiting request, or none, and the connection is idle.
    fn free(&self, number: usize) -> Option<usize> {
        let mut queue = lock(&self.queue);
        let next = if queue.closed { None } else { queue.waiting.pop_front() };
        if next.is_none() {
            queue.idle.push(number);
        }
        next
    }

    fn count(&self, index: usize, answered: bool) {
        let Some(arrival) = self.schedule.arrivals.get(index).copied() else { return };
        let now = clock::now();
        let latency = now.saturating_duration_since(self.start + arrival);
        let mut tally = lock(&self.tally);
        tally.finished += 1;
        tally.in_time += u64::from(answered && now <= self.start + self.schedule.length);
        match answered {
            false => tally.errors += 1,
            true if arrival >= self.warm_up => tally.latencies.saturating_record(nanos(latency)),
            true => {}
        }
    }

    fn measured(&self) -> Measured {
        let tally = lock(&self.tally);
        let at = |quantile| tally.latencies.value_at_quantile(quantile) as f64 / 1e3;
        let sent = self.schedule.arrivals.len() as u64;
        Measured {
            offered: self.schedule.offered(),
            achieved: tally.in_time as f64 / self.schedule.length.as_secs_f64(),
            answered: tally.latencies.len(),
            errors: tally.errors,
            unsent: sent - tally.finished,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: tally.latencies.max() as f64 / 1e3,
            handed_late_p99_us: tally.handed_late.value_at_quantile(0.99) as f64 / 1e3,
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// A panic elsewhere loses that request only; what is behind the lock stays whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
