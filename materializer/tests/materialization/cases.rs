//! The corner cases of materialization, by number.

use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_catalog::{Deadline, Micros, RowRef, Value};
use tidegate_materializer::{Request, materialize, verify::KeyChoice};
use tidegate_store::OnlineStore;
use tokio_util::sync::CancellationToken;

use crate::world::{VIEW, World, definitions, dump, layout, materialized, open_store, row};

#[tokio::test]
async fn case_28_the_greatest_stamp_is_stored_whatever_the_order_and_twice_is_once() {
    let rows = [row("a", 30, 3.0), row("a", 20, 2.0), row("b", 5, 1.0), row("a", 10, 1.0), row("a", 30, 3.0)];
    let mut stored = Vec::new();
    for turn in 0..rows.len() {
        let world = World::new().await;
        let mut turned = rows.to_vec();
        turned.rotate_left(turn);
        world.yields(turned);
        let report = world.materialize().await;
        let counts = &report.views[0].counts;
        assert_eq!((counts.read, counts.reduced, counts.written), (5, 3, 2));
        assert_eq!(world.seen("a").await, Some((30, Some((Some(3.0), None)))));
        stored.push(dump(&world.store).await);

        let again = world.between(0, 1_000).await;
        assert!(again.is_no_op(), "{again:?}");
        assert_eq!(again.views[0].counts.equal, 2);
        assert_eq!(dump(&world.store).await, stored[turn], "the second run changed a byte");
        world.assert_verified().await;
    }
    assert!(stored.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn case_28_racing_runs_end_with_the_greatest_stamp() {
    let world = World::new().await;
    world.yields((0..200).map(|n| row(&format!("u{}", n % 40), n, n as f64)));
    let cancel = CancellationToken::new();
    let parts = world.parts();
    let early = Request { end: Some(Micros(120)), ..Request::default() };
    let all = Request::default();
    let (one, two, three) = tokio::join!(
        materialized(&all, &parts, &cancel),
        materialized(&early, &parts, &cancel),
        materialized(&all, &parts, &cancel)
    );
    assert!([one, two, three].into_iter().all(|report| report.is_complete()));
    assert_eq!(world.seen("u7").await, Some((167, Some((Some(167.0), None)))));
    world.assert_verified().await;
}

#[tokio::test]
async fn case_29_a_later_created_overwrites_and_an_equal_stamp_is_a_no_op() {
    let world = World::new().await;
    world.yields([row("a", 10, 1.0).created(10)]);
    world.materialize().await;
    world.yields([row("a", 10, 2.0).created(11)]);
    let report = world.between(0, 1_000).await;
    assert_eq!(report.views[0].counts.written, 1);
    assert_eq!(world.seen("a").await, Some((10, Some((Some(2.0), None)))));
    world.yields([row("a", 10, 2.0).created(11), row("a", 10, 9.0).created(10), row("a", 10, 9.0)]);
    let report = world.between(0, 1_000).await;
    let counts = &report.views[0].counts;
    assert_eq!((counts.equal, counts.reduced, counts.written), (1, 2, 0));
    world.assert_verified().await;
}

#[tokio::test]
async fn case_30_a_late_row_is_applied_if_it_is_newer_than_what_is_stored() {
    let world = World::new().await;
    world.yields([row("a", 500, 1.0), row("b", 900, 1.0)]);
    world.materialize().await;
    // both arrive after the watermark of 1,000; only one of them is newer than its key's row
    world.yields([row("a", 500, 1.0), row("a", 600, 2.0), row("b", 900, 1.0), row("b", 800, 2.0)]);
    let report = world.between(0, 1_000).await;
    assert_eq!(report.views[0].counts.written, 1);
    assert_eq!(world.seen("a").await, Some((600, Some((Some(2.0), None)))));
    assert_eq!(world.seen("b").await, Some((900, Some((Some(1.0), None)))));
    world.assert_verified().await;
}

#[tokio::test]
async fn case_31_twelve_runs_are_one_run_byte_for_byte() {
    let rows = || (1..=1_200).map(|n| row(&format!("u{}", n % 97), n, n as f64).named(&"x".repeat(n as usize % 7)));
    let whole = World::new().await;
    whole.now(1_200);
    whole.yields(rows());
    whole.materialize().await;

    let monthly = World::new().await;
    monthly.yields(rows());
    for month in 1..=12 {
        monthly.now(month * 100);
        let report = monthly.materialize().await;
        let counts = &report.views[0].counts;
        assert_eq!(counts.future, 1_200 - month as u64 * 100);
        assert_eq!(counts.outside_interval, (month as u64 - 1) * 100);
        monthly.assert_verified().await;
    }
    assert_eq!(dump(&monthly.store).await, dump(&whole.store).await);
}

#[tokio::test]
async fn case_31_an_empty_interval_does_nothing_and_an_end_in_the_future_stops_at_now() {
    let world = World::new().await;
    world.yields([row("a", 1_000, 1.0), row("a", 1_001, 2.0)]);
    let report = world.between(0, 5_000).await;
    assert_eq!(report.views[0].interval.end, Micros(1_000));
    assert_eq!(world.seen("a").await, Some((1_000, Some((Some(1.0), None)))));
    let report = world.materialize().await;
    assert_eq!(report.views[0].outcome, tidegate_materializer::ViewOutcome::NothingToDo);
    assert_eq!((report.views[0].run, report.views[0].counts.read), (None, 0));
    let backwards = Request { start: Some(Micros(900)), end: Some(Micros(800)), ..Request::default() };
    let refused = materialize(&backwards, &world.parts(), &CancellationToken::new()).await.unwrap_err();
    assert!(refused.to_string().contains("start is exclusive"), "{refused}");
    world.now(1_001);
    assert_eq!(world.materialize().await.views[0].counts.written, 1);
    world.assert_verified().await;
}

#[tokio::test]
async fn case_33_expired_rows_and_tombstones_are_written_and_kept() {
    let world = World::with(&definitions(&[(VIEW, "SELECT * FROM events")], Some(100))).await;
    world.yields([row("old", 10, 1.0), row("young", 950, 1.0), row("edge", 900, 1.0), row("gone", 990, 1.0).deleted()]);
    world.materialize().await;
    assert_eq!(world.seen("old").await, Some((10, Some((Some(1.0), None)))));
    assert_eq!(world.seen("gone").await, Some((990, None)));
    let found = world.verify().await.views.remove(0);
    assert!(found.is_clean());
    assert_eq!((found.present_keys, found.expired_keys, found.deleted_keys), (2, 1, 1));
    // a busy view does not keep the stale one alive: one microsecond later the row at the edge has expired
    world.now(1_001);
    world.yields([
        row("old", 10, 1.0),
        row("young", 1_001, 2.0),
        row("edge", 900, 1.0),
        row("gone", 990, 1.0).deleted(),
    ]);
    world.materialize().await;
    let found = world.verify().await.views.remove(0);
    assert_eq!((found.present_keys, found.expired_keys, found.deleted_keys), (1, 2, 1));
}

#[tokio::test]
async fn case_34_a_null_overwrites_an_older_value() {
    let world = World::new().await;
    world.yields([row("a", 10, 1.0).named("x"), row("a", 20, 1.0).unscored()]);
    world.materialize().await;
    assert_eq!(world.seen("a").await, Some((20, Some((None, None)))));
    world.assert_verified().await;
}

#[tokio::test]
async fn case_36_reading_while_writing_never_shows_half_a_row() {
    let mut world = World::new().await;
    world.config.batch_rows = 25;
    // every row's name says its score
    let rows = |turn: i64| (0..500).map(move |n| row(&format!("u{n}"), turn, turn as f64).named(&turn.to_string()));
    world.yields(rows(1));
    world.materialize().await;
    let done = AtomicBool::new(false);
    let writing = async {
        for turn in 2..12 {
            world.yields(rows(turn));
            world.between(0, 1_000).await;
        }
        done.store(true, Ordering::SeqCst);
    };
    let reading = async {
        let layout = layout();
        while !done.load(Ordering::SeqCst) {
            let page = world.store.scan(None, 200, Deadline::NEVER).await.unwrap();
            for cell in page.cells {
                let check = layout.cell_check(cell.field).of(&cell.key);
                let found = RowRef::parse(&cell.row, &layout, check).expect("a whole row");
                let turn = found.stamp().event.0;
                assert_eq!(found.value(0), Value::Float64(turn as f64));
                assert_eq!(found.value(1), Value::String(&turn.to_string()));
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(writing, reading);
    world.assert_verified().await;
}

#[tokio::test]
async fn case_37_the_future_is_never_stored_and_the_store_knows_the_runs_end() {
    let world = World::new().await;
    world.yields([row("a", 900, 1.0), row("a", 1_001, 2.0), row("b", 1_500, 1.0)]);
    let report = world.materialize().await;
    assert_eq!(report.views[0].counts.future, 2);
    assert_eq!(world.seen("a").await, Some((900, Some((Some(1.0), None)))), "a future row hides the valid one");
    assert_eq!(world.seen("b").await, None);
    let marks = world.store.marks(Deadline::NEVER).await.unwrap();
    assert_eq!(marks.event_clock, Micros(1_000));
    assert_eq!(marks.registry_id, Some(world.registry.id().await.unwrap()));
    world.assert_verified().await;
}

#[tokio::test]
async fn files_partitions_batches_and_memory_change_no_byte() {
    let rows =
        (0..3_000).map(|n| row(&format!("u{}", n % 700), n % 13, f64::from(n as i32)).named("é")).collect::<Vec<_>>();
    let mut stored = Vec::new();
    for (batch_rows, memory_bytes, backwards) in [(1, 1 << 20, false), (1_000, 5_000, true), (7, 20_000, false)] {
        let mut world = World::new().await;
        world.rows.batch_rows = batch_rows;
        world.config.memory_bytes = memory_bytes;
        let mut rows = rows.clone();
        if backwards {
            rows.reverse();
        }
        world.yields(rows);
        let report = world.materialize().await;
        assert_eq!(report.views[0].counts.written, 700);
        world.assert_verified().await;
        let runs = world.registry.runs(&tidegate_control::RunFilter::default()).await.unwrap();
        stored.push((dump(&world.store).await, runs[0].content_hash.clone()));
    }
    assert!(stored.windows(2).all(|pair| pair[0] == pair[1]), "the content hash depends on them as little as the rows");
}

#[tokio::test]
async fn the_store_reopened_holds_what_was_acknowledged() {
    let mut world = World::new().await;
    world.yields((0..50).map(|n| row(&format!("u{n}"), n, 1.0)));
    world.materialize().await;
    let before = dump(&world.store).await;
    let elsewhere = tempfile::tempdir().unwrap();
    // the old handle goes first: a folder has one owner
    drop(std::mem::replace(&mut world.store, open_store(elsewhere.path(), &world.clock)));
    world.store = open_store(world.folder.path(), &world.clock);
    assert_eq!(dump(&world.store).await, before);
    world.assert_verified().await;
}

#[tokio::test]
async fn a_sample_verifies_as_many_keys_as_asked_for() {
    let world = World::new().await;
    world.yields((0..500).map(|n| row(&format!("u{n}"), n, 1.0)));
    world.materialize().await;
    let report = world.verify_keys(KeyChoice::Sample { keys: 40, seed: 7 }).await;
    assert!(report.is_clean(), "{report:#?}");
    assert_eq!(report.views[0].compared_keys, 40);
}
