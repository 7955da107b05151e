//! Any order of writes gives the same store.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use tidegate_catalog::Deadline;
use tidegate_store::{
    EmbeddedConfig, EmbeddedStore, OnlineStore,
    conformance::everything,
    testing::{TestRow, steady_clock},
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

fn store_of(rows: &[TestRow], batch: usize) -> Vec<(Vec<u8>, u32, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig { cache_bytes: 1 << 20, ..EmbeddedConfig::default() };
        let store = EmbeddedStore::open(folder.path(), &config, steady_clock()).unwrap();
        for batch in rows.chunks(batch) {
            let puts = batch.iter().map(|row| row.put()).collect::<Vec<_>>();
            store.put(&puts, Deadline::NEVER).await.unwrap();
        }
        let cells = everything(&store).await.into_iter();
        cells.map(|(key, field, row)| (key.as_bytes().to_vec(), field.0, row.to_vec())).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_order_and_any_batches_give_the_same_store(
        (rows, shuffled) in proptest::collection::vec(any_row(), 0..30)
            .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        batch in 1..9_usize,
    ) {
        let once = store_of(&rows, 7);
        let again = shuffled.iter().chain(&rows).copied().collect::<Vec<_>>();
        prop_assert_eq!(&store_of(&shuffled, batch), &once);
        prop_assert_eq!(&store_of(&again, batch), &once, "written twice");
    }
}
