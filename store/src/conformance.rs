//! The contract as tests: one function a sentence of [`crate::OnlineStore`], called on every backend with its real server.
//!
//! A backend's test file calls [`crate::conformance_suite`] with a function that makes a fresh, empty store.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "these are tests: each panics where the store breaks the promise it is named after"
)]

mod racing;

use std::collections::BTreeMap;

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tidegate_catalog::{Deadline, EntityKey, ErrorCode, FieldNumber, Micros, row::MAX_ROW_BYTES};

use crate::{
    Cell, Cells, Error, MAX_READ_BYTES, OnlineStore, Put, PutOutcome, ReadPlan, Rejection, StoreMarks,
    testing::{TestRow, key},
    write::{Decision, decide},
};
pub use racing::{
    a_dropped_put_may_be_repeated, a_dropped_read_leaves_no_trace,
    a_scan_beside_writers_gives_every_cell_that_stood_through_it,
    each_mark_is_a_maximum_of_its_own_under_racing_writers, readers_see_a_row_whole_or_not_at_all,
};

const NEVER: Deadline = Deadline::NEVER;

/// A value row of entity 1, field 1.
const fn value(event: i64, created: Option<i64>, value: i64) -> TestRow {
    TestRow { entity: 1, field: 1, event, created, value: Some(value) }
}

const fn tombstone(event: i64, created: Option<i64>) -> TestRow {
    TestRow { entity: 1, field: 1, event, created, value: None }
}

async fn put(store: &impl OnlineStore, row: TestRow) -> PutOutcome {
    let outcomes = store.put(&[row.put()], NEVER).await.unwrap();
    assert_eq!(outcomes.len(), 1);
    outcomes[0]
}

/// The stored bytes of one cell.
pub async fn stored(store: &impl OnlineStore, entity: i64, field: u32) -> Option<Bytes> {
    let mut plan = ReadPlan::default();
    plan.push(key(entity), &[FieldNumber(field)]);
    let mut cells = Cells::default();
    store.read(&plan, NEVER, &mut cells).await.unwrap();
    match cells.cell(0) {
        Cell::Row(row) => Some(Bytes::copy_from_slice(row)),
        Cell::Absent => None,
        Cell::Failed => unreachable!("the store failed one cell"),
    }
}

