//! Promises that only show while several callers are at work: readers, scans and writers of marks beside writers of rows.
#![expect(clippy::disallowed_methods, reason = "racing tasks of a test, each joined by its handle")]

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tidegate_catalog::{FieldNumber, Micros};
use tokio::task::JoinHandle;

use super::{NEVER, value};
use crate::{
    Cell, Cells, Error, OnlineStore, Put, PutOutcome, ReadPlan, StoreMarks,
    testing::{TestRow, key},
};

/// Each mark ends at the greatest value that an admitted writer came with; an answer is never below what was asked for, and a
/// refused writer changes nothing. `writers` are connections of their own where the backend has such.
pub async fn each_mark_is_a_maximum_of_its_own_under_racing_writers<S>(writers: Vec<S>)
where
    S: OnlineStore + 'static,
{
    let store = Arc::new(writers);
    let tasks = (0..store.len()).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(29 + writer as u64);
            let (mut admitted, mut refused) = (Vec::new(), 0);
            for step in 0..60_u64 {
                let to = StoreMarks {
                    registry_id: Some("r".into()),
                    // writers drift apart, so that some come with an old version
                    version: step / 8,
                    project: random.random_range(0..1000),
                    key_set: random.random_range(0..1000),
                    field: random.random_range(0..100_000),
                    event_clock: Micros(random.random_range(-1_000_000..1_000_000)),
                };
                match store[writer].raise_marks(&to, NEVER).await {
                    Ok(stands) => {
                        assert_eq!(stands.raised(&to), stands, "writer {writer}, step {step}: less than asked for");
                        admitted.push(to);
                    }
                    Err(Error::RegistryBehind { ours, .. }) if ours == to.version => refused += 1,
                    Err(error) => unreachable!("writer {writer}, step {step}: {error}"),
                }
            }
            (admitted, refused)
        })
    });
    let mut expected = StoreMarks::default();
    let mut admitted = 0;
    for task in tasks.collect::<Vec<_>>() {
        let (marks, refused) = task.await.unwrap();
        assert_eq!(marks.len() + refused, 60);
        admitted += marks.len();
        expected = marks.iter().fold(expected, |all, mark| all.raised(mark));
    }
    assert!(admitted > 60, "only {admitted} writers were admitted: nothing raced");
    assert_eq!(store[0].marks(NEVER).await.unwrap(), expected);
}

/// A row whose bytes behind the header all say which row it is, and whose length does too.
fn striped(entity: i64, event: i64) -> Put {
    let row = TestRow { entity, event, ..value(0, None, 0) }.put();
    let mut bytes = row.row.to_vec();
    bytes.extend(std::iter::repeat_n((event % 251) as u8, stripes(event)));
    Put { row: bytes.into(), ..row }
}

const fn stripes(event: i64) -> usize {
    (event % 5 * 4001) as usize
}

/// Which row it is; refuses one that is put together from several.
fn event_of(row: &[u8]) -> i64 {
    let (times, _) = row.split_first_chunk::<8>().unwrap();
    let event = (u64::from_be_bytes(*times) ^ (1 << 63)).cast_signed();
    let whole = striped(1, event).row.len();
    assert_eq!(row.len(), whole, "row {event} is torn: its length is another's");
    let stripes = row.split_at(whole - stripes(event)).1;
    assert!(stripes.iter().all(|byte| i64::from(*byte) == event % 251), "row {event} is torn");
    event
}

