//! Views of one key set are written together, and all that is said of each is what it would be alone.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use proptest::{collection::vec, prelude::*};
use tidegate_catalog::{
    Definitions, Micros,
    definitions::{Described, Entity, JoinKey, KeyType},
};
use tidegate_control::{RunFilter, RunState};
use tidegate_materializer::{Counts, Phase, Progress, Report, Request, Silent, Step, ViewOutcome};
use tidegate_store::{
    RedisConfig, RedisStore,
    testing::{Fault, RedisServer},
};
use tokio_util::sync::CancellationToken;

use crate::{
    gate::Gate,
    property::some_row,
    world::{Row, World, definitions, dump, materialized, row},
};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Views of these names over the users.
fn views(names: &[&str]) -> Definitions {
    definitions(&names.iter().map(|name| (*name, "SELECT * FROM events")).collect::<Vec<_>>(), None)
}

/// Rows of these users.
fn users(numbers: impl IntoIterator<Item = i64>) -> Vec<Row> {
    numbers.into_iter().map(|n| row(&format!("u{n}"), 10 + n, n as f64)).collect()
}

/// What the ledger and the report say of each view, without run numbers and times.
async fn said(world: &World, reports: &[Report]) -> BTreeMap<String, (Counts, Option<String>)> {
    let runs = world.registry.runs(&RunFilter::default()).await.unwrap();
    let views = reports.iter().flat_map(|report| &report.views).map(|view| {
        let run = runs.iter().find(|run| Some(run.id) == view.run).expect("the view has a run");
        assert_eq!((run.state, &view.outcome), (RunState::Acknowledged, &ViewOutcome::Acknowledged));
        (view.view.clone(), (view.counts.clone(), run.content_hash.clone()))
    });
    views.collect()
}

async fn together_is_one_by_one(rows: Vec<Vec<Row>>, memory_bytes: usize, batch_rows: usize) {
    let names = &NAMES[..rows.len()];
    let (mut together, mut one_by_one) = (World::with(&views(names)).await, World::with(&views(names)).await);
    together.config.memory_bytes = memory_bytes;
    together.config.batch_rows = batch_rows;
    one_by_one.config.batch_rows = 7;
    for (name, rows) in names.iter().zip(&rows) {
        together.view_yields(name, rows.clone());
        one_by_one.view_yields(name, rows.iter().rev().cloned());
    }
    let all = together.materialize().await;
    assert_eq!(all.views.iter().map(|view| view.view.as_str()).collect::<Vec<_>>(), names);
    let mut reports = Vec::new();
    for name in names {
        reports.push(one_by_one.run(&Request { views: vec![(*name).to_owned()], ..Request::default() }).await);
    }
    assert_eq!(dump(&together.store).await, dump(&one_by_one.store).await);
    // which rows stand as examples depends on their order
    let bare = |mut said: BTreeMap<String, (Counts, Option<String>)>| {
        said.values_mut().for_each(|(counts, _)| counts.null_key_examples.clear());
        said
    };
    assert_eq!(bare(said(&together, &[all]).await), bare(said(&one_by_one, &reports).await));
    together.assert_verified().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn views_written_together_are_views_written_one_by_one(
        rows in vec(vec(some_row(), 0..40), 1..=NAMES.len()),
        // nothing fits, some views fit, all do
        memory_bytes in prop::sample::select(vec![1_usize, 6_000, 1 << 20]),
        batch_rows in 1_usize..9,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(together_is_one_by_one(rows, memory_bytes, batch_rows));
    }
}

/// Views, memory -> how many entries the store gets for a hundred keys that each view yields in an order of its own.
#[tokio::test]
async fn rows_of_one_key_come_side_by_side_whatever_the_order_and_the_memory() {
    for (names, memory_bytes, entries) in
        [(1, 1 << 20, 100), (3, 1 << 20, 100), (3, 4_000, 100), (3, 1, 100), (4, 1 << 20, 100), (6, 1 << 20, 200)]
    {
        let names = &NAMES[..names];
        let mut world = World::with(&views(names)).await;
        (world.config.memory_bytes, world.config.batch_rows) = (memory_bytes, 5);
        for (step, name) in [1, 99, 7, 13, 21, 57].into_iter().zip(names) {
            world.view_yields(name, users((0..100).map(|n| n * step % 100)));
        }
        let store = Gate::open();
        let parts = world.parts_on(&store, &Silent);
        let report = materialized(&Request::default(), &parts, &CancellationToken::new()).await;
        assert!(report.is_complete(), "{report:?}");
        let (rows, keys) = (store.rows.load(Ordering::SeqCst), store.keys.load(Ordering::SeqCst));
        assert_eq!((rows, keys), (names.len() * 100, entries), "{names:?}, {memory_bytes} bytes");
    }
}

