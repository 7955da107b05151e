//! Stores that fail, runs that are killed or cancelled, rows that are bad.

use tidegate_catalog::{Deadline, Micros};
use tidegate_control::{RunFilter, RunState};
use tidegate_materializer::{Request, Silent, ViewOutcome, counts::RejectReason, materialize};
use tidegate_store::{
    OnlineStore, StoreMarks,
    testing::Fault::{self, HalfDone, Late, LostAnswer, Unavailable},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::world::{AtFirstWrite, Row, VIEW, World, definitions, dump, materialized, row};

fn forty() -> impl Iterator<Item = Row> {
    (0..40).map(|n| row(&format!("u{n}"), 10 + n, n as f64))
}

async fn states(world: &World) -> Vec<RunState> {
    let mut runs = world.registry.runs(&RunFilter::default()).await.unwrap();
    runs.sort_by_key(|run| run.id);
    runs.into_iter().map(|run| run.state).collect()
}

async fn watermark(world: &World) -> Option<Micros> {
    let field = world.registry.newest().await.unwrap().unwrap().writing(VIEW).unwrap().field;
    world.registry.acknowledged_end(VIEW, field).await.unwrap()
}

#[tokio::test]
async fn case_32_partial_errors_are_retried_and_the_other_rows_kept() {
    let world = World::new().await;
    world.yields(forty());
    // the first call raises the marks; then batches fail in every way and pass when repeated
    world.store.next([Fault::None, Unavailable, HalfDone, Late, LostAnswer, Fault::None, HalfDone, Unavailable]);
    let report = world.materialize().await;
    let counts = &report.views[0].counts;
    assert_eq!(counts.written + counts.equal, 40, "rows whose answer was lost are equal the second time: {counts:?}");
    assert!(counts.equal > 0);
    assert_eq!(dump(&world.store).await.len(), 40);
    assert_eq!(watermark(&world).await, Some(Micros(1_000)));
    world.assert_verified().await;
}

#[tokio::test]
async fn case_32_a_store_that_stays_away_fails_the_run_and_the_watermark_stays() {
    let mut world = World::new().await;
    world.config.batches_in_flight = 1;
    world.config.retry.attempts = 3;
    world.yields(forty());
    // marks, three good batches, then nothing
    world.store.next([Fault::None, Fault::None, Fault::None, Fault::None, Unavailable, Unavailable, Unavailable]);
    let report = world.run(&Request::default()).await;
    assert!(matches!(&report.views[0].outcome, ViewOutcome::Failed { message, .. } if message.contains("a test")));
    assert_eq!((report.views[0].counts.written, report.views[0].counts.unsettled), (12, 28));
    assert_eq!(dump(&world.store).await.len(), 12, "what was acknowledged stays");
    assert_eq!((states(&world).await, watermark(&world).await), (vec![RunState::Failed], None));
    // the same command completes it
    let again = world.materialize().await;
    assert_eq!((again.views[0].counts.equal, again.views[0].counts.written), (12, 28));
    assert_eq!(watermark(&world).await, Some(Micros(1_000)));
    world.assert_verified().await;
}

#[tokio::test]
async fn case_32_killed_after_some_batches_nothing_is_lost_and_the_watermark_is_behind() {
    let mut world = World::new().await;
    world.config.batches_in_flight = 1;
    world.yields(forty());
    let written = Notify::new();
    let progress = AtFirstWrite(|| written.notify_one());
    let cancel = CancellationToken::new();
    let request = Request::default();
    {
        let parts = world.parts_on(&world.store, &progress);
        let run = materialized(&request, &parts, &cancel);
        tokio::select! {
            biased;
            // dropped in the middle, as a killed process would
            () = written.notified() => {}
            done = run => panic!("the run ended before it was killed: {done:?}"),
        }
    }
    let left = dump(&world.store).await.len();
    assert!((1..40).contains(&left), "{left} of 40 rows were written");
    assert_eq!(watermark(&world).await, None);
    assert_eq!(world.registry.abandon_unfinished().await.unwrap().len(), 1);
    let counts = world.materialize().await.views.remove(0).counts;
    // a batch in flight when the run was dropped may have been written after the look at the store
    assert!(counts.written <= 40 - left as u64 && counts.written + counts.equal == 40, "{counts:?}");
    assert_eq!(states(&world).await, [RunState::Abandoned, RunState::Acknowledged]);
    world.assert_verified().await;
}

#[tokio::test]
async fn cancelling_stops_cleanly_and_the_same_command_completes_it() {
    // three groups: one is written, one is read meanwhile, one waits
    let views = ["a", "b", "c", "d", "e", "f", "g", "h", "z"];
    let mut world = World::with(&definitions(&views.map(|view| (view, "SELECT 1 FROM events")), None)).await;
    world.config.batches_in_flight = 2;
    views.iter().for_each(|view| world.view_yields(view, forty()));
    let cancel = CancellationToken::new();
    let progress = AtFirstWrite(|| cancel.cancel());
    let report = materialized(&Request::default(), &world.parts_on(&world.store, &progress), &cancel).await;
    let outcomes = report.views.iter().map(|view| view.outcome.clone()).collect::<Vec<_>>();
    assert_eq!(outcomes, vec![ViewOutcome::Interrupted; 9]);
    assert!(report.views[..4].iter().all(|view| view.run.is_some() && view.counts.unsettled > 0), "{report:?}");
    let acknowledged = report.total().written;
    assert!(acknowledged > 0 && acknowledged == dump(&world.store).await.len() as u64, "batches in flight are awaited");
    assert_eq!(report.views[8].run, None, "a view not yet begun has no run");
    assert!(states(&world).await.iter().all(|state| *state == RunState::Interrupted));
    let again = world.materialize().await.total();
    assert_eq!((again.written, again.equal), (9 * 40 - acknowledged, acknowledged));
    world.assert_verified().await;
    assert!(world.materialize().await.is_no_op());
}

#[tokio::test]
async fn a_stream_that_breaks_writes_nothing_and_is_named() {
    let world = World::new().await;
    world.yields(forty());
    *world.rows.breaks.lock() = Some(VIEW);
    let report = world.run(&Request::default()).await;
    let ViewOutcome::Failed { message, .. } = &report.views[0].outcome else { panic!("{report:?}") };
    assert!(message.contains("scores") && message.contains("column \"score\": the file ends early"), "{message}");
    assert_eq!(dump(&world.store).await.len(), 0);
    assert_eq!(states(&world).await, [RunState::Failed]);
    *world.rows.breaks.lock() = None;
    world.materialize().await;
    world.assert_verified().await;
}

#[tokio::test]
async fn bad_rows_are_counted_with_examples_and_the_others_stored() {
    let world = World::new().await;
    let long = "k".repeat(9_000);
    world.yields([
        row("a", 10, f64::NAN),
        Row { user: None, ..row("", 11, 1.0) },
        Row { event: None, ..row("b", 0, 1.0) },
        row(&long, 12, 1.0),
        row("c", 13, 1.0).named(&"n".repeat(1_100_000)),
        row("d\0é🦀", 14, f64::INFINITY),
    ]);
    let report = world.materialize().await;
    let counts = &report.views[0].counts;
    assert_eq!((counts.read, counts.written, counts.null_key, counts.null_time), (6, 2, 1, 1));
    assert_eq!(counts.rejected[&RejectReason::KeyTooLong].rows, 1);
    let large = &counts.rejected[&RejectReason::RowTooLarge];
    assert!(large.examples[0].key.contains('c') && large.examples[0].why.contains("1048576"), "{large:?}");
    let ledger = world.registry.runs(&RunFilter::default()).await.unwrap();
    assert_eq!(ledger[0].counts, serde_json::to_value(counts).unwrap(), "the ledger has the same counts");
    let found = world.verify().await.views.remove(0);
    assert!(found.is_clean());
    assert_eq!((found.compared_keys, found.oversize_rows), (2, 2));
}

#[tokio::test]
async fn more_bad_rows_than_the_budget_fail_the_run_before_it_writes() {
    let mut world = World::new().await;
    world.config.error_budget_rows = 2;
    let bad = |n: i64| Row { user: None, ..row("", n, 1.0) };
    world.yields(forty().chain((0..3).map(bad)));
    let report = world.run(&Request::default()).await;
    let ViewOutcome::Failed { message, .. } = &report.views[0].outcome else { panic!("{report:?}") };
    for words in ["3 rows are bad, the budget is 2", "key null", "materializer.error_budget_rows"] {
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(dump(&world.store).await.len(), 0);
    assert_eq!(states(&world).await, [RunState::Failed]);
    world.yields(forty().chain((0..2).map(bad)));
    world.materialize().await;
}

#[tokio::test]
async fn a_view_that_fails_does_not_keep_the_others_from_running() {
    let mut world =
        World::with(&definitions(&[(VIEW, "SELECT 1 FROM events"), ("zz", "SELECT 2 FROM events")], None)).await;
    world.config.error_budget_rows = 0;
    world.yields([Row { user: None, ..row("", 1, 1.0) }]);
    world.view_yields("zz", forty());
    let report = world.run(&Request::default()).await;
    assert!(!report.is_complete());
    assert!(matches!(report.views[0].outcome, ViewOutcome::Failed { .. }));
    assert_eq!((&report.views[1].outcome, report.views[1].counts.written), (&ViewOutcome::Acknowledged, 40));
}

#[tokio::test]
async fn a_foreign_store_and_a_restored_registry_are_refused_before_the_first_write() {
    let world = World::new().await;
    world.yields(forty());
    let ours = world.registry.id().await.unwrap();
    for (id, version) in [("another", 1), (ours.as_str(), 99)] {
        let marks = StoreMarks { registry_id: Some(id.to_owned()), version, ..StoreMarks::default() };
        world.store.adopt(&marks, Deadline::NEVER).await.unwrap();
        let parts = world.parts_on(&world.store, &Silent);
        let refused = materialize(&Request::default(), &parts, &CancellationToken::new()).await.unwrap_err();
        assert!(refused.to_string().contains("tidegate store adopt"), "{refused}");
        assert_eq!((dump(&world.store).await.len(), states(&world).await.len()), (0, 0));
    }
}

#[tokio::test]
async fn an_unknown_view_is_named_beside_those_that_there_are() {
    let world = World::new().await;
    let request = Request { views: vec!["score".to_owned()], ..Request::default() };
    let refused = materialize(&request, &world.parts(), &CancellationToken::new()).await.unwrap_err();
    let message = refused.to_string();
    assert!(message.contains("\"score\"") && message.contains("scores"), "{message}");
}
