//! One project in a temporary folder: a view of users' scores, the real embedded store, the real registry, rows at hand.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arrow_array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use futures::{StreamExt, stream};
use tidegate_catalog::{
    Deadline, Definitions, EntityKey, FeatureType, FieldNumber, Micros, RowLayout, RowRef, ScalarType, Snapshot, Ttl,
    Value,
    clock::ManualClock,
    definitions::{DataSource, Described, Entity, Feature, FeatureView, JoinKey, KeyType, ParquetSource, ViewQuery},
};
use tidegate_control::{Breaking, Facts, Registry, RunFilter, RunState, SourceFile};
use tidegate_materializer::{
    Config, Counts, Error, OpenedView, Parts, Progress, Rebuild, Report, Request, Silent, Step, VerifyReport,
    VerifyRequest, ViewSource, config::RetryConfig, counts::RejectReason, materialize, verify, verify::KeyChoice,
};
use tidegate_store::{EmbeddedConfig, EmbeddedStore, OnlineStore, testing::Faulty};
use tokio_util::sync::CancellationToken;

pub(crate) const VIEW: &str = "scores";

/// One row that the view yields.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) user: Option<String>,
    pub(crate) event: Option<i64>,
    pub(crate) created: Option<i64>,
    pub(crate) deleted: bool,
    pub(crate) score: Option<f64>,
    pub(crate) name: Option<String>,
}

/// A row of `user` at `event`.
pub(crate) fn row(user: &str, event: i64, score: f64) -> Row {
    Row { user: Some(user.to_owned()), event: Some(event), score: Some(score), ..Row::default() }
}

impl Row {
    pub(crate) fn created(self, created: i64) -> Self {
        Self { created: Some(created), ..self }
    }
    pub(crate) fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }
    pub(crate) fn deleted(self) -> Self {
        Self { deleted: true, ..self }
    }
    pub(crate) fn unscored(self) -> Self {
        Self { score: None, ..self }
    }
}

/// Yields the rows that a test put here, by view.
#[derive(Debug, Default)]
pub(crate) struct TestRows {
    rows: parking_lot::Mutex<BTreeMap<String, Vec<Row>>>,
    /// Rows of a batch.
    pub(crate) batch_rows: usize,
    /// Stands for the files' identity.
    pub(crate) version: parking_lot::Mutex<u64>,
    /// The view whose stream ends with an error.
    pub(crate) breaks: parking_lot::Mutex<Option<&'static str>>,
}

impl ViewSource for TestRows {
    async fn open(&self, _snapshot: &Snapshot, view: &FeatureView) -> Result<OpenedView, Error> {
        let rows = self.rows.lock().get(&view.name).cloned().unwrap_or_default();
        let mut batches = rows.chunks(self.batch_rows).map(|rows| Ok(batch(rows))).collect::<Vec<_>>();
        if self.breaks.lock().is_some_and(|breaks| breaks == view.name) {
            batches.push(Err(Error::Offline(tidegate_offline::Error::Execution {
                view: view.name.clone(),
                reason: "column \"score\": the file ends early".to_owned(),
            })));
        }
        let version = *self.version.lock();
        let source = SourceFile { path: "a".to_owned(), size_bytes: version, modified: Micros(0), rows: None };
        Ok(OpenedView {
            batches: stream::iter(batches).boxed(),
            sources: vec![source],
            total_rows: Some(rows.len() as u64),
        })
    }
}

fn batch(rows: &[Row]) -> RecordBatch {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let times = |pick: fn(&Row) -> Option<i64>| -> ArrayRef {
        Arc::new(rows.iter().map(pick).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let texts =
        |pick: fn(&Row) -> Option<&str>| -> ArrayRef { Arc::new(rows.iter().map(pick).collect::<StringArray>()) };
    let columns: Vec<(&str, DataType, ArrayRef)> = vec![
        ("user", DataType::Utf8, texts(|row| row.user.as_deref())),
        ("event", time.clone(), times(|row| row.event)),
        ("created", time, times(|row| row.created)),
        ("deleted", DataType::Boolean, Arc::new(rows.iter().map(|row| Some(row.deleted)).collect::<BooleanArray>())),
        ("score", DataType::Float64, Arc::new(rows.iter().map(|row| row.score).collect::<Float64Array>())),
        ("name", DataType::Utf8, texts(|row| row.name.as_deref())),
        ("refused", DataType::Utf8, texts(|_| None)),
    ];
    let fields = columns.iter().map(|(name, data_type, _)| Field::new(*name, data_type.clone(), true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, _, array)| array).collect()).unwrap()
}

/// The definitions: views of `VIEW`'s shape, each by name and SQL.
pub(crate) fn definitions(views: &[(&str, &str)], ttl: Option<i64>) -> Definitions {
    let mut definitions = Definitions { project: "tests".to_owned(), ..Definitions::default() };
    let key = JoinKey { name: "user".to_owned(), key_type: KeyType::String };
    definitions.entities.insert(
        "user".to_owned(),
        Entity { name: "user".to_owned(), join_keys: vec![key.clone()], described: Described::default() },
    );
    definitions.sources.insert(
        "events".to_owned(),
        DataSource {
            name: "events".to_owned(),
            parquet: ParquetSource { path: "events.parquet".to_owned() },
            described: Described::default(),
        },
    );
    let feature = |name: &str, scalar| Feature {
        name: name.to_owned(),
        feature_type: FeatureType::Scalar(scalar),
        default: None,
        described: Described::default(),
    };
    for (name, sql) in views {
        definitions.views.insert(
            (*name).to_owned(),
            FeatureView {
                name: (*name).to_owned(),
                entities: vec!["user".to_owned()],
                join_keys: vec![key.clone()],
                query: ViewQuery::Sql((*sql).to_owned()),
                timestamp_field: "event".to_owned(),
                created_timestamp_field: Some("created".to_owned()),
                deleted_field: Some("deleted".to_owned()),
                ttl: ttl.and_then(Ttl::from_micros),
                features: vec![feature("score", ScalarType::Float64), feature("name", ScalarType::String)],
                described: Described::default(),
            },
        );
    }
    definitions
}

/// Everything that a test needs.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Faulty<EmbeddedStore>,
    pub(crate) registry: Registry,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) rows: TestRows,
    pub(crate) config: Config,
}