#[tokio::test]
async fn views_of_another_key_set_are_apart_and_reports_keep_their_order() {
    let mut mixed = views(&["a", "b", "c"]);
    let key = JoinKey { name: "account".to_owned(), key_type: KeyType::String };
    let account = Entity { name: "account".to_owned(), join_keys: vec![key.clone()], described: Described::default() };
    mixed.entities.insert(account.name.clone(), account);
    let other = mixed.views.get_mut("b").unwrap();
    (other.entities, other.join_keys) = (vec!["account".to_owned()], vec![key]);
    let world = World::with(&mixed).await;
    ["a", "b", "c"].iter().for_each(|name| world.view_yields(name, users(0..10)));
    let store = Gate::open();
    let parts = world.parts_on(&store, &Silent);
    let report = materialized(&Request::default(), &parts, &CancellationToken::new()).await;
    assert_eq!(report.views.iter().map(|view| view.view.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(store.keys.load(Ordering::SeqCst), 20, "a and c together, b by itself");
}

#[tokio::test]
async fn a_view_that_fails_to_be_read_does_not_keep_its_group_from_being_written() {
    let mut world = World::with(&views(&["a", "b", "c", "d"])).await;
    world.config.error_budget_rows = 0;
    ["a", "b", "c"].iter().for_each(|name| world.view_yields(name, users(0..10)));
    world.view_yields("d", users(0..10).into_iter().chain([Row { user: None, ..row("", 1, 1.0) }]));
    *world.rows.breaks.lock() = Some("b");
    let report = world.run(&Request::default()).await;
    let failed = |at: usize, words: &str| match &report.views[at].outcome {
        ViewOutcome::Failed { message, .. } => message.contains(words),
        _ => false,
    };
    assert!(failed(1, "the file ends early") && failed(3, "1 rows are bad"), "{report:?}");
    for view in [0, 2] {
        assert_eq!((&report.views[view].outcome, report.views[view].counts.written), (&ViewOutcome::Acknowledged, 10));
    }
    assert_eq!(dump(&world.store).await.len(), 20);
    *world.rows.breaks.lock() = None;
    world.config.error_budget_rows = 1;
    world.materialize().await;
    world.assert_verified().await;
}

/// Good batches before the store stays away -> whose rows were all in them. Views `a` and `b` share no key, `c` has keys of both.
#[tokio::test]
async fn a_failed_write_fails_the_views_whose_rows_were_in_it_or_after_it() {
    for (good_batches, acknowledged) in
        [(0, [false; 3]), (2, [false; 3]), (3, [true, false, false]), (4, [true, false, false])]
    {
        let mut world = World::with(&views(&["a", "b", "c"])).await;
        (world.config.batches_in_flight, world.config.retry.attempts) = (1, 2);
        world.view_yields("a", users(0..8));
        world.view_yields("b", users(10..18));
        world.view_yields("c", users([0, 1, 16, 17]));
        // five batches of four: the third has the last rows of a and the first of b, the last one the last of b and c
        world.store.next([Fault::None].repeat(1 + good_batches).into_iter().chain([Fault::Unavailable; 2]));
        let report = world.run(&Request::default()).await;
        let outcomes = report.views.iter().map(|view| view.outcome == ViewOutcome::Acknowledged).collect::<Vec<_>>();
        assert_eq!(outcomes, acknowledged, "{good_batches} good batches: {report:?}");
        let runs = world.registry.runs(&RunFilter::default()).await.unwrap();
        let states = runs.iter().filter(|run| run.state == RunState::Acknowledged).count();
        assert_eq!(states, acknowledged.iter().filter(|view| **view).count(), "the ledger says the same");
        assert_eq!(report.total().written, good_batches as u64 * 4);
        assert_eq!(dump(&world.store).await.len(), good_batches * 4);
        world.materialize().await;
        world.assert_verified().await;
    }
}

/// Each view's steps.
#[derive(Default)]
struct Steps(Mutex<BTreeMap<String, Vec<Step>>>);

impl Progress for Steps {
    fn report(&self, view: &str, step: &Step) {
        self.0.lock().entry(view.to_owned()).or_default().push(*step);
    }
}

#[tokio::test]
async fn progress_of_each_view_counts_its_own_rows() {
    let world = World::with(&views(&["a", "b"])).await;
    world.view_yields("a", users(0..40));
    world.view_yields("b", users(20..30));
    let steps = Steps::default();
    materialized(&Request::default(), &world.parts_on(&world.store, &steps), &CancellationToken::new()).await;
    for (view, rows) in [("a", 40), ("b", 10)] {
        let steps = steps.0.lock().remove(view).unwrap();
        assert!(steps.is_sorted_by_key(|step| (step.phase == Phase::Done, step.phase == Phase::Writing)), "{steps:?}");
        let last = |phase| steps.iter().rfind(|step| step.phase == phase).copied().unwrap();
        assert_eq!(last(Phase::Reading).read_rows, rows, "{view}");
        let writing = last(Phase::Writing);
        assert_eq!((writing.acknowledged_rows, writing.read_rows, writing.total_rows), (rows, rows, Some(rows)));
        assert_eq!(last(Phase::Done).acknowledged_rows, rows, "{view}");
    }
}

#[tokio::test]
async fn redis_and_the_embedded_store_hold_the_same_of_views_written_together() {
    let server = RedisServer::start().await;
    let names = &NAMES[..5];
    let mut world = World::with(&views(names)).await;
    world.config.batch_rows = 100;
    for (step, name) in [1, 7, 11, 13, 17].into_iter().zip(names) {
        let rows = (0..900 / step).map(|n| n * step % 700);
        world.view_yields(name, users(rows).into_iter().map(|row| row.named(&"y".repeat(step as usize * 9))));
    }
    let config =
        RedisConfig { url: server.url(), password: None, namespace: String::new(), timeout: Duration::from_secs(5) };
    let redis = RedisStore::new(&config, Arc::clone(&world.clock) as _).unwrap();
    let cancel = CancellationToken::new();
    let first = materialized(&Request::default(), &world.parts_on(&redis, &Silent), &cancel).await;
    let again = Request { start: Some(Micros(-1)), ..Request::default() };
    let second = materialized(&again, &world.parts_on(&redis, &Silent), &cancel).await;
    assert!(first.is_complete() && second.is_no_op(), "{second:?}");
    assert_eq!(second.total().equal, first.total().written);
    world.run(&again).await;
    assert_eq!(dump(&redis).await, dump(&world.store).await);
}