/// Every cell of the store, by scanning it in pages of two.
pub async fn everything(store: &impl OnlineStore) -> Vec<(EntityKey, FieldNumber, Bytes)> {
    let (mut cells, mut from) = (Vec::new(), None);
    loop {
        let page = store.scan(from.as_ref(), 2, NEVER).await.unwrap();
        cells.extend(page.cells.into_iter().map(|cell| (cell.key, cell.field, cell.row)));
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    cells.sort();
    cells.dedup();
    cells
}

/// Cells come in the plan's order, an absent row is an absent cell, a key asked twice is answered twice.
pub async fn a_read_answers_every_cell_in_the_plans_order(store: &impl OnlineStore) {
    let rows =
        [value(1, None, 10), TestRow { field: 2, ..value(1, None, 20) }, TestRow { entity: 2, ..value(1, None, 30) }];
    store.put(&rows.map(TestRow::put), NEVER).await.unwrap();
    let mut plan = ReadPlan::default();
    plan.push(key(2), &[FieldNumber(1), FieldNumber(9)]);
    plan.push(key(1), &[FieldNumber(2), FieldNumber(1)]);
    plan.push(key(3), &[FieldNumber(1)]);
    plan.push(key(2), &[FieldNumber(1)]);
    plan.push(key(1), &[]);
    let mut cells = Cells::default();
    cells.push_failed();
    store.read(&plan, NEVER, &mut cells).await.unwrap();
    let [first, second, third] = rows.map(|row| row.put().row);
    let expected =
        [Cell::Row(&third), Cell::Absent, Cell::Row(&second), Cell::Row(&first), Cell::Absent, Cell::Row(&third)];
    assert_eq!(cells.iter().collect::<Vec<_>>(), expected);
}

/// An empty plan and an empty batch are answered.
pub async fn nothing_asked_is_nothing_answered(store: &impl OnlineStore) {
    let mut cells = Cells::default();
    cells.push_absent();
    store.read(&ReadPlan::default(), NEVER, &mut cells).await.unwrap();
    assert!(cells.is_empty());
    assert_eq!(store.put(&[], NEVER).await.unwrap(), []);
    assert_eq!(store.erase(&[], NEVER).await.unwrap(), 0);
    assert_eq!(store.remove(&[], NEVER).await.unwrap(), 0);
    assert_eq!(everything(store).await, []);
}

/// A row with a smaller stamp is `Older` and changes nothing, negative times included.
pub async fn an_older_row_never_replaces_a_newer_one(store: &impl OnlineStore) {
    for (newer, older) in [(-1, -2), (0, -1), (1_384_516_800_000_000, 1_384_516_799_999_999)] {
        let newer = TestRow { entity: newer, ..value(newer, None, 4) };
        let older = TestRow { entity: newer.entity, ..value(older, Some(i64::MAX), 9) };
        assert_eq!(put(store, newer).await, PutOutcome::Written);
        assert_eq!(put(store, older).await, PutOutcome::Older);
        assert_eq!(stored(store, newer.entity, 1).await, Some(newer.put().row));
    }
}

/// Case 29: with equal event times the later created time wins; none loses to any.
pub async fn case_29_equal_event_later_created_overwrites(store: &impl OnlineStore) {
    assert_eq!(put(store, value(5, None, 3)).await, PutOutcome::Written);
    assert_eq!(put(store, value(5, Some(-7), 2)).await, PutOutcome::Written);
    assert_eq!(put(store, value(5, Some(8), 1)).await, PutOutcome::Written);
    assert_eq!(put(store, value(5, Some(7), 9)).await, PutOutcome::Older);
    assert_eq!(put(store, value(5, None, 9)).await, PutOutcome::Older);
    assert_eq!(stored(store, 1, 1).await, Some(value(5, Some(8), 1).put().row));
}

/// The same row again is `Equal`.
pub async fn an_equal_row_changes_nothing(store: &impl OnlineStore) {
    assert_eq!(put(store, value(5, Some(6), 7)).await, PutOutcome::Written);
    assert_eq!(put(store, value(5, Some(6), 7)).await, PutOutcome::Equal);
}

/// Rows of equal times are ordered by their content, whichever came first.
pub async fn a_full_tie_is_decided_by_content(store: &impl OnlineStore) {
    let (one, two) = (value(5, Some(6), 1), value(5, Some(6), 2));
    let greater = if one.put().row > two.put().row { one } else { two };
    for (entity, order) in [(1, [one, two]), (2, [two, one])] {
        for row in order {
            put(store, TestRow { entity, ..row }).await;
        }
        assert_eq!(stored(store, entity, 1).await, Some(TestRow { entity, ..greater }.put().row));
    }
}

/// Case 10: a tombstone beats a value of equal times, in both orders; a later row revives.
pub async fn case_10_a_tombstone_beats_a_value_of_equal_times(store: &impl OnlineStore) {
    assert_eq!(put(store, value(5, None, i64::MAX)).await, PutOutcome::Written);
    assert_eq!(put(store, tombstone(5, None)).await, PutOutcome::Written);
    assert_eq!(put(store, value(5, None, 1)).await, PutOutcome::Older);
    assert_eq!(put(store, value(6, None, 1)).await, PutOutcome::Written);
    assert_eq!(put(store, tombstone(4, None)).await, PutOutcome::Older);
}

/// Case 28: one batch with several rows of one cell ends with the greatest, each row answered as if put by itself.
pub async fn case_28_rows_of_one_cell_in_one_batch_act_in_order(store: &impl OnlineStore) {
    let batch = [value(3, None, 3), value(2, None, 2), value(3, None, 3), value(4, None, 4)].map(TestRow::put);
    let outcomes = store.put(&batch, NEVER).await.unwrap();
    let expected = [PutOutcome::Written, PutOutcome::Older, PutOutcome::Equal, PutOutcome::Written];
    assert_eq!(outcomes, expected);
    assert_eq!(stored(store, 1, 1).await, Some(value(4, None, 4).put().row));
}

/// Rows of several fields of one key are judged each alone, whatever becomes of those beside them.
pub async fn fields_of_one_key_in_one_batch_are_judged_each_alone(store: &impl OnlineStore) {
    let cell = |field, event| TestRow { field, ..value(event, None, event) }.put();
    // another field's row under this field: its check is another
    let foreign = Put { field: FieldNumber(4), ..cell(5, 9) };
    store.put(&[cell(2, 5), cell(3, 5), foreign, cell(6, 1)], NEVER).await.unwrap();
    let batch = [cell(1, 5), cell(2, 4), cell(3, 5), cell(4, 1), cell(5, 5), cell(6, 2)];
    let outcomes = store.put(&batch, NEVER).await.unwrap();
    let expected = [
        PutOutcome::Written,
        PutOutcome::Older,
        PutOutcome::Equal,
        PutOutcome::WrittenOverForeign,
        PutOutcome::Written,
        PutOutcome::Written,
    ];
    assert_eq!(outcomes, expected);
    for (field, event) in [(1, 5), (2, 5), (3, 5), (4, 1), (5, 5), (6, 2)] {
        assert_eq!(stored(store, 1, field).await, Some(cell(field, event).row), "field {field}");
    }
    assert_eq!(store.put(&batch[1..3], NEVER).await.unwrap(), [PutOutcome::Older, PutOutcome::Equal]);
}

/// A batch acts as its rows put one after the other: any cells, any order, the same cell several times.
pub async fn a_batch_of_any_rows_acts_row_by_row(store: &impl OnlineStore) {
    let (mut random, mut model) = (StdRng::seed_from_u64(28), BTreeMap::<_, Bytes>::new());
    for round in 0..200 {
        let mut batch = (0..random.random_range(1..40)).map(|_| any_put(&mut random)).collect::<Vec<_>>();
        if round % 2 == 0 {
            batch.sort_by(|one, other| one.key.cmp(&other.key));
        }
        let expected = batch.iter().map(|put| {
            let cell = (put.key.clone(), put.field);
            let decision = decide(&put.row, model.get(&cell).map(|row| &row[..]));
            if matches!(decision, Decision::Write | Decision::WriteOverForeign) {
                model.insert(cell, put.row.clone());
            }
            PutOutcome::from(decision)
        });
        let expected = expected.collect::<Vec<_>>();
        assert_eq!(store.put(&batch, NEVER).await.unwrap(), expected, "round {round}: {batch:?}");
    }
    let model = model.into_iter().map(|((key, field), row)| (key, field, row)).collect::<Vec<_>>();
    assert_eq!(everything(store).await, model);
}

/// Of few cells and times, so that rows meet; now and then another field's row.
fn any_put(random: &mut StdRng) -> Put {
    let row = TestRow {
        entity: random.random_range(1..=3),
        field: random.random_range(1..=12),
        event: random.random_range(-1..=1),
        created: random.random_bool(0.5).then(|| random.random_range(0..=1)),
        value: random.random_bool(0.9).then(|| random.random_range(0..=1)),
    };
    let foreign = random.random_bool(0.05).then(|| TestRow { field: row.field + 1, ..row }.put().row);
    let put = row.put();
    Put { row: foreign.unwrap_or_else(|| put.row.clone()), ..put }
}

/// A stored row with another check gives way whatever its stamp, and is counted.
pub async fn a_row_of_another_cell_gives_way(store: &impl OnlineStore) {
    let foreign = Put { key: key(1), ..TestRow { entity: 2, ..value(9, None, 9) }.put() };
    assert_eq!(store.put(&[foreign], NEVER).await.unwrap(), [PutOutcome::Written]);
    assert_eq!(put(store, value(1, None, 1)).await, PutOutcome::WrittenOverForeign);
    assert_eq!(stored(store, 1, 1).await, Some(value(1, None, 1).put().row));
}

/// Rows that can never be stored are rejected alone.
pub async fn a_row_that_cannot_be_stored_is_rejected_alone(store: &impl OnlineStore) {
    let good = value(1, None, 1).put();
    let mut long = good.row.to_vec();
    long.resize(MAX_ROW_BYTES + 1, 0);
    let too_large = Put { row: long.into(), ..good.clone() };
    let no_row = Put { row: Bytes::from_static(b"short"), ..good.clone() };
    let outcomes = store.put(&[too_large, good, no_row], NEVER).await.unwrap();
    let expected =
        [PutOutcome::Rejected(Rejection::RowTooLarge), PutOutcome::Written, PutOutcome::Rejected(Rejection::NotARow)];
    assert_eq!(outcomes, expected);
}

/// Keys and rows are bytes: zeros, newlines and everything else survive.
pub async fn any_bytes_survive(store: &impl OnlineStore) {
    use tidegate_catalog::{KeySetNumber, KeyValue, ProjectNumber};
    let mut row = value(1, None, 1).put().row.to_vec();
    row.extend((0..=255).cycle().take(70_000));
    let all = (0..=255).collect::<Vec<u8>>();
    for bytes in [&b""[..], b"\0", b"\r\n", b"*1\r\n$4\r\nPING\r\n", &all, &[0xff; 8000]] {
        let values = [KeyValue::Bytes(bytes)];
        let key = EntityKey::encode(ProjectNumber(1), KeySetNumber(2), values, &mut bytes::BytesMut::new()).unwrap();
        let put = Put { key: key.clone(), field: FieldNumber(200), row: row.clone().into() };
        assert_eq!(store.put(&[put], NEVER).await.unwrap(), [PutOutcome::Written]);
        let mut plan = ReadPlan::default();
        plan.push(key, &[FieldNumber(200)]);
        let mut cells = Cells::default();
        store.read(&plan, NEVER, &mut cells).await.unwrap();
        assert_eq!(cells.cell(0), Cell::Row(&row));
    }
}

/// `erase` deletes every cell of an entity for good; a later put of any stamp is written again.
pub async fn erase_deletes_the_whole_entity(store: &impl OnlineStore) {
    let rows =
        [value(5, None, 1), TestRow { field: 2, ..tombstone(6, None) }, TestRow { entity: 2, ..value(5, None, 1) }];
    store.put(&rows.map(TestRow::put), NEVER).await.unwrap();
    assert_eq!(store.erase(&[key(1), key(7)], NEVER).await.unwrap(), 2);
    assert_eq!(stored(store, 1, 1).await, None);
    assert_eq!(stored(store, 1, 2).await, None);
    assert_eq!(stored(store, 2, 1).await, Some(rows[2].put().row));
    assert_eq!(put(store, value(1, None, 1)).await, PutOutcome::Written);
}

/// `remove` takes only cells that still hold the row given.
pub async fn remove_takes_only_what_is_still_there(store: &impl OnlineStore) {
    let old = [value(5, None, 1).put(), TestRow { entity: 2, ..value(5, None, 1) }.put()];
    store.put(&old, NEVER).await.unwrap();
    put(store, value(6, None, 2)).await;
    assert_eq!(store.remove(&old, NEVER).await.unwrap(), 1);
    assert_eq!(stored(store, 1, 1).await, Some(value(6, None, 2).put().row));
    assert_eq!(stored(store, 2, 1).await, None);
}

/// A scan in small pages answers every cell.
pub async fn a_scan_answers_every_cell(store: &impl OnlineStore) {
    let rows = (0..23_i64).flat_map(|entity| [1, 300].map(|field| TestRow { entity, field, ..value(entity, None, 1) }));
    let puts = rows.map(TestRow::put).collect::<Vec<_>>();
    store.put(&puts, NEVER).await.unwrap();
    store.raise_marks(&StoreMarks { registry_id: Some("r".into()), ..StoreMarks::default() }, NEVER).await.unwrap();
    let mut expected = puts.into_iter().map(|put| (put.key, put.field, put.row)).collect::<Vec<_>>();
    expected.sort();
    assert_eq!(everything(store).await, expected);
}

/// Each mark is a maximum of its own; the first registry to write is the store's.
pub async fn marks_only_rise(store: &impl OnlineStore) {
    assert_eq!(store.marks(NEVER).await.unwrap(), StoreMarks::default());
    let first = StoreMarks {
        registry_id: Some("a".into()),
        version: 3,
        project: 5,
        key_set: 1,
        field: 200,
        event_clock: Micros(-5),
    };
    assert_eq!(store.raise_marks(&first, NEVER).await.unwrap(), first);
    let second = StoreMarks { version: 4, project: 2, key_set: 9, event_clock: Micros(-9), ..first.clone() };
    let raised = store.raise_marks(&second, NEVER).await.unwrap();
    assert_eq!(raised, StoreMarks { version: 4, key_set: 9, ..first });
    assert_eq!(store.marks(NEVER).await.unwrap(), raised);
    let nameless = StoreMarks { registry_id: None, field: 201, ..raised.clone() };
    assert_eq!(store.raise_marks(&nameless, NEVER).await.unwrap(), StoreMarks { field: 201, ..raised });
}

/// Another registry, or an older one, is refused with the way out, and changes nothing; `adopt` takes the store over.
pub async fn another_registry_is_refused_until_it_adopts(store: &impl OnlineStore) {
    let ours = StoreMarks { registry_id: Some("a".into()), version: 7, field: 4, ..StoreMarks::default() };
    store.raise_marks(&ours, NEVER).await.unwrap();
    let other = StoreMarks { registry_id: Some("b".into()), version: 9, field: 9, ..StoreMarks::default() };
    let refused = store.raise_marks(&other, NEVER).await.unwrap_err();
    assert!(matches!(refused, Error::OtherRegistry { .. }) && refused.to_string().contains("tidegate store adopt"));
    let behind = StoreMarks { version: 6, field: 9, ..ours.clone() };
    let refused = store.raise_marks(&behind, NEVER).await.unwrap_err();
    assert!(matches!(refused, Error::RegistryBehind { store: 7, ours: 6 }), "{refused}");
    assert!(refused.to_string().contains("tidegate store adopt"));
    assert_eq!(store.marks(NEVER).await.unwrap(), ours);
    let adopted = store.adopt(&StoreMarks { version: 2, ..other }, NEVER).await.unwrap();
    assert_eq!(adopted, StoreMarks { registry_id: Some("b".into()), version: 7, field: 9, ..StoreMarks::default() });
}

/// Under a key that is not an entity key a scan sees nothing, and goes on.
pub async fn a_scan_passes_over_keys_that_are_not_entity_keys(store: &impl OnlineStore) {
    let mine = TestRow { entity: 5, ..value(1, None, 1) }.put();
    let foreign = |key: &'static [u8]| Put { key: EntityKey::from_stored(Bytes::from_static(key)), ..mine.clone() };
    let mut batch = [&b"user:1"[..], b"\0", b"\xff\xff\xff\xff\xff\xff", b"\x01", b"\x01\x01\x07\x7f", b"\x80\x00\x01"]
        .map(foreign)
        .to_vec();
    batch.push(mine.clone());
    store.put(&batch, NEVER).await.unwrap();
    assert_eq!(everything(store).await, [(mine.key, mine.field, mine.row)]);
}

/// A deadline that is over is `Late`, at once, for every operation; a read leaves no cells, a write is not done.
pub async fn a_deadline_that_is_over_is_late(store: &impl OnlineStore, over: Deadline) {
    fn assert_late<T: std::fmt::Debug>(operation: &str, answer: Result<T, Error>) {
        assert!(matches!(answer, Err(Error::Late { .. })), "{operation}: {answer:?}");
    }
    let stands = value(1, None, 1).put();
    store.put(std::slice::from_ref(&stands), NEVER).await.unwrap();
    let marks = StoreMarks { registry_id: Some("a".into()), version: 1, ..StoreMarks::default() };
    store.raise_marks(&marks, NEVER).await.unwrap();
    let higher = StoreMarks { version: 2, ..marks.clone() };
    let mut plan = ReadPlan::default();
    plan.push(key(1), &[FieldNumber(1)]);
    let mut cells = Cells::default();
    cells.push_absent();
    assert_late("read", store.read(&plan, over, &mut cells).await);
    assert!(cells.is_empty());
    assert_late("put", store.put(&[value(2, None, 2).put()], over).await);
    assert_late("erase", store.erase(&[key(1)], over).await);
    assert_late("remove", store.remove(std::slice::from_ref(&stands), over).await);
    assert_late("scan", store.scan(None, 10, over).await);
    assert_late("marks", store.marks(over).await);
    assert_late("raise_marks", store.raise_marks(&higher, over).await);
    assert_late("adopt", store.adopt(&higher, over).await);
    assert_late("ready", store.ready(over).await);
    assert_eq!(everything(store).await, [(stands.key, stands.field, stands.row)]);
    assert_eq!(store.marks(NEVER).await.unwrap(), marks);
}

/// A read whose rows take more than the limit is refused as a whole; the same rows in two reads are answered.
pub async fn a_read_of_too_many_bytes_is_refused(store: &impl OnlineStore) {
    let mut row = value(1, None, 1).put().row.to_vec();
    row.resize(MAX_ROW_BYTES, 7);
    let put = Put { row: row.into(), ..value(1, None, 1).put() };
    assert_eq!(store.put(std::slice::from_ref(&put), NEVER).await.unwrap(), [PutOutcome::Written]);
    let most = MAX_READ_BYTES / MAX_ROW_BYTES;
    let mut plan = ReadPlan::default();
    (0..most).for_each(|_| plan.push(key(1), &[FieldNumber(1)]));
    let mut cells = Cells::default();
    store.read(&plan, NEVER, &mut cells).await.unwrap();
    assert!(cells.len() == most && cells.iter().all(|cell| cell == Cell::Row(&put.row)));
    plan.push(key(1), &[FieldNumber(1)]);
    let refused = store.read(&plan, NEVER, &mut cells).await.unwrap_err();
    assert!(matches!(refused, Error::TooMuch { limit_bytes: MAX_READ_BYTES }), "{refused}");
    assert_eq!(refused.code(), ErrorCode::InvalidArgument);
    assert!(cells.is_empty());
}

/// A plan of many more cells than one round trip asks for is answered in its order.
pub async fn a_read_of_many_cells_is_answered_in_the_plans_order(store: &impl OnlineStore) {
    let rows = (0..1500_i64).map(|entity| TestRow { entity, ..value(entity, None, 1) }.put()).collect::<Vec<_>>();
    store.put(&rows, NEVER).await.unwrap();
    let mut plan = ReadPlan::default();
    for entity in (0..1500).rev() {
        plan.push(key(entity), &[FieldNumber(2), FieldNumber(1)]);
        plan.push(key(entity), &[]);
    }
    let mut cells = Cells::default();
    store.read(&plan, NEVER, &mut cells).await.unwrap();
    let expected = rows.iter().rev().flat_map(|put| [Cell::Absent, Cell::Row(&put.row)]).collect::<Vec<_>>();
    assert_eq!(cells.iter().collect::<Vec<_>>(), expected);
}

/// A fresh store is ready.
pub async fn a_store_that_works_is_ready(store: &impl OnlineStore) {
    store.ready(NEVER).await.unwrap();
}

/// Makes one test of each promise. `$store` is an async function that makes a fresh store (and whatever keeps it alive) as
/// `(store, guard)`.
#[macro_export]
macro_rules! conformance_suite {
    ($store:path) => {
        $crate::conformance_suite!(@each $store:
            a_read_answers_every_cell_in_the_plans_order a_read_of_many_cells_is_answered_in_the_plans_order
            a_read_of_too_many_bytes_is_refused nothing_asked_is_nothing_answered
            an_older_row_never_replaces_a_newer_one case_29_equal_event_later_created_overwrites
            an_equal_row_changes_nothing a_full_tie_is_decided_by_content
            case_10_a_tombstone_beats_a_value_of_equal_times case_28_rows_of_one_cell_in_one_batch_act_in_order
            fields_of_one_key_in_one_batch_are_judged_each_alone a_batch_of_any_rows_acts_row_by_row
            a_row_of_another_cell_gives_way a_row_that_cannot_be_stored_is_rejected_alone any_bytes_survive
            erase_deletes_the_whole_entity remove_takes_only_what_is_still_there a_scan_answers_every_cell
            a_scan_passes_over_keys_that_are_not_entity_keys marks_only_rise another_registry_is_refused_until_it_adopts a_store_that_works_is_ready
        );

        $crate::conformance_suite!(@racing $store:
            readers_see_a_row_whole_or_not_at_all a_scan_beside_writers_gives_every_cell_that_stood_through_it
            a_dropped_put_may_be_repeated a_dropped_read_leaves_no_trace
        );

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn each_mark_is_a_maximum_of_its_own_under_racing_writers() {
            let (store, _guard) = $store().await;
            let writers = (0..8).map(|_| store.clone()).collect();
            $crate::conformance::each_mark_is_a_maximum_of_its_own_under_racing_writers(writers).await;
        }

        #[tokio::test]
        async fn a_deadline_that_is_over_is_late() {
            let (store, _guard) = $store().await;
            let over = tidegate_catalog::Deadline::after(Default::default(), std::time::Duration::ZERO);
            $crate::conformance::a_deadline_that_is_over_is_late(&store, over).await;
        }
    };
    (@each $store:path: $($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let (store, _guard) = $store().await;
                $crate::conformance::$promise(&store).await;
            }
        )*
    };
    (@racing $store:path: $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $promise() {
                let (store, _guard) = $store().await;
                $crate::conformance::$promise(store).await;
            }
        )*
    };
}