/// A reader's view of one user: event, score, name; `None` for a tombstone's values.
pub(crate) type Seen = Option<(i64, Option<(Option<f64>, Option<String>)>)>;

impl World {
    /// Applied definitions, an empty store, `now` at 1,000.
    pub(crate) async fn new() -> Self {
        Self::with(&definitions(&[(VIEW, "SELECT * FROM events")], None)).await
    }

    pub(crate) async fn with(definitions: &Definitions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Micros(1_000)));
        let registry = Registry::open(&folder.path().join("registry.db"), Arc::clone(&clock) as _).await.unwrap();
        let store = open_store(folder.path(), &clock);
        let config = Config {
            batch_rows: 4,
            retry: RetryConfig { first_wait: Duration::ZERO, longest_wait: Duration::ZERO, ..RetryConfig::default() },
            ..Config::new(folder.path().to_owned())
        };
        let rows = TestRows { batch_rows: 3, ..TestRows::default() };
        let world = Self { folder, store, registry, clock, rows, config };
        world.apply(definitions).await;
        world
    }

    pub(crate) async fn apply(&self, definitions: &Definitions) -> Snapshot {
        let newest = self.registry.newest().await.unwrap();
        let plan = tidegate_control::plan(newest.as_ref(), definitions, &Facts::default());
        self.registry.apply(&plan, definitions, Breaking::Allowed).await.unwrap().snapshot
    }

    pub(crate) fn now(&self, now: i64) {
        self.clock.set(Micros(now));
    }

    /// Replaces the rows of the view; the files get another identity.
    pub(crate) fn yields(&self, rows: impl IntoIterator<Item = Row>) {
        self.view_yields(VIEW, rows);
    }

    pub(crate) fn view_yields(&self, view: &str, rows: impl IntoIterator<Item = Row>) {
        *self.rows.version.lock() += 1;
        self.same_files_yield(view, rows);
    }

    /// Replaces the rows while the files stay as they are: what a query that depends on order does.
    pub(crate) fn same_files_yield(&self, view: &str, rows: impl IntoIterator<Item = Row>) {
        self.rows.rows.lock().insert(view.to_owned(), rows.into_iter().collect());
    }

    pub(crate) fn parts(&self) -> Parts<'_, Faulty<EmbeddedStore>, TestRows> {
        self.parts_on(&self.store, &Silent)
    }

    pub(crate) fn parts_on<'a, S>(&'a self, store: &'a S, progress: &'a dyn Progress) -> Parts<'a, S, TestRows> {
        Parts {
            store,
            rows: &self.rows,
            registry: &self.registry,
            clock: self.clock.as_ref(),
            progress,
            config: &self.config,
        }
    }

    pub(crate) async fn run(&self, request: &Request) -> Report {
        materialized(request, &self.parts(), &CancellationToken::new()).await
    }

    /// From where the last run ended until now; must succeed.
    pub(crate) async fn materialize(&self) -> Report {
        let report = self.run(&Request::default()).await;
        assert!(report.is_complete(), "{report:?}");
        report
    }

    pub(crate) async fn between(&self, start: i64, end: i64) -> Report {
        let request = Request { start: Some(Micros(start)), end: Some(Micros(end)), ..Request::default() };
        self.run(&request).await
    }

    pub(crate) async fn rebuild(&self) -> Report {
        self.run(&Request { rebuild: Rebuild::NewGeneration, ..Request::default() }).await
    }

    /// Every key of every view.
    pub(crate) async fn verify(&self) -> VerifyReport {
        self.verify_keys(KeyChoice::All).await
    }

    pub(crate) async fn verify_keys(&self, keys: KeyChoice) -> VerifyReport {
        let request = VerifyRequest { views: vec![], keys };
        verify(&request, &self.parts(), &CancellationToken::new()).await.unwrap()
    }

    /// Every key verified without a mismatch.
    pub(crate) async fn assert_verified(&self) {
        let report = self.verify().await;
        assert!(report.is_clean(), "{report:#?}");
        assert!(report.views.iter().all(|view| !view.not_materialized), "{report:#?}");
    }

    pub(crate) async fn field(&self, view: &str) -> FieldNumber {
        self.registry.newest().await.unwrap().unwrap().serving(view).expect("the view is served").field
    }

    /// What a reader of the serving generation gets.
    pub(crate) async fn seen(&self, user: &str) -> Seen {
        let field = self.field(VIEW).await;
        let cells = dump(&self.store).await;
        let of_user = |key: &EntityKey| key.parts().unwrap().values.first().unwrap().to_string() == format!("{user:?}");
        cells.iter().find(|((key, cell), _)| *cell == field && of_user(key)).map(|((key, field), row)| {
            let layout = layout();
            let row = RowRef::parse(row, &layout, layout.cell_check(*field).of(key)).unwrap();
            let score = match row.value(0) {
                Value::Float64(score) => Some(score),
                _ => None,
            };
            let name = match row.value(1) {
                Value::String(name) => Some(name.to_owned()),
                _ => None,
            };
            (row.stamp().event.0, (!row.is_tombstone()).then_some((score, name)))
        })
    }
}

