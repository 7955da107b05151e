//! Through the query engine: Parquet files on disk, and the views of the flights example.

use std::{path::Path, sync::Arc};

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::parquet::arrow::ArrowWriter;
use tidegate_catalog::{
    Definitions, Micros,
    clock::ManualClock,
    yaml::{SourceText, load},
};
use tidegate_control::{Breaking, Facts, Registry};
use tidegate_materializer::{
    Config, Parts, Report, Request, Silent, VerifyRequest, materialize, verify, verify::KeyChoice,
};
use tidegate_offline::{Engine, EngineConfig};
use tidegate_store::{EmbeddedStore, testing::Faulty};
use tokio_util::sync::CancellationToken;

use crate::world::{assert_adds_up, dump, open_store};

/// A project whose views the engine computes.
struct Computed {
    _folder: tempfile::TempDir,
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
            _folder: folder,
        }
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
        let report = materialize(&Request::default(), &self.parts(), &CancellationToken::new()).await.unwrap();
        assert!(report.is_complete(), "{report:#?}");
        assert_adds_up(&report);
        report
    }

    async fn assert_verified(&self) {
        let request = VerifyRequest { views: vec![], keys: KeyChoice::All };
        let report = verify(&request, &self.parts(), &CancellationToken::new()).await.unwrap();
        assert!(report.is_clean(), "{report:#?}");
    }
}

fn read(file: &Path) -> SourceText {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    SourceText { path: name, text: std::fs::read_to_string(file).unwrap() }
}

/// The flights example, with only the view named.
fn flights(view: &str) -> (std::path::PathBuf, Definitions) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/flights");
    let files = ["entities.yaml", "sources.yaml", "features.yaml"].map(|file| read(&root.join(file)));
    let mut definitions = load("flights", &files).expect("the example's definitions load").definitions;
    definitions.views.retain(|name, _| name == view);
    (root, definitions)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_31_twelve_months_of_the_carriers_delays_are_one_year_byte_for_byte() {
    let (root, definitions) = flights("carrier_delay_24h");
    let year = Computed::new(&root, &definitions, 2).await;
    let whole = year.materialize("2013-12-31T23:59:59Z").await;
    assert!(whole.views[0].counts.read > 300_000 && whole.views[0].counts.written == 16, "{whole:?}");
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
    load("events", &[SourceText { path: "events.yaml".to_owned(), text: EVENTS.to_owned() }])
        .expect("the definitions load")
        .definitions
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
    let report = materialize(&Request::default(), &computed.parts(), &CancellationToken::new()).await.unwrap();
    let tidegate_materializer::ViewOutcome::Failed { message, .. } = &report.views[0].outcome else {
        panic!("{report:?}");
    };
    assert!(message.contains("cut.parquet") && message.contains("events"), "{message}");
}
