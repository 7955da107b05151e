use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};
use tidegate_catalog::winner::{CandidateRow, VisibilityMode, Winner, winner};
use tidegate_catalog::{
    EntityKey, FeatureType, FieldNumber, KeySetNumber, KeyValue, Micros, ProjectNumber, RowLayout, ScalarType, Stamp,
    Value,
};

use super::*;

fn reduced(rows: &[(Vec<u8>, Vec<u8>)], memory_bytes: usize) -> (BTreeMap<Vec<u8>, Vec<u8>>, u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut reducer = Reducer::new(memory_bytes, folder.path());
    for (key, row) in rows {
        reducer.offer(key, row).unwrap();
    }
    let mut winners = reducer.finish().unwrap();
    let mut by_key = BTreeMap::new();
    while let Some(WinnerRow { key, row, .. }) = winners.next().unwrap() {
        let before = by_key.insert(key.as_bytes().to_vec(), row.to_vec());
        assert_eq!(before, None, "a key came twice");
    }
    (by_key, winners.spilled_bytes)
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

#[test]
fn rows_that_grow_and_shrink_keep_the_greatest() {
    let rows = (0..500_u32).map(|turn| (vec![7], vec![1; (turn % 50) as usize + 1])).collect::<Vec<_>>();
    for memory_bytes in [1, 600, 1 << 20] {
        assert_eq!(reduced(&rows, memory_bytes).0, BTreeMap::from([(vec![7], vec![1; 50])]));
    }
}
