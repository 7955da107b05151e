//! Racing writers: several connections, a few shared keys, overlapping batches in different orders.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tidegate_catalog::Deadline;

use super::TestRow;
use crate::{OnlineStore, conformance::stored};

/// How many writers race.
const WRITERS: usize = 4;

/// Runs `rounds` rounds from `seed`; each `store` of `writers` is a connection of its own. Every cell must end with the
/// greatest of the rows that were put into it, by bytes.
/// # Panics
/// When a cell ends with another row; the message carries the seed and the round.
#[expect(clippy::disallowed_methods, reason = "a test's tasks end with it")]
pub async fn racing_writers_end_with_the_greatest_stamp<S>(writers: [S; WRITERS], rounds: i64, seed: u64)
where
    S: OnlineStore + Clone + 'static,
{
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..rounds {
        let rows = any_rows(round, &mut random);
        let batches = writers.clone().map(|store| {
            let mut mine = rows.clone();
            mine.shuffle(&mut random);
            mine.truncate(rows.len() - rows.len() / 4);
            let left_out = rows.iter().filter(|row| !mine.contains(row)).copied().collect::<Vec<_>>();
            (store, mine, left_out)
        });
        // what one writer leaves out the next one brings, so that every row is put by somebody
        let left_out = batches.clone().map(|(_, _, left_out)| left_out);
        let tasks = batches.into_iter().enumerate().map(|(index, (store, mut mine, _))| {
            mine.extend(left_out.get((index + 1) % WRITERS).into_iter().flatten());
            tokio::spawn(async move {
                for batch in mine.chunks(3) {
                    let puts = batch.iter().map(|row| row.put()).collect::<Vec<_>>();
                    store.put(&puts, Deadline::NEVER).await.expect("the store takes rows");
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("a writer does not panic");
        }
        let mut greatest = BTreeMap::new();
        for row in &rows {
            let bytes = row.put().row;
            let best = greatest.entry((row.entity, row.field)).or_insert_with(|| bytes.clone());
            *best = bytes.max(best.clone());
        }
        for ((entity, field), row) in greatest {
            let found = stored(&writers[0], entity, field).await;
            assert_eq!(found, Some(row), "seed {seed}, round {round}, entity {entity}, field {field}");
        }
    }
}

/// Rows of 2 to 5 entities in two generations, with few enough times that ties, full ties and tombstones are common.
fn any_rows(round: i64, random: &mut StdRng) -> Vec<TestRow> {
    let entities = random.random_range(2..=5);
    (0..random.random_range(12..32))
        .map(|_| TestRow {
            entity: round * 10 + random.random_range(0..entities),
            field: random.random_range(1..=2),
            event: random.random_range(-1..=2),
            created: random.random_bool(0.7).then(|| random.random_range(0..=2)),
            value: random.random_bool(0.8).then(|| random.random_range(0..=3)),
        })
        .collect()
}
