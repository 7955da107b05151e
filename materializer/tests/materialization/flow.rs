//! The way into the store: how many batches are in flight, what the gauge and the log say of it.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tidegate_catalog::{Deadline, EntityKey};
use tidegate_materializer::{Request, Silent};
use tidegate_store::{Cells, OnlineStore, Put, PutOutcome, ReadPlan, ScanCursor, ScanPage, StoreMarks};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    log::{Gauges, Lines},
    world::{World, materialized, row},
};

/// A store that answers a put only when a test lets it.
struct Gate {
    flying: AtomicUsize,
    most: AtomicUsize,
    answered: AtomicUsize,
    answers: Semaphore,
}

impl Gate {
    fn letting(answers: usize) -> Self {
        Self { flying: 0.into(), most: 0.into(), answered: 0.into(), answers: Semaphore::new(answers) }
    }

    /// After so many answers the run has put as many batches more as it may.
    async fn full_again(&self, answers: usize) {
        let full = || self.answered.load(Ordering::SeqCst) == answers && self.flying.load(Ordering::SeqCst) == 3;
        until(full).await;
    }
}

impl OnlineStore for Gate {
    async fn put(&self, rows: &[Put], _: Deadline) -> Result<Vec<PutOutcome>, tidegate_store::Error> {
        let flying = self.flying.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(flying, Ordering::SeqCst);
        self.answers.acquire().await.unwrap().forget();
        self.flying.fetch_sub(1, Ordering::SeqCst);
        self.answered.fetch_add(1, Ordering::SeqCst);
        Ok(vec![PutOutcome::Written; rows.len()])
    }
    async fn read(&self, _: &ReadPlan, _: Deadline, out: &mut Cells) -> Result<(), tidegate_store::Error> {
        out.clear();
        Ok(())
    }
    async fn erase(&self, _: &[EntityKey], _: Deadline) -> Result<u64, tidegate_store::Error> {
        Ok(0)
    }
    async fn remove(&self, _: &[Put], _: Deadline) -> Result<u64, tidegate_store::Error> {
        Ok(0)
    }
    async fn scan(&self, _: Option<&ScanCursor>, _: usize, _: Deadline) -> Result<ScanPage, tidegate_store::Error> {
        Ok(ScanPage::default())
    }
    async fn marks(&self, _: Deadline) -> Result<StoreMarks, tidegate_store::Error> {
        Ok(StoreMarks::default())
    }
    async fn raise_marks(&self, to: &StoreMarks, _: Deadline) -> Result<StoreMarks, tidegate_store::Error> {
        Ok(to.clone())
    }
    async fn adopt(&self, to: &StoreMarks, _: Deadline) -> Result<StoreMarks, tidegate_store::Error> {
        Ok(to.clone())
    }
    async fn ready(&self, _: Deadline) -> Result<(), tidegate_store::Error> {
        Ok(())
    }
}

/// Lets everything else run until `done`, for ten seconds at most.
async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("what the test waits for did not happen");
}

/// Forty rows in batches of four, at most three batches at a time.
async fn ten_batches() -> World {
    let mut world = World::new().await;
    (world.config.batch_rows, world.config.batches_in_flight) = (4, 3);
    world.yields((0..40).map(|n| row(&format!("u{n}"), 10 + n, n as f64)));
    world
}

#[tokio::test]
async fn batches_in_flight_are_bounded_and_the_gauge_shows_them() {
    let gauges = Gauges::default();
    let _recording = metrics::set_default_local_recorder(&gauges);
    let (world, store) = (ten_batches().await, Gate::letting(0));
    let shown = || gauges.of("tidegate_materializer_batches_in_flight");
    let (request, cancel) = (Request::default(), CancellationToken::new());
    let parts = world.parts_on(&store, &Silent);
    let run = materialized(&request, &parts, &cancel);
    let watch = async {
        for answered in 0..7 {
            // each answer makes room for exactly one more, while there are batches left
            store.full_again(answered).await;
            until(|| shown() == 3.0).await;
            assert_eq!(store.most.load(Ordering::SeqCst), 3, "after {answered} answers");
            store.answers.add_permits(1);
        }
        store.answers.add_permits(3);
    };
    let report = tokio::join!(run, watch).0;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.views[0].counts.written, store.most.load(Ordering::SeqCst)), (40, 3));
    assert_eq!(shown(), 0.0, "nothing is in flight any more");
}

#[tokio::test]
async fn one_log_line_says_when_the_store_is_the_bottleneck() {
    let lines = Lines::default();
    let _logging = tracing::subscriber::set_default(lines.clone());
    let (world, store) = (ten_batches().await, Gate::letting(0));
    let (request, cancel) = (Request::default(), CancellationToken::new());
    let parts = world.parts_on(&store, &Silent);
    let run = materialized(&request, &parts, &cancel);
    let slow = async {
        for answered in 0..7 {
            store.full_again(answered).await;
            world.clock.advance(Duration::from_millis(700));
            store.answers.add_permits(1);
        }
        store.answers.add_permits(3);
    };
    assert!(tokio::join!(run, slow).0.is_complete());
    let said = lines.saying("the store is the bottleneck of this run");
    assert_eq!(
        said,
        ["INFO the store is the bottleneck of this run view=scores waited_ms=1400 elapsed_ms=1400 batches_in_flight=3"]
    );
}

#[tokio::test]
async fn a_store_that_keeps_up_is_not_called_a_bottleneck() {
    let lines = Lines::default();
    let _logging = tracing::subscriber::set_default(lines.clone());
    let (world, store) = (ten_batches().await, Gate::letting(100));
    let parts = world.parts_on(&store, &Silent);
    let report = materialized(&Request::default(), &parts, &CancellationToken::new()).await;
    assert!(report.is_complete());
    assert_eq!(lines.saying("the store is the bottleneck of this run"), [""; 0]);
}
