//! The way into the store: batches in flight side by side, bounded, each repeated alone when the store did not answer.
//!
//! A put keeps the greater row, so batches need no order among themselves and a repeated batch changes nothing: whatever
//! was written before a failure, a cancellation or a kill stays right, and the same run made again completes it.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use tidegate_catalog::{Clock, Deadline, FieldNumber, Monotonic};
use tidegate_store::{OnlineStore, Put, PutOutcome};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    Config, Counts, Error,
    config::RetryConfig,
    counts::{Example, RejectReason},
    metrics::RunMetrics,
    progress::Progress,
};

/// What the pipeline needs from the runs that write together.
pub(crate) struct Pipeline<'a, S> {
    pub(crate) store: &'a S,
    pub(crate) config: &'a Config,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancel: &'a CancellationToken,
    /// Whose rows come, in the order in which they are counted.
    pub(crate) views: Vec<PutView<'a>>,
}

/// A view whose rows are put.
pub(crate) struct PutView<'a> {
    pub(crate) name: &'a str,
    pub(crate) field: FieldNumber,
    pub(crate) metrics: &'a RunMetrics,
}

/// How long the pipeline stood full, to name the store when it is what a run waits for.
struct FullTime {
    began: Monotonic,
    waited: Duration,
    told: bool,
}

impl<S: OnlineStore> Pipeline<'_, S> {
    /// Puts every batch that comes, and adds each row's outcome to its view's `counts`; `acknowledged` is told after each batch.
    /// When the token is cancelled it takes no further batch, waits for those in flight, and returns
    /// [`Error::Interrupted`].
    /// # Errors
    /// The first batch that failed for good; those in flight beside it are awaited and counted.
    pub(crate) async fn run(
        &self,
        batches: &mut mpsc::Receiver<Vec<Put>>,
        counts: &mut [Counts],
        acknowledged: impl Fn(&[Counts]),
    ) -> Result<(), Error> {
        let mut flying = FuturesUnordered::new();
        let mut full = FullTime { began: self.clock.monotonic(), waited: Duration::ZERO, told: false };
        let mut retries = Retries::new(self.config.retry, full.began.0.as_nanos() as u64);
        let (mut open, mut outcome, mut number) = (true, Ok(()), 0_u64);
        loop {
            self.views.iter().for_each(|view| view.metrics.in_flight.set(flying.len() as f64));
            let room = open && outcome.is_ok() && flying.len() < self.config.batches_in_flight.max(1);
            if !room && flying.is_empty() {
                return outcome;
            }
            let asked = self.clock.monotonic();
            tokio::select! {
                biased;
                () = self.cancel.cancelled(), if outcome.is_ok() => outcome = Err(Error::Interrupted),
                batch = batches.recv(), if room => match batch {
                    Some(rows) => {
                        number += 1;
                        flying.push(self.attempt(Attempt { rows, number, failed: 0, wait: Duration::ZERO }));
                    }
                    None => open = false,
                },
                Some((attempt, answer)) = flying.next(), if !flying.is_empty() => {
                    if !room && open {
                        self.note_full(&mut full, asked);
                    }
                    match answer {
                        Ok(outcomes) => {
                            retries.earn();
                            self.count(&attempt.rows, &outcomes, counts);
                            acknowledged(counts);
                        }
                        Err(error) if outcome.is_ok() => match retries.again(attempt, &error) {
                            Some(again) => {
                                self.views.iter().for_each(|view| view.metrics.retries.increment(1));
                                tracing::warn!(view = self.names(), error = %error, attempt = again.failed,
                                    wait_ms = again.wait.as_millis() as u64, "batch is sent again");
                                flying.push(self.attempt(again));
                            }
                            None => outcome = Err(Error::Store(error)),
                        },
                        Err(_) => {}
                    }
                }
            }
        }
    }

    async fn attempt(&self, attempt: Attempt) -> (Attempt, Result<Vec<PutOutcome>, tidegate_store::Error>) {
        if !attempt.wait.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(attempt.wait) => {}
                () = self.cancel.cancelled() => {}
            }
        }
        let answer = self.store.put(&attempt.rows, Deadline::NEVER).await;
        (attempt, answer)
    }

    /// Says once that the store is what the run waits for: the pipeline stood full for a second and half of the time.
    fn note_full(&self, full: &mut FullTime, since: Monotonic) {
        let now = self.clock.monotonic();
        full.waited += now.since(since);
        let elapsed = now.since(full.began);
        if !full.told && full.waited >= Duration::from_secs(1) && full.waited * 2 >= elapsed {
            full.told = true;
            let (waited_ms, elapsed_ms) = (full.waited.as_millis() as u64, elapsed.as_millis() as u64);
            let batches_in_flight = self.config.batches_in_flight;
            tracing::info!(
                view = self.names(),
                waited_ms,
                elapsed_ms,
                batches_in_flight,
                "the store is the bottleneck of this run"
            );
            let words = format!(
                "the store is the bottleneck: {waited_ms} of {elapsed_ms} ms waited with {batches_in_flight} batches in flight"
            );
            self.views.iter().for_each(|view| self.progress.remark(view.name, &words));
        }
    }

    /// The views' names, for a line about all of them.
    pub(crate) fn names(&self) -> String {
        self.views.iter().map(|view| view.name).collect::<Vec<_>>().join(", ")
    }

    fn count(&self, rows: &[Put], outcomes: &[PutOutcome], counts: &mut [Counts]) {
        for (row, outcome) in rows.iter().zip(outcomes) {
            let view = self.views.iter().position(|view| view.field == row.field);
            if let Some(counts) = view.and_then(|view| counts.get_mut(view)) {
                count(row, outcome, counts);
            }
        }
    }
}

