//! The contract on the embedded store, and what only it promises.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tidegate_catalog::{
    Clock, Deadline, EntityKey, FieldNumber, KeySetNumber, KeyValue, Micros, Monotonic, ProjectNumber,
};
use tidegate_store::{
    Cells, Durability, EmbeddedConfig, EmbeddedStore, Error, OnlineStore, Put, PutOutcome, ReadPlan,
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
        drop(store);
        let store = EmbeddedStore::open(folder.path(), &config, steady_clock()).unwrap();
        assert_eq!(stored(&store, 1, 1).await, Some(row.row));
    }
}

#[tokio::test]
async fn a_file_that_is_open_is_not_opened_again() {
    for durability in [Durability::Process, Durability::Power] {
        let folder = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig { durability, cache_bytes: 4 << 20, namespace: String::new() };
        let store = EmbeddedStore::open(folder.path(), &config, steady_clock()).unwrap();
        let refused = EmbeddedStore::open(folder.path(), &config, steady_clock()).unwrap_err().to_string();
        let words =
            "embedded store at the state folder cannot be reached: cannot open rows.redb: Database already open";
        assert!(refused.starts_with(words), "{durability:?}: {refused}");
        drop(store);
        EmbeddedStore::open(folder.path(), &config, steady_clock()).expect("the last handle has closed the file");
    }
}

/// Also where one begins with the other, and with a key that reads as another key behind the shorter one.
#[tokio::test]
async fn two_namespaces_do_not_see_each_other() {
    let values = [KeyValue::Bytes(b"12345678")];
    let treacherous =
        EntityKey::encode(ProjectNumber(1), KeySetNumber(9), values, &mut bytes::BytesMut::new()).unwrap();
    for (one, other) in [("a", "b"), ("", "f"), ("foo", "foob"), ("foo", "foobar"), ("", "foobar")] {
        let folder = tempfile::tempdir().unwrap();
        let rows =
            [1, 2].map(|value| TestRow { entity: 1, field: 1, event: 1, created: None, value: Some(value) }.put());
        let config = |namespace: &str| EmbeddedConfig { namespace: namespace.to_owned(), ..EmbeddedConfig::default() };
        for (name, row) in [one, other].into_iter().zip(&rows) {
            let store = EmbeddedStore::open(folder.path(), &config(name), steady_clock()).unwrap();
            let batch = [row.clone(), Put { key: treacherous.clone(), ..row.clone() }];
            assert_eq!(store.put(&batch, Deadline::NEVER).await.unwrap(), [PutOutcome::Written; 2]);
        }
        for (name, row) in [one, other].into_iter().zip(rows) {
            let store = EmbeddedStore::open(folder.path(), &config(name), steady_clock()).unwrap();
            assert_eq!(stored(&store, 1, 1).await, Some(row.row.clone()), "{name:?} beside {one:?} and {other:?}");
            let all = [(row.key, row.field, row.row.clone()), (treacherous.clone(), row.field, row.row)];
            assert_eq!(everything(&store).await, all, "{name:?} beside {one:?} and {other:?}");
            assert_eq!(store.erase(&[key(1), treacherous.clone()], Deadline::NEVER).await.unwrap(), 2);
        }
    }
}

/// A clock that goes on by a millisecond each time it is read.
#[derive(Debug, Default)]
struct Counting(AtomicU32);

impl Clock for Counting {
    fn event_now(&self) -> Micros {
        Micros::EPOCH
    }
    fn wall_now(&self) -> Micros {
        Micros::EPOCH
    }
    fn monotonic(&self) -> Monotonic {
        Monotonic(Duration::from_millis(self.0.fetch_add(1, Ordering::Relaxed).into()))
    }
}

#[tokio::test]
async fn a_read_whose_deadline_passes_on_the_way_is_late_and_leaves_no_cells() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path(), &EmbeddedConfig::default(), Arc::new(Counting::default())).unwrap();
    let mut plan = ReadPlan::default();
    (0..1000).for_each(|entity| plan.push(key(entity), &[FieldNumber(1)]));
    let mut cells = Cells::default();
    let soon = Deadline::after(Monotonic::default(), Duration::from_millis(5));
    let error = store.read(&plan, soon, &mut cells).await.unwrap_err();
    assert!(matches!(error, Error::Late { .. }), "{error}");
    assert!(cells.is_empty());
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
