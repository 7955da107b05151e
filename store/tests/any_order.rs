//! Any order of writes, in any batches, once or twice, gives the same store; and what is erased or removed takes nothing else
//! with it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, time::Duration};

use bytes::BytesMut;
use proptest::{prelude::*, test_runner::TestRunner};
use tidegate_catalog::{Deadline, EntityKey, FieldNumber, KeySetNumber, KeyValue, ProjectNumber};
use tidegate_store::{
    EmbeddedConfig, EmbeddedStore, OnlineStore, Put, RedisConfig, RedisStore,
    conformance::everything,
    testing::{RedisServer, TestRow, steady_clock},
};

fn any_row() -> impl Strategy<Value = TestRow> {
    let created = proptest::option::of(-1..2_i64);
    let value = proptest::option::of(0..3_i64);
    (0..3_i64, 1..3_u32, -2..2_i64, created, value).prop_map(|(entity, field, event, created, value)| TestRow {
        entity,
        field,
        event,
        created,
        value,
    })
}

/// A write to the cell of `name` and field.
#[derive(Clone, Debug)]
enum Step {
    Put(String, u32, i64),
    Erase(String),
    /// Removes the row that the cell has, or one that it has not.
    Remove(String, u32, bool),
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    // keys of all lengths, so that rows of all lengths lie side by side
    let name = || "[ab]{0,3}|[a-c]{20}|d{300}";
    let step = prop_oneof![
        5 => (name(), 1..4_u32, 0..1000_i64).prop_map(|(name, field, value)| Step::Put(name, field, value)),
        2 => name().prop_map(Step::Erase),
        2 => (name(), 1..4_u32, any::<bool>()).prop_map(|(name, field, same)| Step::Remove(name, field, same)),
    ];
    proptest::collection::vec(proptest::collection::vec(step, 1..12), 1..8).prop_map(|batches| batches.concat())
}

fn named(name: &str) -> EntityKey {
    let values = [KeyValue::String(name)];
    EntityKey::encode(ProjectNumber(1), KeySetNumber(3), values, &mut BytesMut::new()).unwrap()
}

/// What a store holds after `steps`, and what it should hold.
async fn stepped(store: &impl OnlineStore, steps: &[Step]) -> (Content, Content) {
    let mut model = BTreeMap::new();
    for (event, step) in steps.iter().enumerate() {
        match step {
            Step::Put(name, field, value) => {
                let row = TestRow { entity: 1, field: *field, event: event as i64, created: None, value: Some(*value) };
                let put = Put { key: named(name), ..row.put() };
                model.insert((put.key.as_bytes().to_vec(), *field), put.row.to_vec());
                store.put(&[put], Deadline::NEVER).await.unwrap();
            }
            Step::Erase(name) => {
                let key = named(name);
                let before = model.len();
                model.retain(|(stored, _), _| stored != key.as_bytes());
                let erased = store.erase(&[key], Deadline::NEVER).await.unwrap();
                assert_eq!(erased, (before - model.len()) as u64);
            }
            Step::Remove(name, field, same) => {
                let key = named(name);
                let cell = (key.as_bytes().to_vec(), *field);
                let mut row = model.get(&cell).cloned().unwrap_or_default();
                if !same {
                    row.push(0);
                }
                let removed = u64::from(*same && model.remove(&cell).is_some());
                let put = Put { key, field: FieldNumber(*field), row: row.into() };
                assert_eq!(store.remove(&[put], Deadline::NEVER).await.unwrap(), removed);
            }
        }
    }
    let cells = everything(store).await.into_iter();
    let found = cells.map(|(key, field, row)| (key.as_bytes().to_vec(), field.0, row.to_vec())).collect();
    (found, model.into_iter().map(|((key, field), row)| (key, field, row)).collect())
}

#[test]
fn what_is_erased_or_removed_takes_no_other_row_with_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(64));
    let property = |steps: Vec<Step>| {
        let (found, expected) = runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let config = EmbeddedConfig { cache_bytes: 1 << 20, ..EmbeddedConfig::default() };
            let store = EmbeddedStore::open(folder.path(), &config, steady_clock()).unwrap();
            stepped(&store, &steps).await
        });
        prop_assert_eq!(found, expected);
        Ok(())
    };
    runner.run(&any_steps(), property).unwrap();
}

/// Every cell: key, field, row.
type Content = Vec<(Vec<u8>, u32, Vec<u8>)>;

/// What an empty store holds after `rows` were put in batches of `batch`.
async fn written(store: &impl OnlineStore, rows: &[TestRow], batch: usize) -> Content {
    for batch in rows.chunks(batch) {
        let puts = batch.iter().map(|row| row.put()).collect::<Vec<_>>();
        store.put(&puts, Deadline::NEVER).await.unwrap();
    }
    let cells = everything(store).await.into_iter();
    cells.map(|(key, field, row)| (key.as_bytes().to_vec(), field.0, row.to_vec())).collect()
}

/// Checks the property; `content` is [`written`] on a store of its own.
fn any_order_gives_the_same(content: impl Fn(&[TestRow], usize) -> Content) {
    let rows = proptest::collection::vec(any_row(), 0..30);
    let orders = rows.prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle()));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(48));
    let property = |((rows, shuffled), batch): ((Vec<TestRow>, Vec<TestRow>), usize)| {
        let once = content(&rows, 7);
        let again = shuffled.iter().chain(&rows).copied().collect::<Vec<_>>();
        prop_assert_eq!(&content(&shuffled, batch), &once);
        prop_assert_eq!(&content(&again, batch), &once, "written twice");
        Ok(())
    };
    runner.run(&(orders, 1..9_usize), property).unwrap();
}

#[test]
fn any_order_and_any_batches_give_the_same_embedded_store() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    any_order_gives_the_same(|rows, batch| {
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let config = EmbeddedConfig { cache_bytes: 1 << 20, ..EmbeddedConfig::default() };
            let store = EmbeddedStore::open(folder.path(), &config, steady_clock()).unwrap();
            written(&store, rows, batch).await
        })
    });
}

#[test]
fn any_order_and_any_batches_give_the_same_redis() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(RedisServer::start());
    let (url, timeout) = (server.url(), Duration::from_secs(5));
    let config = RedisConfig { url, password: None, namespace: "p".to_owned(), timeout };
    let store = {
        let _entered = runtime.enter();
        RedisStore::new(&config, steady_clock()).unwrap()
    };
    let client = redis::Client::open(server.url()).unwrap();
    any_order_gives_the_same(|rows, batch| {
        runtime.block_on(async {
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
            written(&store, rows, batch).await
        })
    });
}