/// One batch on its way.
struct Attempt {
    rows: Vec<Put>,
    number: u64,
    failed: u32,
    wait: Duration,
}

/// The run's budget of repetitions: some to begin with, and a tenth of what succeeds.
struct Retries {
    config: RetryConfig,
    tenths: u64,
    /// Of the waits: two writers that began at other moments wait differently.
    seed: u64,
}

impl Retries {
    fn new(config: RetryConfig, seed: u64) -> Self {
        Self { config, tenths: u64::from(config.budget) * 10, seed }
    }

    fn earn(&mut self) {
        self.tenths += 1;
    }

    /// The attempt to make next, if the error is one that passes and there is budget left.
    fn again(&mut self, mut attempt: Attempt, error: &tidegate_store::Error) -> Option<Attempt> {
        attempt.failed += 1;
        if !error.is_transient() || attempt.failed >= self.config.attempts || self.tenths < 10 {
            return None;
        }
        self.tenths -= 10;
        attempt.wait = wait(self.config, self.seed, &attempt);
        Some(attempt)
    }
}

/// Random between nothing and the bound of this repetition.
fn wait(config: RetryConfig, seed: u64, attempt: &Attempt) -> Duration {
    let doublings = attempt.failed.saturating_sub(1).min(16);
    let bound = config.first_wait.saturating_mul(1 << doublings).min(config.longest_wait);
    let random = xxh3_64_with_seed(&attempt.number.to_le_bytes(), seed.wrapping_add(u64::from(attempt.failed)));
    bound.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
}

