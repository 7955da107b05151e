//! `kill -9` of a process that writes the embedded store, at seeded random moments.
//!
//! This binary starts itself as the child (`TIDEGATE_KILL_FOLDER` is set there): it puts batches and reports each
//! acknowledged one over its standard output. The parent kills it, reopens the folder and checks that every acknowledged
//! stamp, or a greater one, is there, whole. CI runs 50 rounds; `TIDEGATE_KILL_ROUNDS=1000 cargo test -p tidegate-store
//! --test kill` runs more.
#![expect(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, clippy::print_stdout, reason = "tests")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tidegate_catalog::{Deadline, FieldNumber, RowRef, Value};
use tidegate_store::{
    EmbeddedConfig, EmbeddedStore, OnlineStore,
    conformance::stored,
    testing::{TestRow, key, steady_clock, test_layout},
};

const ENTITIES: i64 = 40;

fn main() {
    match std::env::var("TIDEGATE_KILL_FOLDER") {
        Ok(folder) => child(Path::new(&folder)),
        Err(_) => parent(),
    }
}

/// One test of a harness-less binary, in the form that test runners read.
fn parent() {
    if std::env::args().any(|argument| argument == "--list") {
        println!("every_acknowledged_row_survives_kill_9: test");
        return;
    }
    let rounds = std::env::var("TIDEGATE_KILL_ROUNDS").map_or(50, |text| text.parse().unwrap());
    let seed = 20_131_115;
    println!("\nrunning 1 test");
    let mut in_flight = 0;
    let folder = tempfile::tempdir().unwrap();
    for round in 0..rounds {
        in_flight += u32::from(kill_round(folder.path(), seed + round));
    }
    let share = f64::from(in_flight) / rounds as f64;
    assert!(share >= 0.8, "only {in_flight} of {rounds} kills landed with a batch in flight");
    println!(
        "test every_acknowledged_row_survives_kill_9 ... ok ({in_flight} of {rounds} kills with a batch in flight)"
    );
    println!("\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n");
}

/// Starts a child on the folder, kills it, checks; says whether a batch was in flight.
fn kill_round(folder: &Path, seed: u64) -> bool {
    let mut random = StdRng::seed_from_u64(seed);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env("TIDEGATE_KILL_FOLDER", folder)
        .env("TIDEGATE_KILL_SEED", seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
    std::thread::sleep(Duration::from_micros(random.random_range(15_000..120_000)));
    child.kill().unwrap();
    child.wait().unwrap();
    let lines = reader.join().unwrap();
    let (mut acknowledged, mut begun) = (BTreeMap::new(), 0);
    for line in &lines {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["begin", _] => begun += 1,
            ["ack", ref rows @ ..] => {
                begun -= 1;
                for row in rows {
                    let (entity, event) = row.split_once(':').unwrap();
                    acknowledged.insert(entity.parse::<i64>().unwrap(), event.parse::<i64>().unwrap());
                }
            }
            _ => {} // the last line may be torn
        }
    }
    check(folder, &acknowledged, seed);
    begun > 0
}

fn check(folder: &Path, acknowledged: &BTreeMap<i64, i64>, seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = EmbeddedStore::open(folder, &EmbeddedConfig::default(), steady_clock()).unwrap();
        let layout = test_layout();
        for entity in 0..ENTITIES {
            let found = stored(&store, entity, 1).await;
            let check = layout.cell_check(FieldNumber(1)).of(&key(entity));
            let event = found.map(|bytes| {
                let row = RowRef::parse(&bytes, &layout, check).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                assert_eq!(row.value(0), Value::Int64(row.stamp().event.0 * 3), "seed {seed}: a torn row");
                row.stamp().event.0
            });
            let promised = acknowledged.get(&entity).copied();
            assert!(event >= promised, "seed {seed}, entity {entity}: acknowledged {promised:?}, found {event:?}");
        }
    });
}

/// Puts growing stamps for ever, several batches at once, saying before and after each.
fn child(folder: &Path) {
    let seed = std::env::var("TIDEGATE_KILL_SEED").unwrap().parse::<u64>().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = EmbeddedStore::open(folder, &EmbeddedConfig::default(), steady_clock()).unwrap();
        // events start above those of the rounds before, which wrote the same folder
        let base = i64::try_from(seed).unwrap() * 10_000_000;
        let writers = (0..4_i64).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for step in 0.. {
                    let rows = (0..10).map(|index| {
                        let entity = (writer * 10 + index) % ENTITIES;
                        let event = base + step;
                        TestRow { entity, field: 1, event, created: None, value: Some(event * 3) }
                    });
                    let rows = rows.collect::<Vec<_>>();
                    say(&format!("begin {writer}"));
                    let puts = rows.iter().map(|row| row.put()).collect::<Vec<_>>();
                    store.put(&puts, Deadline::NEVER).await.unwrap();
                    let words = rows.iter().map(|row| format!("{}:{}", row.entity, row.event)).collect::<Vec<_>>();
                    say(&format!("ack {}", words.join(" ")));
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
    });
}

fn say(line: &str) {
    // one write a line, so that a kill cannot tear two lines into one
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}
