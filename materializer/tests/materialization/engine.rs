//! Through the query engine: Parquet files on disk, and the views of the flights example.

use std::{path::Path, sync::Arc};

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::parquet::arrow::ArrowWriter;
use tidegate_catalog::{
    Definitions, EntityKey, FieldNumber, Micros, RowLayout, RowRef,
    clock::ManualClock,
    row::RowError,
    yaml::{SourceText, load},
};
use tidegate_control::{Breaking, Facts, Registry, RunFilter};
use tidegate_materializer::{
    Config, Parts, Report, Request, Silent, VerifyReport, VerifyRequest, ViewOutcome, ViewReport,
    counts::RejectReason,
    verify,
    verify::{KeyChoice, Reason},
};
use tidegate_offline::{Engine, EngineConfig};
use tidegate_store::{EmbeddedStore, testing::Faulty};
use tokio_util::sync::CancellationToken;

use crate::world::{dump, materialized, open_store};

/// A project whose views the engine computes.
struct Computed {
    folder: tempfile::TempDir,
    store: Faulty<EmbeddedStore>,
    registry: Registry,
    clock: Arc<ManualClock>,
    engine: Engine,
    config: Config,
}

impl Computed {
    async fn new(root: &Path, definitions: &Definitions, partitions: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Micros(0)));
        let registry = Registry::open(&folder.path().join("registry.db"), Arc::clone(&clock) as _).await.unwrap();
        let plan = tidegate_control::plan(None, definitions, &Facts::default());
        registry.apply(&plan, definitions, Breaking::Allowed).await.unwrap();
        let engine = EngineConfig {
            memory_bytes: 256 << 20,
            spill_folder: folder.path().to_owned(),
            partitions: Some(partitions),
        };
        Self {
            store: open_store(folder.path(), &clock),
            registry,
            clock,
            engine: Engine::new(engine, root),
            config: Config::new(folder.path().to_owned()),
            folder,
        }
    }

    /// Applies other definitions, breaking ones too.
    async fn apply(&self, definitions: &Definitions) {
        let newest = self.registry.newest().await.unwrap();
        let plan = tidegate_control::plan(newest.as_ref(), definitions, &Facts::default());
        self.registry.apply(&plan, definitions, Breaking::Allowed).await.unwrap();
    }

    /// What readers of `scores` read now: each row under the layout of the serving generation.
    async fn read(&self) -> Vec<(String, Vec<String>)> {
        let snapshot = self.registry.newest().await.unwrap().unwrap();
        let Some(serving) = snapshot.serving("scores") else { return Vec::new() };
        let types = serving.features.iter().map(|feature| feature.feature_type).collect::<Vec<_>>();
        let layout = RowLayout::new(&types);
        let cells = dump(&self.store).await.into_iter().filter(|((_, field), _)| *field == serving.field);
        let row = |((key, field), bytes): ((EntityKey, FieldNumber), bytes::Bytes)| {
            let row = RowRef::parse(&bytes, &layout, layout.cell_check(field).of(&key)).expect("a row of this layout");
            let values = (0..types.len()).map(|index| format!("{:?}", row.value(index))).collect();
            (key.parts().unwrap().values[0].to_string(), values)
        };
        cells.map(row).collect()
    }

    /// The same project, computed by an engine of other partitions from now on.
    fn repartition(&mut self, root: &Path, partitions: usize) {
        let spill_folder = self.folder.path().to_owned();
        let config = EngineConfig { memory_bytes: 256 << 20, spill_folder, partitions: Some(partitions) };
        self.engine = Engine::new(config, root);
    }

    fn parts(&self) -> Parts<'_, Faulty<EmbeddedStore>, Engine> {
        Parts {
            store: &self.store,
            rows: &self.engine,
            registry: &self.registry,
            clock: self.clock.as_ref(),
            progress: &Silent,
            config: &self.config,
        }
    }

    async fn materialize(&self, now: &str) -> Report {
        self.clock.set(Micros::parse(now).unwrap());
        let report = materialized(&Request::default(), &self.parts(), &CancellationToken::new()).await;
        assert!(report.is_complete(), "{report:#?}");
        report
    }

    /// Everything up to `end`, whatever was covered before.
    async fn whole(&self, end: i64) -> ViewReport {
        let request = Request { start: Some(Micros(-1)), end: Some(Micros(end)), ..Request::default() };
        let mut report = materialized(&request, &self.parts(), &CancellationToken::new()).await;
        assert!(report.is_complete(), "{report:#?}");
        report.views.remove(0)
    }

    async fn verify(&self) -> VerifyReport {
        let request = VerifyRequest { views: vec![], keys: KeyChoice::All };
        verify(&request, &self.parts(), &CancellationToken::new()).await.unwrap()
    }

    async fn assert_verified(&self) {
        let report = self.verify().await;
        assert!(report.is_clean(), "{report:#?}");
    }
}