/// While writers overwrite rows of all lengths, each read gives every cell one of the rows that were put, whole, and never an
/// older one than a read before it.
pub async fn readers_see_a_row_whole_or_not_at_all<S>(store: S)
where
    S: OnlineStore + Clone + 'static,
{
    const ENTITIES: i64 = 3;
    const TURNS: usize = 40;
    let (seen, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let readers = (0..2).map(|_| {
        let (store, seen, over) = (store.clone(), Arc::clone(&seen), Arc::clone(&over));
        tokio::spawn(async move {
            let mut plan = ReadPlan::default();
            (0..ENTITIES).for_each(|entity| plan.push(key(entity), &[FieldNumber(1)]));
            let (mut cells, mut newest) = (Cells::default(), [None; ENTITIES as usize]);
            while !over.load(Ordering::Relaxed) {
                store.read(&plan, NEVER, &mut cells).await.unwrap();
                for (cell, newest) in cells.iter().zip(&mut newest) {
                    let event = match cell {
                        Cell::Absent => None,
                        Cell::Row(row) => Some(event_of(row)),
                        Cell::Failed => unreachable!("the store failed one cell"),
                    };
                    assert!(event >= *newest, "a reader saw {event:?} after {newest:?}");
                    if event > *newest {
                        seen.fetch_add(1, Ordering::Relaxed);
                        *newest = event;
                    }
                }
            }
        })
    });
    let readers: Vec<JoinHandle<()>> = readers.collect();
    let mut event = 0;
    // as long as it takes until the readers have seen rows change under them
    while seen.load(Ordering::Relaxed) < TURNS && !readers.iter().any(JoinHandle::is_finished) {
        event += 1;
        assert!(event < 100_000, "the readers saw {seen:?} changes");
        let writers = [0, 1].map(|half| {
            let (store, event) = (store.clone(), event * 2 + half);
            tokio::spawn(async move {
                let batch = (0..ENTITIES).map(|entity| striped(entity, event)).collect::<Vec<_>>();
                store.put(&batch, NEVER).await.unwrap()
            })
        });
        for writer in writers {
            writer.await.unwrap();
        }
    }
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}

/// A scan answers every cell that stood from its begin to its end, while others come, go and change.
pub async fn a_scan_beside_writers_gives_every_cell_that_stood_through_it<S>(store: S)
where
    S: OnlineStore + Clone + 'static,
{
    const STANDING: i64 = 300;
    const COMING: i64 = 2000;
    let standing = (0..STANDING).map(|entity| TestRow { entity, ..value(1, None, 1) }.put()).collect::<Vec<_>>();
    store.put(&standing, NEVER).await.unwrap();
    let expected = standing.iter().map(|put| put.key.clone()).collect::<BTreeSet<_>>();
    let (turns, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let churn = tokio::spawn({
        let (store, turns, over) = (store.clone(), Arc::clone(&turns), Arc::clone(&over));
        async move {
            for event in 2.. {
                let row = |entity| TestRow { entity, ..value(event, None, 2) }.put();
                // the standing cells' rows change, and enough others come and go that the tables grow and shrink
                let batch = (0..STANDING).step_by(7).chain(STANDING..STANDING + COMING).map(row).collect::<Vec<_>>();
                store.put(&batch, NEVER).await.unwrap();
                let gone = (STANDING..STANDING + COMING).map(key).collect::<Vec<_>>();
                store.erase(&gone, NEVER).await.unwrap();
                turns.fetch_add(1, Ordering::Relaxed);
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
    });
    let mut scans = 0;
    // at least three scans, and as many as it takes until rows have come and gone beside them
    while (scans < 3 || turns.load(Ordering::Relaxed) < 3) && !churn.is_finished() {
        scans += 1;
        assert!(scans < 10_000, "only {turns:?} turns beside {scans} scans");
        let (mut found, mut from) = (BTreeSet::new(), None);
        loop {
            let page = store.scan(from.as_ref(), 50, NEVER).await.unwrap();
            found.extend(page.cells.into_iter().map(|cell| cell.key));
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        let missed = expected.difference(&found).count();
        assert_eq!(missed, 0, "scan {scans} passed over {missed} of the {STANDING} cells that stood");
    }
    over.store(true, Ordering::Relaxed);
    churn.await.unwrap();
}

/// A put whose caller goes away, at whatever moment, may or may not write; putting it again ends as if it had been put once,
/// and calls after it get their own answers.
pub async fn a_dropped_put_may_be_repeated<S>(store: S)
where
    S: OnlineStore + Clone + 'static,
{
    for turns in 0..60_usize {
        let event = turns as i64 + 1;
        let batch = (0..4_i64).map(|entity| TestRow { entity, ..value(event, None, event) }.put()).collect::<Vec<_>>();
        let answered = dropped_after(turns % 12, store.put(&batch, NEVER)).await;
        let outcomes = store.put(&batch, NEVER).await.unwrap();
        let again = |outcome: &PutOutcome| matches!(outcome, PutOutcome::Written | PutOutcome::Equal);
        assert!(outcomes.iter().all(again), "dropped after {turns}: {outcomes:?}");
        if answered.is_some() {
            assert_eq!(outcomes, [PutOutcome::Equal; 4], "an answered put was not there");
        }
        assert_rows(&store, &batch).await;
        assert_eq!(store.put(&batch, NEVER).await.unwrap(), [PutOutcome::Equal; 4]);
    }
}

/// A read whose caller goes away, at whatever moment, changes nothing, and the reads after it get their own answers.
pub async fn a_dropped_read_leaves_no_trace<S>(store: S)
where
    S: OnlineStore + Clone + 'static,
{
    let rows = (0..40_i64).map(|entity| TestRow { entity, ..value(entity, None, entity) }.put()).collect::<Vec<_>>();
    store.put(&rows, NEVER).await.unwrap();
    for turns in 0..60_usize {
        let (mine, others) = rows.split_at(1 + turns % 30);
        let plan = plan_of(others);
        let mut cells = Cells::default();
        drop(dropped_after(turns % 12, store.read(&plan, NEVER, &mut cells)).await);
        assert_rows(&store, mine).await;
        // the same cells again, now to the end, into the memory that the dropped read left
        store.read(&plan, NEVER, &mut cells).await.unwrap();
        let expected = others.iter().map(|put| Cell::Row(&put.row)).collect::<Vec<_>>();
        assert_eq!(cells.iter().collect::<Vec<_>>(), expected, "dropped after {turns}");
    }
    let expected = rows.into_iter().map(|put| (put.key, put.field, put.row)).collect::<BTreeSet<_>>();
    let found: BTreeSet<(_, _, Bytes)> = super::everything(&store).await.into_iter().collect();
    assert_eq!(found, expected);
}

fn plan_of(rows: &[Put]) -> ReadPlan {
    let mut plan = ReadPlan::default();
    rows.iter().for_each(|put| plan.push(put.key.clone(), &[put.field]));
    plan
}

async fn assert_rows(store: &impl OnlineStore, rows: &[Put]) {
    let mut cells = Cells::default();
    store.read(&plan_of(rows), NEVER, &mut cells).await.unwrap();
    let expected = rows.iter().map(|put| Cell::Row(&put.row)).collect::<Vec<_>>();
    assert_eq!(cells.iter().collect::<Vec<_>>(), expected);
}

/// Lets `call` run for `turns` turns of the runtime and drops it, unless it has ended by then.
async fn dropped_after<T>(turns: usize, call: impl Future<Output = T>) -> Option<T> {
    let away = async {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        answer = call => Some(answer),
        () = away => None,
    }
}
