//! The contract on the embedded store, and what only it promises.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tidegate_catalog::{Deadline, FieldNumber, Monotonic};
use tidegate_store::{
    Cells, Durability, EmbeddedConfig, EmbeddedStore, Error, OnlineStore, ReadPlan,
    conformance::{everything, stored},
    testing::{TestRow, key, steady_clock},
};

async fn fresh() -> (EmbeddedStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = EmbeddedConfig { cache_bytes: 4 << 20, ..EmbeddedConfig::default() };
    (EmbeddedStore::open(folder.path(), &config, steady_clock()).unwrap(), folder)
}

tidegate_store::conformance_suite!(fresh);

#[tokio::test]
async fn rows_are_there_after_reopening_with_either_durability() {
    for durability in [Durability::Process, Durability::Power] {
        let folder = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig { durability, cache_bytes: 4 << 20, namespace: "n".to_owned() };
        let row = TestRow { entity: 1, field: 1, event: 1, created: None, value: Some(1) }.put();
        let store = EmbeddedStore::open(folder.path(), &config, steady_clock()).unwrap();
        store.put(std::slice::from_ref(&row), Deadline::NEVER).await.unwrap();
        let weak = Arc::new(());
        drop((store, weak));
        let store = reopen(folder.path(), &config).await;
        assert_eq!(stored(&store, 1, 1).await, Some(row.row));
    }
}

/// The writing thread lets go of the file a moment after the last handle.
async fn reopen(folder: &std::path::Path, config: &EmbeddedConfig) -> EmbeddedStore {
    for _ in 0..500 {
        if let Ok(store) = EmbeddedStore::open(folder, config, steady_clock()) {
            return store;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the file was not let go within 5 s");
}

#[tokio::test]
async fn two_namespaces_do_not_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let row = TestRow { entity: 1, field: 1, event: 1, created: None, value: Some(1) };
    let config = |namespace: &str| EmbeddedConfig { namespace: namespace.to_owned(), ..EmbeddedConfig::default() };
    let first = EmbeddedStore::open(folder.path(), &config("a"), steady_clock()).unwrap();
    first.put(&[row.put()], Deadline::NEVER).await.unwrap();
    drop(first);
    let second = reopen(folder.path(), &config("b")).await;
    assert_eq!(stored(&second, 1, 1).await, None);
    assert_eq!(everything(&second).await, []);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_and_a_foreign_file_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rows.redb"), "this is no store, it is a letter to a friend").unwrap();
    let error = EmbeddedStore::open(folder.path(), &EmbeddedConfig::default(), steady_clock()).unwrap_err();
    assert!(error.to_string().contains("rows.redb"), "{error}");
    let missing = folder.path().join("missing");
    let error = EmbeddedStore::open(&missing, &EmbeddedConfig::default(), steady_clock()).unwrap_err();
    assert!(error.to_string().contains("rows.redb"), "{error}");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test's tasks end with it")]
async fn a_put_behind_a_busy_writer_is_late_when_its_deadline_passes() {
    let (store, _folder) = fresh().await;
    let row = |entity| TestRow { entity, field: 1, event: 1, created: None, value: Some(1) }.put();
    let many = (0..100_000).map(row).collect::<Vec<_>>();
    let busy = tokio::spawn({
        let store = store.clone();
        async move { store.put(&many, Deadline::NEVER).await.unwrap().len() }
    });
    tokio::task::yield_now().await;
    let soon = Deadline::after(Monotonic::default(), Duration::from_millis(1));
    let error = store.put(&[row(-1)], soon).await.unwrap_err();
    assert!(matches!(error, Error::Late { .. }), "{error}");
    assert_eq!(busy.await.unwrap(), 100_000);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test's tasks end with it")]
async fn a_long_read_lets_other_tasks_run() {
    let (store, _folder) = fresh().await;
    let mut plan = ReadPlan::default();
    (0..1000).for_each(|entity| plan.push(key(entity), &[FieldNumber(1)]));
    let turns = Arc::new(AtomicU32::new(0));
    let other = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    let mut cells = Cells::default();
    store.read(&plan, Deadline::NEVER, &mut cells).await.unwrap();
    other.abort();
    assert_eq!(cells.len(), 1000);
    assert!(turns.load(Ordering::Relaxed) >= 10, "{turns:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_writers_end_with_the_greatest_stamp() {
    let (store, _folder) = fresh().await;
    let writers = [store.clone(), store.clone(), store.clone(), store];
    tidegate_store::testing::racing_writers_end_with_the_greatest_stamp(writers, 1000, 11).await;
}
