use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};
use tidegate_catalog::winner::{CandidateRow, VisibilityMode, Winner, winner};
use tidegate_catalog::{
    EntityKey, FeatureType, FieldNumber, KeySetNumber, KeyValue, Micros, ProjectNumber, RowLayout, ScalarType, Stamp,
    Value,
};

use super::*;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn reduced(rows: &[(Vec<u8>, Vec<u8>)], memory_bytes: usize) -> (Rows, u64) {
    let (mut views, _, spilled_bytes) = joined(&[rows], memory_bytes);
    (views.remove(0), spilled_bytes)
}

/// The winners of each view, how many keys came, and how many bytes went to files. A key comes once, with its rows in the
/// order of the views.
fn joined(views: &[&[(Vec<u8>, Vec<u8>)]], memory_bytes: usize) -> (Vec<Rows>, usize, u64) {
    let folder = tempfile::tempdir().unwrap();
    let reducers = views.iter().map(|rows| {
        let mut reducer = Reducer::new(memory_bytes, folder.path());
        rows.iter().for_each(|(key, row)| reducer.offer(key, row).unwrap());
        reducer
    });
    let mut winners = Winners::of(reducers.collect()).unwrap();
    let (mut by_view, mut keys, mut rows) = (vec![Rows::new(); views.len()], BTreeSet::new(), Vec::new());
    while let Some(key) = winners.next_key(&mut rows).unwrap() {
        let key = key.as_bytes().to_vec();
        assert!(rows.is_sorted_by(|(one, _), (next, _)| one < next), "each view once, in order");
        assert!(!rows.is_empty());
        for (view, row) in &rows {
            by_view[*view].insert(key.clone(), row.to_vec());
        }
        assert!(keys.insert(key), "a key came twice");
    }
    (by_view, keys.len(), winners.spilled_bytes)
}

/// Rows of real bytes: key, event, created, text, tombstone.
type RowFacts = (u8, i64, Option<i64>, String, bool);

fn real_row((key, event, created, text, deleted): &RowFacts) -> (Vec<u8>, Vec<u8>) {
    let layout = RowLayout::new(&[FeatureType::Scalar(ScalarType::String)]);
    let values = [KeyValue::Int64(i64::from(*key))];
    let key = EntityKey::encode(ProjectNumber(1), KeySetNumber(1), values, &mut BytesMut::new()).unwrap();
    let stamp = Stamp { event: Micros(*event), created: created.map(Micros) };
    let check = layout.cell_check(FieldNumber(1)).of(&key);
    let mut row = BytesMut::new();
    if *deleted {
        RowLayout::encode_tombstone(stamp, check, &mut row);
    } else {
        layout.encode(stamp, check, &[Value::String(text)], &mut row).unwrap();
    }
    (key.as_bytes().to_vec(), row.to_vec())
}

fn some_row() -> impl Strategy<Value = RowFacts> {
    (0_u8..6, -2_i64..3, prop::option::of(-1_i64..2), "[ab]{0,3}", any::<bool>())
}

proptest! {
    #[test]
    fn the_reduced_row_is_the_slow_winner_whatever_the_order_and_the_memory(
        facts in vec(some_row(), 0..120),
        memory_bytes in prop::sample::select(vec![1_usize, 512, 2_000, 1 << 20]),
    ) {
        let rows = facts.iter().map(real_row).collect::<Vec<_>>();
        let mut by_key = BTreeMap::<Vec<u8>, Vec<CandidateRow>>::new();
        for (key, row) in &rows {
            by_key.entry(key.clone()).or_default().push(CandidateRow { bytes: Bytes::copy_from_slice(row) });
        }
        let slow = by_key.into_iter().map(|(key, candidates)| {
            let (Winner::Row(best) | Winner::Deleted(best)) =
                winner(&candidates, Micros::MAX, None, VisibilityMode::EventTime) else { unreachable!("rows without ttl") };
            (key, best.bytes.to_vec())
        });
        let (fast, _) = reduced(&rows, memory_bytes);
        prop_assert_eq!(&fast, &slow.collect::<BTreeMap<_, _>>());
        let mut backwards = rows;
        backwards.reverse();
        prop_assert_eq!(fast, reduced(&backwards, memory_bytes).0);
    }
}

