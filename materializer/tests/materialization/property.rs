//! Whatever the rows and however the time is cut: twice is once, and every cell is the slow winner of catalog.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, option::weighted, prelude::*};
use tidegate_catalog::{
    EntityKey, FieldNumber, KeyValue, Micros, RowLayout, Stamp, Value,
    winner::{CandidateRow, VisibilityMode, Winner, winner},
};

use crate::world::{Row, VIEW, World, dump, layout};

/// Now.
const NOW: i64 = 40;

/// Rows of few keys and times, so that they tie; with tombstones, nulls, times to come and rows that are none.
pub(crate) fn some_row() -> impl Strategy<Value = Row> {
    let user = weighted(0.95, prop::sample::select(vec!["", "a", "b", "a\0b", "é"]));
    let scores = vec![0.0, -0.0, 1.5, f64::NAN, f64::INFINITY];
    let names = weighted(0.7, prop::sample::select(vec!["", "x", "xy"]));
    let score = weighted(0.8, prop::sample::select(scores));
    (user, weighted(0.97, -2_i64..NOW + 4), weighted(0.6, 0_i64..4), prop::bool::weighted(0.2), score, names).prop_map(
        |(user, event, created, deleted, score, name)| {
            let (user, name) = (user.map(str::to_owned), name.map(str::to_owned));
            Row { user, event, created, deleted, score, name }
        },
    )
}

/// The cell and the bytes that a row is, if it is one.
fn encoded(row: &Row, encode_key: impl Fn(&str) -> EntityKey, field: FieldNumber) -> Option<(EntityKey, CandidateRow)> {
    let (key, event) = (encode_key(row.user.as_deref()?), Micros(row.event?));
    let (stamp, mut bytes) = (Stamp { event, created: row.created.map(Micros) }, BytesMut::new());
    let check = layout().cell_check(field).of(&key);
    if row.deleted {
        RowLayout::encode_tombstone(stamp, check, &mut bytes);
    } else {
        let name = row.name.as_deref().map_or(Value::Null, Value::String);
        let values = [row.score.map_or(Value::Null, Value::Float64), name];
        layout().encode(stamp, check, &values, &mut bytes).unwrap();
    }
    Some((key, CandidateRow { bytes: bytes.freeze() }))
}

/// What the store must hold: each key's winner at now.
async fn winners(world: &World, rows: &[Row]) -> BTreeMap<(EntityKey, FieldNumber), Bytes> {
    let snapshot = world.registry.newest().await.unwrap().unwrap();
    let generation = snapshot.writing(VIEW).unwrap();
    let key = |user: &str| {
        EntityKey::encode(snapshot.project, generation.key_set, [KeyValue::String(user)], &mut BytesMut::new()).unwrap()
    };
    let mut by_key = BTreeMap::<EntityKey, Vec<CandidateRow>>::new();
    for (key, row) in rows.iter().filter_map(|row| encoded(row, key, generation.field)) {
        by_key.entry(key).or_default().push(row);
    }
    let winner =
        |(key, rows): (EntityKey, Vec<CandidateRow>)| match winner(&rows, Micros(NOW), None, VisibilityMode::EventTime)
        {
            Winner::Row(best) | Winner::Deleted(best) => Some(((key, generation.field), best.bytes.clone())),
            Winner::Expired(_) | Winner::Absent => None,
        };
    by_key.into_iter().filter_map(winner).collect()
}

/// The intervals between the cuts, in the order that `order` gives them, and some of them twice.
fn intervals(cuts: &[i64], order: u64) -> Vec<(i64, i64)> {
    let mut ends = cuts.iter().copied().chain([NOW]).collect::<Vec<_>>();
    ends.sort_unstable();
    ends.dedup();
    let starts = [-3].into_iter().chain(ends.iter().copied());
    let mut all = starts.zip(ends.iter().copied()).collect::<Vec<_>>();
    all.extend(all.clone().into_iter().filter(|(_, end)| (*end as u64 ^ order).is_multiple_of(3)));
    all.sort_by_key(|(start, end)| (*start as u64 ^ order).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ *end as u64);
    all
}

async fn twice_is_once(rows: Vec<Row>, cuts: Vec<i64>, order: u64, batch_rows: usize) {
    let mut whole = World::new().await;
    whole.config.batch_rows = batch_rows;
    whole.now(NOW);
    whole.yields(rows.clone());
    whole.materialize().await;
    let once = dump(&whole.store).await;
    assert_eq!(once, winners(&whole, &rows).await, "each cell is its key's winner");
    let again = whole.between(-3, NOW).await;
    assert!(again.is_no_op(), "{again:?}");
    assert_eq!(dump(&whole.store).await, once, "twice is once");
    whole.assert_verified().await;

    let mut parts = World::new().await;
    parts.config.batch_rows = 7;
    parts.rows.batch_rows = batch_rows;
    parts.now(NOW);
    parts.yields(rows.into_iter().rev());
    for (start, end) in intervals(&cuts, order) {
        let report = parts.between(start, end).await;
        assert!(report.is_complete(), "{report:?}");
    }
    assert_eq!(dump(&parts.store).await, once, "however the time was cut, and in whatever order");
    parts.assert_verified().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn materializing_twice_in_any_intervals_equals_once_and_equals_the_slow_winner(
        rows in vec(some_row(), 0..60),
        cuts in vec(-2_i64..NOW, 0..4),
        order: u64,
        batch_rows in 1_usize..9,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(twice_is_once(rows, cuts, order, batch_rows));
    }
}
