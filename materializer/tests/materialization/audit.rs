//! What `verify` finds, reason by reason, and views that are not a function of their sources.

use bytes::BytesMut;
use tidegate_catalog::{Deadline, EntityKey, ErrorCode, KeyValue, Micros, Stamp, Value};
use tidegate_materializer::{
    Request, VerifyRequest,
    verify::{KeyChoice, Reason},
};
use tidegate_store::{OnlineStore, Put, testing::Fault};
use tokio_util::sync::CancellationToken;

use crate::world::{VIEW, World, definitions, dump, layout, row};

/// A row put past the materializer.
async fn forged(world: &World, user: &str, event: i64, score: f64) -> Put {
    let snapshot = world.registry.newest().await.unwrap().unwrap();
    let generation = snapshot.serving(VIEW).unwrap();
    let values = [KeyValue::String(user)];
    let key = EntityKey::encode(snapshot.project, generation.key_set, values, &mut BytesMut::new()).unwrap();
    let check = layout().cell_check(generation.field).of(&key);
    let mut row = BytesMut::new();
    let stamp = Stamp { event: Micros(event), created: None };
    layout().encode(stamp, check, &[Value::Float64(score), Value::Null], &mut row).unwrap();
    Put { key, field: generation.field, row: row.freeze() }
}

async fn ten_rows() -> World {
    let world = World::new().await;
    world.yields((0..10).map(|n| row(&format!("u{n}"), 100 + n, 1.0)));
    world.materialize().await;
    world.assert_verified().await;
    world
}

#[tokio::test]
async fn every_reason_of_a_mismatch_is_found() {
    let world = ten_rows().await;
    // u0 missing, u1 older, u2 newer, u3 other content, u4 another check, "extra" too much
    let remove = |put: Put| {
        let store = &world.store;
        async move { store.remove(&[put], Deadline::NEVER).await.unwrap() }
    };
    assert_eq!(remove(forged(&world, "u0", 100, 1.0).await).await, 1);
    assert_eq!(remove(forged(&world, "u1", 101, 1.0).await).await, 1);
    let mut puts = vec![
        forged(&world, "u1", 50, 1.0).await,
        forged(&world, "u2", 500, 1.0).await,
        forged(&world, "u3", 103, 1.5).await,
        forged(&world, "extra", 10, 1.0).await,
    ];
    let other_row = forged(&world, "u5", 104, 1.0).await.row;
    puts.push(Put { row: other_row, ..forged(&world, "u4", 0, 0.0).await });
    world.store.put(&puts, Deadline::NEVER).await.unwrap();
    let found = world.verify().await.views.remove(0);
    let reasons = found.mismatches.iter().map(|(reason, found)| (*reason, found.keys)).collect::<Vec<_>>();
    let all = [
        Reason::MissingOnline,
        Reason::ExtraOnline,
        Reason::OlderOnline,
        Reason::NewerOnline,
        Reason::ContentDiffers,
        Reason::OtherCheck,
    ];
    assert_eq!(reasons, all.map(|reason| (reason, 1)));
    let extra = &found.mismatches[&Reason::ExtraOnline].examples[0];
    assert_eq!((extra.key.as_str(), &extra.expected), ("\"extra\"", &None));
    assert!(extra.online.as_deref().unwrap().starts_with("row of 1970-01-01T00:00:00.000010Z"), "{extra:?}");
    assert!(found.not_reproducible, "the same files, other content at equal times");
    assert!(!found.sources_changed);
}

#[tokio::test]
async fn an_extra_key_is_found_in_a_sample_of_all_keys_too() {
    let world = ten_rows().await;
    world.store.put(&[forged(&world, "extra", 10, 1.0).await], Deadline::NEVER).await.unwrap();
    let report = world.verify_keys(KeyChoice::Sample { keys: 100, seed: 3 }).await;
    assert_eq!(report.views[0].mismatches[&Reason::ExtraOnline].keys, 1);
}

#[tokio::test]
async fn rows_after_the_last_run_are_not_expected_and_changed_sources_are_said() {
    let world = ten_rows().await;
    world.now(5_000);
    world.yields((0..10).map(|n| row(&format!("u{n}"), 100 + n, 1.0)).chain([row("late", 2_000, 1.0)]));
    let found = world.verify().await.views.remove(0);
    assert!(found.is_clean() && found.sources_changed, "{found:?}");
    assert_eq!(found.compared_keys, 10);
}

#[tokio::test]
async fn a_view_that_never_ran_is_reported_as_not_materialized() {
    let world = World::new().await;
    let found = world.verify().await.views.remove(0);
    assert!(found.not_materialized && found.is_clean());
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_an_error_not_a_mismatch() {
    let world = ten_rows().await;
    world.store.next([Fault::Unavailable]);
    let request = VerifyRequest { views: vec![], keys: KeyChoice::All };
    let failed = tidegate_materializer::verify(&request, &world.parts(), &CancellationToken::new()).await;
    assert!(failed.unwrap_err().to_string().contains("cannot be reached"));
}

#[tokio::test]
async fn other_content_over_the_same_files_is_told_by_the_run_the_ledger_and_the_audit() {
    let world = World::new().await;
    world.yields([row("a", 10, 1.0)]);
    let request = Request { start: Some(Micros(0)), end: Some(Micros(500)), ..Request::default() };
    assert!(!world.run(&request).await.views[0].not_reproducible);
    assert!(!world.run(&request).await.views[0].not_reproducible);
    world.same_files_yield(VIEW, [row("a", 10, 0.0)]);
    let report = world.run(&request).await;
    assert!(report.views[0].not_reproducible && report.is_complete());
    let runs = world.registry.runs(&tidegate_control::RunFilter::default()).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.not_reproducible).collect::<Vec<_>>(), [true, false, false]);
    assert!(world.verify().await.views[0].not_reproducible);
}

#[tokio::test]
async fn a_building_generation_of_another_definition_is_verified_by_itself() {
    let world = ten_rows().await;
    world.apply(&definitions(&[(VIEW, "SELECT * FROM events WHERE good")], None)).await;
    world.yields((0..5).map(|n| row(&format!("u{n}"), 100 + n, 0.5)));
    world.between(0, 102).await;
    let found = world.verify().await.views.remove(0);
    assert_ne!(found.field, world.field(VIEW).await);
    assert!(found.is_clean(), "{found:?}");
    assert_eq!(found.compared_keys, 3);
    assert_eq!(dump(&world.store).await.len(), 13);
}

#[tokio::test]
async fn case_37_an_audit_before_the_stores_event_clock_is_refused_naming_the_earliest_time() {
    let world = ten_rows().await;
    world.now(999);
    let request = VerifyRequest { views: vec![], keys: KeyChoice::All };
    let refused = tidegate_materializer::verify(&request, &world.parts(), &CancellationToken::new()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::FailedPrecondition);
    assert_eq!(
        refused.to_string(),
        "the store holds rows up to 1970-01-01T00:00:00.001Z, and what it held at 1970-01-01T00:00:00.000999Z is gone; \
         the earliest time that can be verified is 1970-01-01T00:00:00.001Z"
    );
    world.now(1_000);
    world.assert_verified().await;
}
