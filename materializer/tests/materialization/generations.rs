//! Corrected definitions, rebuilt views, and what becomes of the generations that readers left.

use std::time::Duration;

use tidegate_catalog::{Deadline, Micros};
use tidegate_control::{Interval, RunEnd, RunOutcome, RunStart};
use tidegate_materializer::{Rebuild, Request, ViewOutcome, reclaim};
use tidegate_store::OnlineStore;
use tokio_util::sync::CancellationToken;

use crate::world::{VIEW, World, definitions, dump, row};

#[tokio::test]
async fn case_35_a_corrected_query_replaces_all_values_and_keys_that_it_no_longer_yields_vanish() {
    let world = World::new().await;
    world.yields((0..30).map(|n| row(&format!("u{n}"), 100 + n, 50.0)));
    assert_eq!(world.materialize().await.moved_to_version, Some(2));
    world.now(2_000);
    world.materialize().await;
    let old = world.field(VIEW).await;

    // smaller values at equal times, and ten keys less: every row would lose its tie in the old generation
    world.apply(&definitions(&[(VIEW, "SELECT * FROM events WHERE good")], None)).await;
    world.yields((0..20).map(|n| row(&format!("u{n}"), 100 + n, 10.0)));
    let half = world.between(0, 110).await;
    assert_eq!(half.views[0].counts.written, 11);
    assert_eq!((half.moved_to_version, world.field(VIEW).await), (None, old), "readers stay until all is covered");
    for n in 0..30 {
        let seen = world.seen(&format!("u{n}")).await;
        assert_eq!(seen, Some((100 + n, Some((Some(50.0), None)))), "readers see the old generation whole");
    }

    let rest = world.run(&Request { start: None, ..Default::default() }).await;
    assert_eq!(rest.views[0].interval.start, Some(Micros(110)), "it goes on where the building generation ended");
    assert_eq!(rest.moved_to_version, None, "the time before 0 is not covered yet");
    let whole = world.rebuild().await;
    assert!(whole.moved_to_version.is_some());
    assert_ne!(world.field(VIEW).await, old);
    for n in 0..30 {
        let wanted = (n < 20).then_some((100 + n, Some((Some(10.0), None))));
        assert_eq!(world.seen(&format!("u{n}")).await, wanted, "after the move every key serves what the query gives");
    }
    world.assert_verified().await;
}

#[tokio::test]
async fn case_35_the_move_comes_with_the_first_run_that_covers_all() {
    let world = World::new().await;
    world.yields((0..30).map(|n| row(&format!("u{n}"), 100 + n, 50.0)));
    world.materialize().await;
    world.apply(&definitions(&[(VIEW, "SELECT * FROM events WHERE good")], None)).await;
    world.yields((0..20).map(|n| row(&format!("u{n}"), 100 + n, 10.0)));
    let report = world.materialize().await;
    assert_eq!((report.views[0].interval.start, report.views[0].counts.written), (None, 20));
    assert!(report.moved_to_version.is_some());
    assert_eq!(world.seen("u25").await, None);
    world.assert_verified().await;
}

#[tokio::test]
async fn case_35_a_rebuild_takes_sources_rewritten_in_place_and_the_old_cells_are_reclaimed() {
    let world =
        World::with(&definitions(&[("foo", "SELECT 1 FROM events"), (VIEW, "SELECT 2 FROM events")], None)).await;
    world.view_yields("foo", (0..10).map(|n| row(&format!("u{n}"), 10, 1.0)));
    world.yields((0..10).map(|n| row(&format!("u{n}"), 10, 5.0)));
    world.materialize().await;
    let (foo, old) = (world.field("foo").await, world.field(VIEW).await);
    let foo_before = dump(&world.store).await.into_iter().filter(|((_, field), _)| *field == foo).collect::<Vec<_>>();

    world.yields((0..4).map(|n| row(&format!("u{n}"), 10, 3.0)));
    let request = Request { views: vec![VIEW.to_owned()], rebuild: Rebuild::NewGeneration, ..Default::default() };
    assert!(world.run(&request).await.moved_to_version.is_some());
    world.assert_verified().await;

    let hour = Duration::from_secs(3_600);
    assert!(world.registry.reclaimable(Micros(1_000), hour).await.unwrap().is_empty(), "the grace is not over");
    let ripe = world.registry.reclaimable(Micros(1_000 + 3_600_000_000), hour).await.unwrap();
    let fields = ripe.iter().map(|retired| retired.generation.field).collect::<Vec<_>>();
    assert_eq!(fields, [old]);
    let report = reclaim(&world.store, &fields, &CancellationToken::new()).await.unwrap();
    assert_eq!((report.scanned, report.removed), (24, 10));
    let after = dump(&world.store).await;
    assert_eq!(after.len(), 14);
    assert_eq!(after.into_iter().filter(|((_, field), _)| *field == foo).collect::<Vec<_>>(), foo_before);
    assert_eq!(reclaim(&world.store, &fields, &CancellationToken::new()).await.unwrap().removed, 0);
    world.assert_verified().await;
}