fn read(file: &Path) -> SourceText {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    SourceText { path: name, text: std::fs::read_to_string(file).unwrap() }
}

/// The flights example, with only the views named.
fn flights(views: &[&str]) -> (std::path::PathBuf, Definitions) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/flights");
    let files = ["entities.yaml", "sources.yaml", "features.yaml"].map(|file| read(&root.join(file)));
    let mut definitions = load("flights", &files).expect("the example's definitions load").definitions;
    definitions.views.retain(|name, _| views.contains(&name.as_str()));
    (root, definitions)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_31_twelve_months_of_the_carriers_delays_are_one_year_byte_for_byte() {
    let whole = twelve_months_are_one_year(&["carrier_delay_24h"]).await;
    assert!(whole.views[0].counts.read > 300_000 && whole.views[0].counts.written == 16, "{whole:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_31_twelve_months_of_views_written_together_are_one_year_byte_for_byte() {
    let whole = twelve_months_are_one_year(&["aircraft", "aircraft_last_flight"]).await;
    assert!(whole.views.iter().all(|view| view.counts.written > 3_000), "{whole:?}");
}

/// Answers the report of the year.
async fn twelve_months_are_one_year(views: &[&str]) -> Report {
    let (root, definitions) = flights(views);
    let year = Computed::new(&root, &definitions, 2).await;
    let whole = year.materialize("2013-12-31T23:59:59Z").await;
    year.assert_verified().await;

    let months = Computed::new(&root, &definitions, 1).await;
    for month in 1..=12 {
        let last = month == 12;
        let now = if last { "2013-12-31T23:59:59Z".to_owned() } else { format!("2013-{:02}-01T00:00:00Z", month + 1) };
        let report = months.materialize(&now).await;
        assert_eq!(report.views[0].counts.read, whole.views[0].counts.read, "the query sees its sources whole");
    }
    months.assert_verified().await;
    assert_eq!(dump(&months.store).await, dump(&year.store).await);
    whole
}

fn write_events(file: &Path, rows: &[(&str, i64, f64, i64)]) {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("user", Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>())),
        (
            "at",
            Arc::new(rows.iter().map(|row| Some(row.1)).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
        ),
        ("score", Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Float64Array>())),
        ("visits", Arc::new(rows.iter().map(|row| Some(row.3)).collect::<Int64Array>())),
    ];
    write(file, columns);
}

