//! Little memory: a query spills, yields the same rows, and leaves no file behind.

use std::{fs, sync::Arc};

use arrow_array::{ArrayRef, StringArray};
use futures::TryStreamExt;

use crate::project::{Project, ROOMY, ints, sources, sql, table, times, view};

/// Less than the sort of the rows below needs, by far.
const TIGHT: usize = 16 << 20;
const ROWS: i64 = 400_000;

#[tokio::test]
async fn little_memory_spills_and_yields_the_same_rows() {
    let project = Project::new();
    let key = (0..ROWS).map(|i| format!("key-{:06}", i * 7_919 % ROWS)).collect::<Vec<_>>();
    let key: ArrayRef = Arc::new(StringArray::from(key));
    project
        .parquet("s.parquet", vec![("k", key), ("ts", times((0..ROWS).collect())), ("x", ints((0..ROWS).collect()))]);
    let definitions = sources(&[("s", "s.parquet")]);
    for text in [
        "SELECT k, ts, CAST(row_number() OVER (ORDER BY k, ts) AS BIGINT) AS x FROM s",
        "SELECT k, max(ts) AS ts, sum(x) AS x FROM s GROUP BY k",
    ] {
        let sorting = view(sql(text), "int64");
        let mut rows = Vec::new();
        // four partitions are more than so little memory can bear: the engine takes fewer
        for (memory_bytes, partitions) in [(ROOMY, 1), (TIGHT, 4)] {
            let opened = project.engine(memory_bytes, partitions).view_rows(&sorting, &definitions).await.unwrap();
            let spilled = opened.spilled.clone();
            rows.push(table(&opened.batches.try_collect::<Vec<_>>().await.unwrap()));
            assert_eq!(spilled.bytes() > 0, memory_bytes == TIGHT, "{text}: {} bytes spilled", spilled.bytes());
        }
        assert_eq!(rows[0].len(), ROWS as usize);
        assert!(rows.windows(2).all(|pair| pair[0] == pair[1]), "{text}: spilling changed a row");
    }
    let left = fs::read_dir(project.folder.path().join("spill")).unwrap();
    let left = left.flat_map(|folder| fs::read_dir(folder.unwrap().path()).into_iter().flatten()).count();
    assert_eq!(left, 0, "spilled files are left behind");
}