/// Every cell of a store.
pub(crate) async fn dump(store: &impl OnlineStore) -> BTreeMap<(EntityKey, FieldNumber), bytes::Bytes> {
    let (mut cells, mut from) = (BTreeMap::new(), None);
    loop {
        let page = store.scan(from.as_ref(), 100, Deadline::NEVER).await.unwrap();
        cells.extend(page.cells.into_iter().map(|cell| ((cell.key, cell.field), cell.row)));
        match page.next {
            Some(next) => from = Some(next),
            None => return cells,
        }
    }
}

pub(crate) fn open_store(folder: &std::path::Path, clock: &Arc<ManualClock>) -> Faulty<EmbeddedStore> {
    let folder = folder.join("store");
    std::fs::create_dir_all(&folder).unwrap();
    Faulty::new(EmbeddedStore::open(&folder, &EmbeddedConfig::default(), Arc::clone(clock) as _).unwrap())
}

pub(crate) fn layout() -> RowLayout {
    RowLayout::new(&[FeatureType::Scalar(ScalarType::Float64), FeatureType::Scalar(ScalarType::String)])
}

/// What every test runs by: the report must come, and its counts must hold.
pub(crate) async fn materialized<S: OnlineStore, R: ViewSource>(
    request: &Request,
    parts: &Parts<'_, S, R>,
    cancel: &CancellationToken,
) -> Report {
    let report = materialize(request, parts, cancel).await.unwrap();
    assert_settled(&report, parts.registry).await;
    report
}

/// Of each view, whatever became of its run: every row read has one fate, none of an acknowledged run is open, and the
/// ledger says the same.
async fn assert_settled(report: &Report, registry: &Registry) {
    let ledger = registry.runs(&RunFilter::default()).await.unwrap();
    for view in &report.views {
        let counts = &view.counts;
        assert_eq!(counts.accounted(), counts.read, "{view:?}");
        let Some(run) = view.run else {
            assert_eq!(*counts, Counts::default(), "a view without a run has read nothing: {view:?}");
            continue;
        };
        let run = ledger.iter().find(|entry| entry.id == run).expect("a run stands in the ledger");
        assert_eq!(serde_json::from_value::<Counts>(run.counts.clone()).unwrap(), *counts, "{view:?}");
        assert_eq!((run.rows_read, run.rows_written), (counts.read, counts.written + counts.merged), "{view:?}");
        assert_eq!(run.not_reproducible, view.not_reproducible, "{view:?}");
        if run.state == RunState::Acknowledged {
            assert_eq!(counts.unsettled, 0, "{view:?}");
            assert!(run.content_hash.as_ref().is_some_and(|hash| hash.ends_with(&format!("-{}", puts(counts)))));
        }
    }
}

/// Rows that were put into the store, whatever it said.
fn puts(counts: &Counts) -> u64 {
    let store = counts.rejected.get(&RejectReason::Store).map_or(0, |rejected| rejected.rows);
    counts.written + counts.older + counts.equal + counts.merged + store
}

/// Cancels a token, or wakes a waiter, when a run begins to write.
pub(crate) struct AtFirstWrite<F>(pub(crate) F);

impl<F: Fn() + Send + Sync> Progress for AtFirstWrite<F> {
    fn report(&self, _view: &str, step: &Step) {
        if step.phase == tidegate_materializer::Phase::Writing {
            (self.0)();
        }
    }
}