fn write(file: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(file).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

const EVENTS: &str = "
kind: Entity
name: user
join_keys: [{name: user, type: string}]
---
kind: DataSource
name: events
parquet: {path: events}
---
kind: FeatureView
name: scores
entities: [user]
source: events
timestamp_field: at
features:
  - {name: score, type: float32}
  - {name: visits, type: int64}
";

fn events() -> Definitions {
    loaded(EVENTS)
}

fn loaded(text: &str) -> Definitions {
    let source = SourceText { path: "views.yaml".to_owned(), text: text.to_owned() };
    load("events", &[source]).expect("the definitions load").definitions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_files_and_rows_and_the_partitions_change_no_byte() {
    let rows = (0..4_000_i64).map(|n| (n % 300, n % 50, n)).collect::<Vec<_>>();
    let names = (0..300).map(|n| format!("u{n}")).collect::<Vec<_>>();
    let mut stored = Vec::new();
    for (backwards, files, partitions) in [(false, 1, 1), (true, 4, 4), (false, 7, 2)] {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("events")).unwrap();
        let mut ordered = rows.clone();
        if backwards {
            ordered.reverse();
        }
        for (file, rows) in ordered.chunks(rows.len().div_ceil(files)).enumerate() {
            let rows = rows.iter().map(|(user, at, n)| (names[*user as usize].as_str(), *at, *n as f64, *n));
            write_events(&root.path().join(format!("events/{file}.parquet")), &rows.collect::<Vec<_>>());
        }
        let computed = Computed::new(root.path(), &events(), partitions).await;
        let report = computed.materialize("2013-01-01").await;
        assert_eq!((report.views[0].counts.read, report.views[0].counts.written), (4_000, 300));
        computed.assert_verified().await;
        stored.push(dump(&computed.store).await);
    }
    assert!(stored.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_cannot_be_read_fails_its_view_by_name() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("events")).unwrap();
    std::fs::write(root.path().join("events/cut.parquet"), b"PAR1 and no more").unwrap();
    let computed = Computed::new(root.path(), &events(), 1).await;
    let report = materialized(&Request::default(), &computed.parts(), &CancellationToken::new()).await;
    let ViewOutcome::Failed { message, .. } = &report.views[0].outcome else { panic!("{report:?}") };
    assert!(message.contains("cut.parquet") && message.contains("events"), "{message}");
}

/// Sums of floats: not associative, so that the order of addition decides what they say.
const TOTALS: &str = r#"
kind: Entity
name: user
join_keys: [{name: user, type: string}]
---
kind: DataSource
name: events
parquet: {path: events}
---
kind: FeatureView
name: totals
entities: [user]
sql: SELECT "user", max(at) AS at, sum(score) AS wide, CAST(sum(score) AS REAL) AS narrow FROM events GROUP BY "user"
timestamp_field: at
features:
  - {name: wide, type: float64}
  - {name: narrow, type: float32}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_float_sum_whose_order_varies_is_not_reproducible_in_ledger_and_audit() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("events")).unwrap();
    // one after the other this is 1, for 1e16 + 1 is 1e16; in two halves it is 0, whichever half comes first
    for (file, score) in [1e16, 1.0, -1e16, 1.0].into_iter().enumerate() {
        write_events(&root.path().join(format!("events/{file}.parquet")), &[("a", 10, score, 0), ("b", 10, 1.0, 0)]);
    }
    let mut computed = Computed::new(root.path(), &loaded(TOTALS), 1).await;
    computed.clock.set(Micros(100));
    assert!(!computed.whole(100).await.not_reproducible);
    assert!(!computed.whole(100).await.not_reproducible, "the same order gives the same sum");
    assert!(!computed.verify().await.views[0].not_reproducible);

    computed.repartition(root.path(), 2);
    let found = computed.verify().await.views.remove(0);
    assert_eq!(found.mismatches[&Reason::ContentDiffers].keys, 1, "b's sum is exact in any order: {found:?}");
    assert!(found.not_reproducible && !found.sources_changed, "the audit sees it before the ledger: {found:?}");
    let third = computed.whole(100).await;
    assert!(third.not_reproducible, "{third:?}");
    let ledger = computed.registry.runs(&RunFilter::default()).await.unwrap();
    assert_eq!(ledger.iter().map(|run| run.not_reproducible).collect::<Vec<_>>(), [true, false, false]);
    assert!(ledger.windows(2).all(|pair| pair[0].start.sources == pair[1].start.sources), "the same files");
    computed.repartition(root.path(), 1);
    assert!(computed.verify().await.views[0].not_reproducible, "the ledger remembers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_time_is_counted_up_to_the_budget_and_the_other_rows_are_stored() {
    let root = tempfile::tempdir().unwrap();
    let (folder, text) = (root.path().join("events"), |t: &str| Some(t.to_owned()));
    std::fs::create_dir(&folder).unwrap();
    let times = [text("1970-01-01T00:00:00.000010Z"), text("soon"), text("1970-01-01 later"), None, text("")];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("user", Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e"]))),
        ("at", Arc::new(StringArray::from(times.to_vec()))),
        ("score", Arc::new(Float64Array::from(vec![1.0; 5]))),
        ("visits", Arc::new(Int64Array::from(vec![1; 5]))),
    ];
    write(&folder.join("a.parquet"), columns);
    let sql = "sql: SELECT \"user\", CAST(at AS TIMESTAMP) AS at, score, visits FROM events";
    let definitions = loaded(&EVENTS.replace("source: events", sql));
    let mut computed = Computed::new(root.path(), &definitions, 2).await;
    computed.config.error_budget_rows = 3;
    computed.clock.set(Micros(100));
    let counts = computed.whole(100).await.counts;
    assert_eq!((counts.read, counts.written, counts.null_time), (5, 1, 1), "{counts:?}");
    let rejected = &counts.rejected[&RejectReason::WrongType];
    assert_eq!((rejected.rows, rejected.examples[0].key.as_str()), (3, "\"b\""));
    assert_eq!(rejected.examples[0].why, "column \"at\" cannot be read as a time: \"soon\"");
    computed.assert_verified().await;

    computed.config.error_budget_rows = 2;
    let request = Request { start: Some(Micros(-1)), ..Request::default() };
    let report = materialized(&request, &computed.parts(), &CancellationToken::new()).await;
    let ViewOutcome::Failed { message, .. } = &report.views[0].outcome else { panic!("{report:?}") };
    assert!(
        message.starts_with("3 rows are bad, the budget is 2; the first: key \"b\" - column \"at\" cannot"),
        "{message}"
    );
}

