//! Ten million rows of as many cells, in one view and in four: run by hand, in release, alone, for it reads the process's peak memory:
//! `cargo test --release -p tidegate-materializer --test materialization ten_million -- --ignored`

use std::sync::{Arc, atomic::Ordering};

use arrow_array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use futures::{StreamExt, stream};
use tidegate_catalog::{Snapshot, definitions::FeatureView};
use tidegate_materializer::{Error, OpenedView, Parts, Request, Silent, ViewSource};
use tokio_util::sync::CancellationToken;

use crate::{
    gate::Gate,
    world::{VIEW, World, definitions, materialized},
};

/// `rows` rows, each of a key of its own, made batch by batch.
struct Many {
    rows: u64,
}

const BATCH_ROWS: u64 = 8_192;

impl ViewSource for Many {
    async fn open(&self, _: &Snapshot, _: &FeatureView) -> Result<OpenedView, Error> {
        let rows = self.rows;
        let batches = stream::iter((0..rows.div_ceil(BATCH_ROWS)).map(move |batch| {
            let numbers = batch * BATCH_ROWS..rows.min((batch + 1) * BATCH_ROWS);
            let count = (numbers.end - numbers.start) as usize;
            let users = numbers.clone().map(|n| Some(format!("user-{:010}", n.wrapping_mul(7_919) % rows)));
            let columns: Vec<(&str, ArrayRef)> = vec![
                ("user", Arc::new(users.collect::<StringArray>())),
                ("event", Arc::new(TimestampMicrosecondArray::from(vec![500; count]).with_timezone("UTC"))),
                ("created", Arc::new(TimestampMicrosecondArray::new_null(count).with_timezone("UTC"))),
                ("deleted", Arc::new(BooleanArray::new_null(count))),
                ("score", Arc::new(numbers.map(|n| Some(n as f64)).collect::<Float64Array>())),
                ("name", Arc::new(StringArray::from(vec!["some forty bytes of text to fill the row"; count]))),
                ("refused", Arc::new(StringArray::new_null(count))),
            ];
            Ok(RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
                .unwrap())
        }));
        Ok(OpenedView { batches: batches.boxed(), sources: vec![], total_rows: Some(rows) })
    }
}

fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "reads the whole process's peak memory: run it alone, in release, as the module says"]
async fn ten_million_rows_of_as_many_keys_grow_memory_by_less_than_200_mb() {
    grows_by_less_than_200_mb(&[VIEW]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "reads the whole process's peak memory: run it alone, in release, as the module says"]
async fn ten_million_rows_of_four_views_written_together_grow_memory_by_less_than_200_mb() {
    grows_by_less_than_200_mb(&["a", "b", "c", "d"]).await;
}

async fn grows_by_less_than_200_mb(views: &[&str]) {
    let views = views.iter().map(|view| (*view, "SELECT * FROM events")).collect::<Vec<_>>();
    let mut world = World::with(&definitions(&views, None)).await;
    world.config = tidegate_materializer::Config::new(world.folder.path().to_owned());
    // takes every row and keeps none: what is measured is the materializer's memory alone
    let (store, rows) = (Gate::open(), Many { rows: 10_000_000 / views.len() as u64 });
    let before = peak_bytes();
    let parts = Parts {
        store: &store,
        rows: &rows,
        registry: &world.registry,
        clock: world.clock.as_ref(),
        progress: &Silent,
        config: &world.config,
    };
    let report = materialized(&Request::default(), &parts, &CancellationToken::new()).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(store.rows.load(Ordering::SeqCst), 10_000_000, "one write a cell");
    assert_eq!(store.keys.load(Ordering::SeqCst), 10_000_000 / views.len(), "rows of one key side by side");
    let grown = peak_bytes() - before;
    println!("10 M rows in {} views: peak memory grew by {} MB", views.len(), grown / 1_000_000);
    assert!(grown < 200_000_000, "{grown} bytes");
}