#[test]
fn more_keys_than_memory_go_through_files_and_each_comes_once() {
    let rows = (0..20_000_u32)
        .flat_map(|key| (0..3_u8).map(move |turn| (key.to_be_bytes().to_vec(), vec![(turn + 1) % 3; 40])))
        .collect::<Vec<_>>();
    let (inside, nothing) = reduced(&rows, 64 << 20);
    assert_eq!(nothing, 0, "all of it fits");
    let (spilled, bytes) = reduced(&rows, 20_000);
    assert!(bytes > 0);
    assert_eq!(spilled.len(), 20_000);
    assert_eq!(spilled, inside, "files changed a row");
    assert!(spilled.values().all(|row| row == &vec![2; 40]));
}

proptest! {
    #[test]
    fn views_joined_are_the_views_alone_and_rows_of_one_key_meet(
        views in vec(vec(some_row(), 0..80), 1..5),
        memory_bytes in prop::sample::select(vec![1_usize, 512, 2_000, 1 << 20]),
    ) {
        let views = views.iter().map(|rows| rows.iter().map(real_row).collect::<Vec<_>>()).collect::<Vec<_>>();
        let borrowed = views.iter().map(Vec::as_slice).collect::<Vec<_>>();
        let (by_view, keys, _) = joined(&borrowed, memory_bytes);
        let alone = borrowed.iter().map(|rows| reduced(rows, 1 << 20).0).collect::<Vec<_>>();
        let distinct = alone.iter().flat_map(BTreeMap::keys).collect::<BTreeSet<_>>();
        prop_assert_eq!(keys, distinct.len());
        prop_assert_eq!(&by_view, &alone);
    }
}

/// Which view was spilled makes no difference: what is in memory goes to files beside it, and each key still comes once.
#[test]
fn a_view_that_went_to_files_meets_those_that_did_not() {
    let rows = |keys: u32, value: u8| (0..keys).map(|key| (key.to_be_bytes().to_vec(), vec![value; 40])).collect();
    let (small, large): (Vec<_>, Vec<_>) = (rows(100, 1), rows(5_000, 2));
    for views in [[&small[..], &large, &small], [&large, &small, &large], [&small, &small, &large]] {
        let (by_view, keys, spilled_bytes) = joined(&views, 40_000);
        assert!(spilled_bytes > 0);
        assert_eq!(keys, 5_000);
        for (rows, found) in views.iter().zip(by_view) {
            assert_eq!(found, rows.iter().cloned().collect::<Rows>());
        }
    }
}

/// View by view: whether all its rows were given, after each key.
#[test]
fn a_view_is_past_once_no_row_of_it_is_left() {
    let rows = |keys: &[u8]| keys.iter().map(|key| (vec![*key], vec![1; 4])).collect::<Vec<_>>();
    let folder = tempfile::tempdir().unwrap();
    let reducers = [&[1, 2][..], &[2], &[2, 3]].map(|keys| {
        let mut reducer = Reducer::new(1 << 20, folder.path());
        rows(keys).iter().for_each(|(key, row)| reducer.offer(key, row).unwrap());
        reducer
    });
    let mut winners = Winners::of(reducers.into()).unwrap();
    let mut found = Vec::new();
    let mut rows = Vec::new();
    while winners.next_key(&mut rows).unwrap().is_some() {
        found.push([0, 1, 2].map(|view| winners.is_past(view)));
    }
    // the view that is walked is past when the walk goes on
    assert_eq!(found, [[false, false, false], [false, true, false], [true, true, false]]);
}

#[test]
fn rows_that_grow_and_shrink_keep_the_greatest() {
    let rows = (0..500_u32).map(|turn| (vec![7], vec![1; (turn % 50) as usize + 1])).collect::<Vec<_>>();
    for memory_bytes in [1, 600, 1 << 20] {
        assert_eq!(reduced(&rows, memory_bytes).0, BTreeMap::from([(vec![7], vec![1; 50])]));
    }
}