/// `scores` with the same names and other types: every stored byte of the old would be a wrong value of the new.
fn retyped() -> Definitions {
    let sql = "sql: SELECT \"user\", at, CAST(visits AS DOUBLE) AS score, CAST(score AS VARCHAR) AS visits FROM events";
    let types = [("{name: score, type: float32}", "{name: score, type: float64}"), ("type: int64}", "type: string}")];
    loaded(&types.iter().fold(EVENTS.replace("source: events", sql), |text, (old, new)| text.replace(old, new)))
}

fn seen(user: &str, values: [&str; 2]) -> (String, Vec<String>) {
    (format!("{user:?}"), values.map(str::to_owned).to_vec())
}

async fn two_scores() -> (tempfile::TempDir, Computed) {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("events")).unwrap();
    write_events(&root.path().join("events/a.parquet"), &[("a", 10, 0.5, 7), ("b", 20, 1.5, 8)]);
    let computed = Computed::new(root.path(), &events(), 1).await;
    computed.materialize("1970-01-02").await;
    (root, computed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_35_a_view_whose_types_change_never_shows_the_old_bytes_as_the_new_types() {
    let (_root, computed) = two_scores().await;
    let old = [seen("a", ["Float32(0.5)", "Int64(7)"]), seen("b", ["Float32(1.5)", "Int64(8)"])];
    assert_eq!(computed.read().await, old);
    let old_cells = dump(&computed.store).await;

    computed.apply(&retyped()).await;
    assert_eq!(computed.read().await, old, "until the move readers have the old generation and its layout");
    computed.clock.set(Micros(15));
    let half = materialized(&Request::default(), &computed.parts(), &CancellationToken::new()).await;
    assert_eq!((half.views[0].counts.written, half.moved_to_version), (1, None));
    assert_eq!(computed.read().await, old, "half of the new one is not shown");

    computed.materialize("1970-01-02").await;
    let new = [seen("a", ["Float64(7.0)", "String(\"0.5\")"]), seen("b", ["Float64(8.0)", "String(\"1.5\")"])];
    assert_eq!(computed.read().await, new);
    computed.assert_verified().await;
    // the old cells are still there, and are no rows to a reader of the new types
    let all = dump(&computed.store).await;
    assert!(old_cells.iter().all(|(cell, row)| all.get(cell) == Some(row)), "nothing was written over");
    let snapshot = computed.registry.newest().await.unwrap().unwrap();
    let serving = snapshot.serving("scores").unwrap();
    let types = serving.features.iter().map(|feature| feature.feature_type).collect::<Vec<_>>();
    let layout = RowLayout::new(&types);
    for ((key, _), row) in &old_cells {
        let check = layout.cell_check(serving.field).of(key);
        assert!(matches!(RowRef::parse(row, &layout, check), Err(RowError::OtherCheck { .. })), "{key:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_35_a_view_removed_and_made_again_with_other_types_does_not_read_the_old_bytes() {
    let (_root, computed) = two_scores().await;
    let mut without = events();
    without.views.clear();
    computed.apply(&without).await;
    computed.apply(&retyped()).await;
    assert_eq!(dump(&computed.store).await.len(), 2, "the old cells are not reclaimed yet");
    assert_eq!(computed.read().await, [], "the new view has no row before its first run");
    let report = computed.materialize("1970-01-02").await;
    assert_eq!((report.views[0].counts.written, report.views[0].counts.replaced_foreign), (2, 0));
    let new = [seen("a", ["Float64(7.0)", "String(\"0.5\")"]), seen("b", ["Float64(8.0)", "String(\"1.5\")"])];
    assert_eq!(computed.read().await, new);
    assert_eq!(dump(&computed.store).await.len(), 4, "a field number is never used again");
    computed.assert_verified().await;
}