#[tokio::test]
async fn case_35_removing_a_view_leaves_the_others_alone() {
    let both = definitions(&[("barfoo", "SELECT 1 FROM events"), (VIEW, "SELECT 2 FROM events")], None);
    let world = World::with(&both).await;
    world.view_yields("barfoo", [row("a", 10, 1.0)]);
    world.yields([row("a", 10, 5.0)]);
    world.materialize().await;
    let gone = world.field("barfoo").await;
    world.apply(&definitions(&[(VIEW, "SELECT 2 FROM events")], None)).await;
    reclaim(&world.store, &[gone], &CancellationToken::new()).await.unwrap();
    assert_eq!(world.seen("a").await, Some((10, Some((Some(5.0), None)))));
    assert_eq!(dump(&world.store).await.len(), 1);
    world.assert_verified().await;
}

#[tokio::test]
async fn the_store_knows_the_highest_numbers_before_the_first_write() {
    let world = World::new().await;
    world.yields([row("a", 10, 1.0)]);
    world.materialize().await;
    world.rebuild().await;
    let (marks, given) = (world.store.marks(Deadline::NEVER).await.unwrap(), world.registry.marks().await.unwrap());
    assert_eq!((marks.project, marks.key_set, marks.field), (given.project, given.key_set, given.field));
    assert!(marks.version <= given.version && marks.version >= 3, "{marks:?}");
}

#[tokio::test]
async fn a_generation_completed_by_a_process_that_was_killed_before_the_move_is_moved_to_by_the_same_command() {
    let world = World::new().await;
    world.yields([row("a", 10, 1.0)]);
    world.materialize().await;
    let old = world.field(VIEW).await;
    world.apply(&definitions(&[(VIEW, "SELECT * FROM events WHERE good")], None)).await;
    // the new generation's run is acknowledged, and nothing more
    let snapshot = world.registry.newest().await.unwrap().unwrap();
    let building = snapshot.writing(VIEW).unwrap();
    let start = RunStart {
        view: VIEW.to_owned(),
        field: building.field,
        fingerprint: building.fingerprint.clone(),
        interval: Interval { start: None, end: Micros(1_000) },
        sources: vec![],
        snapshot_version: snapshot.version,
        definitions_hash: snapshot.definitions_hash.clone(),
    };
    let run = world.registry.begin_run(&start).await.unwrap();
    let end = RunEnd {
        outcome: RunOutcome::Acknowledged,
        rows_read: 0,
        rows_written: 0,
        counts: serde_json::json!({}),
        content_hash: None,
        not_reproducible: false,
    };
    world.registry.finish_run(run, &end).await.unwrap();
    assert_eq!(world.field(VIEW).await, old);
    let report = world.materialize().await;
    assert_eq!(report.views[0].outcome, ViewOutcome::NothingToDo);
    assert!(report.moved_to_version.is_some(), "{report:?}");
    assert_eq!(world.field(VIEW).await, building.field);
}

#[tokio::test]
async fn a_run_from_the_first_instant_covers_what_a_run_from_before_all_time_covered() {
    let world = World::new().await;
    world.yields([row("a", 10, 1.0)]);
    world.materialize().await;
    world.apply(&definitions(&[(VIEW, "SELECT * FROM events WHERE good")], None)).await;
    let report = world.run(&Request { start: Some(Micros::MIN), ..Request::default() }).await;
    assert!(report.moved_to_version.is_some(), "{report:?}");
}

#[tokio::test]
async fn a_rebuild_over_the_same_files_with_other_content_is_not_reproducible() {
    let world = World::new().await;
    world.yields([row("a", 10, 1.0)]);
    world.materialize().await;
    assert!(!world.rebuild().await.views[0].not_reproducible, "the same content in another generation");
    world.same_files_yield(VIEW, [row("a", 10, 2.0)]);
    let report = world.rebuild().await;
    assert!(report.views[0].not_reproducible, "{report:?}");
    assert!(world.verify().await.views[0].not_reproducible);
}

#[tokio::test]
async fn a_view_named_twice_runs_once() {
    let world = World::new().await;
    world.yields([row("a", 10, 1.0)]);
    let views = vec![VIEW.to_owned(), VIEW.to_owned()];
    let report = world.run(&Request { views, rebuild: Rebuild::NewGeneration, ..Request::default() }).await;
    assert_eq!(report.views.len(), 1);
    assert_eq!(world.registry.marks().await.unwrap().field, 2, "apply gave one field, the rebuild one more");
}