fn count(row: &Put, outcome: &PutOutcome, counts: &mut Counts) {
    match outcome {
        PutOutcome::Written => counts.written += 1,
        PutOutcome::WrittenOverForeign => {
            counts.written += 1;
            counts.replaced_foreign += 1;
        }
        PutOutcome::Older => counts.older += 1,
        PutOutcome::Equal => counts.equal += 1,
        PutOutcome::Merged => counts.merged += 1,
        PutOutcome::Rejected(why) => counts.reject(RejectReason::Store, || Example {
            key: crate::rows::key_text(&row.key),
            why: why.as_str().to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_store::BackendKind;

    use super::*;

    const LATE: tidegate_store::Error = tidegate_store::Error::Late { backend: BackendKind::Redis, waited_ms: 1 };

    fn attempt(number: u64, failed: u32) -> Attempt {
        Attempt { rows: Vec::new(), number, failed, wait: Duration::ZERO }
    }

    #[test]
    fn waits_are_spread_and_bounded_and_their_bound_doubles() {
        let config = RetryConfig::default();
        for (failed, bound_ms) in [(1, 50), (2, 100), (4, 400), (8, 5_000), (60, 5_000)] {
            let waits = (0..1_000).map(|number| wait(config, 7, &attempt(number, failed))).collect::<Vec<_>>();
            let bound = Duration::from_millis(bound_ms);
            assert!(waits.iter().all(|wait| *wait <= bound), "{failed}");
            let mean = waits.iter().sum::<Duration>() / 1_000;
            assert!(mean > bound.mul_f64(0.45) && mean < bound.mul_f64(0.55), "{failed}: {mean:?}");
        }
        assert_ne!(wait(config, 1, &attempt(1, 1)), wait(config, 2, &attempt(1, 1)));
    }

    #[test]
    fn a_batch_is_repeated_until_its_attempts_or_the_runs_budget_are_used_up() {
        let config = RetryConfig { attempts: 3, budget: 4, ..RetryConfig::default() };
        let mut retries = Retries::new(config, 0);
        let again = retries.again(attempt(1, 0), &LATE).unwrap();
        let again = retries.again(again, &LATE).unwrap();
        assert!(retries.again(again, &LATE).is_none(), "three attempts");
        assert!(retries.again(attempt(2, 0), &LATE).is_some() && retries.again(attempt(3, 0), &LATE).is_some());
        assert!(retries.again(attempt(4, 0), &LATE).is_none(), "the budget of four is used up");
        (0..10).for_each(|_| retries.earn());
        assert!(retries.again(attempt(5, 0), &LATE).is_some(), "ten good batches earn one");
    }

    #[derive(Default)]
    struct Remarks(parking_lot::Mutex<Vec<String>>);

    impl Progress for Remarks {
        fn report(&self, _view: &str, _step: &crate::Step) {}
        fn remark(&self, view: &str, words: &str) {
            self.0.lock().push(format!("{view}: {words}"));
        }
    }

    #[tokio::test]
    async fn a_pipeline_that_stands_full_says_once_a_view_that_the_store_is_the_bottleneck() {
        let clock = tidegate_catalog::clock::ManualClock::at(tidegate_catalog::Micros(0));
        let (remarks, config) = (Remarks::default(), Config::new(std::env::temp_dir()));
        let folder = tempfile::tempdir().unwrap();
        let steady = tidegate_store::testing::steady_clock();
        let store = tidegate_store::EmbeddedStore::open(folder.path(), &Default::default(), steady).unwrap();
        let metrics = RunMetrics::of("v");
        let view = |name, field| PutView { name, field: FieldNumber(field), metrics: &metrics };
        let pipeline = Pipeline {
            store: &store,
            config: &config,
            clock: &clock,
            progress: &remarks,
            cancel: &CancellationToken::new(),
            views: vec![view("v", 1), view("w", 2)],
        };
        let mut full = FullTime { began: clock.monotonic(), waited: Duration::ZERO, told: false };
        for _ in 0..4 {
            let asked = clock.monotonic();
            clock.advance(Duration::from_millis(600));
            pipeline.note_full(&mut full, asked);
        }
        let words = "the store is the bottleneck: 1200 of 1200 ms waited with 8 batches in flight";
        assert_eq!(*remarks.0.lock(), ["v", "w"].map(|view| format!("{view}: {words}")));
    }

    #[test]
    fn an_error_that_does_not_pass_is_not_repeated() {
        let refused = tidegate_store::Error::Refused { backend: BackendKind::Redis, reason: "OOM".to_owned() };
        assert!(Retries::new(RetryConfig::default(), 0).again(attempt(1, 0), &refused).is_none());
    }
}
