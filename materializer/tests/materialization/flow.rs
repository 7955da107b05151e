//! The way into the store: how many batches are in flight, what the gauge and the log say of it.

use std::{sync::atomic::Ordering, time::Duration};

use tidegate_materializer::{Request, Silent};
use tokio_util::sync::CancellationToken;

use crate::{
    gate::{Gate, until},
    log::{Gauges, Lines},
    world::{World, materialized, row},
};

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
