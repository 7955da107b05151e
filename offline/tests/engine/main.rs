//! The engine over real Parquet files: what it reads, what it refuses and in which words, and that memory changes nothing.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{
    Array, ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    TimestampNanosecondArray, cast::AsArray, types::TimestampMicrosecondType,
};
use datafusion::parquet::arrow::ArrowWriter;
use futures::TryStreamExt;
use tempfile::TempDir;
use tidegate_catalog::{
    Definitions,
    definitions::{DataSource, Described, Feature, FeatureView, JoinKey, KeyType, ParquetSource, ViewQuery},
};
use tidegate_offline::{Engine, EngineConfig, Error};

const ROOMY: usize = 256 << 20;
/// Less than a sort of the rows below needs.
const TIGHT: usize = 40 << 20;

/// A project folder of its own.
struct Project {
    folder: TempDir,
}

impl Project {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn parquet(&self, name: &str, columns: Vec<(&str, ArrayRef)>) {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(self.path(name)).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    fn engine(&self, memory_bytes: usize, partitions: usize) -> Engine {
        let spill_folder = self.folder.path().join("spill");
        let config = EngineConfig { memory_bytes, spill_folder, partitions: Some(partitions) };
        Engine::new(config, self.folder.path())
    }

    async fn rows(&self, query: ViewQuery, source: &str) -> Result<Vec<RecordBatch>, Error> {
        read(&self.engine(ROOMY, 2), &view(query, "int64"), &sources(&[("s", source)])).await
    }
}

async fn read(engine: &Engine, view: &FeatureView, definitions: &Definitions) -> Result<Vec<RecordBatch>, Error> {
    engine.view_rows(view, definitions).await?.batches.try_collect().await
}

fn sources(paths: &[(&str, &str)]) -> Definitions {
    let source = |(name, path): &(&str, &str)| {
        let parquet = ParquetSource { path: (*path).to_owned() };
        ((*name).to_owned(), DataSource { name: (*name).to_owned(), parquet, described: Described::default() })
    };
    Definitions { sources: paths.iter().map(source).collect(), ..Definitions::default() }
}

fn feature(name: &str, feature_type: &str) -> Feature {
    let feature_type = feature_type.parse().unwrap();
    Feature { name: name.to_owned(), feature_type, default: None, described: Described::default() }
}

/// Key `k` (string), time `ts`, feature `x`.
fn view(query: ViewQuery, feature_type: &str) -> FeatureView {
    FeatureView {
        name: "v".to_owned(),
        entities: vec!["e".to_owned()],
        join_keys: vec![JoinKey { name: "k".to_owned(), key_type: KeyType::String }],
        query,
        timestamp_field: "ts".to_owned(),
        created_timestamp_field: None,
        deleted_field: None,
        ttl: None,
        features: vec![feature("x", feature_type)],
        described: Described::default(),
    }
}

fn sql(text: &str) -> ViewQuery {
    ViewQuery::Sql(text.to_owned())
}

fn plain() -> ViewQuery {
    ViewQuery::Source { source: "s".to_owned(), columns: BTreeMap::new(), filter: None }
}

fn keys(names: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(names.to_vec()))
}

fn times(micros: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"))
}

fn ints(values: Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(values))
}

fn row(key: &str, time: i64, x: i64) -> Vec<(&'static str, ArrayRef)> {
    vec![("k", keys(&[key])), ("ts", times(vec![time])), ("x", ints(vec![x]))]
}

/// (key, time, feature as text), sorted: batches come in any order.
fn table(batches: &[RecordBatch]) -> Vec<(String, Option<i64>, String)> {
    let mut rows = Vec::new();
    for batch in batches {
        let key = batch.column(0).as_string::<i32>();
        let event = batch.column(1).as_primitive::<TimestampMicrosecondType>();
        let x = batch.column(4);
        for row in 0..batch.num_rows() {
            let value = datafusion::arrow::util::display::array_value_to_string(x, row).unwrap();
            rows.push((key.value(row).to_owned(), event.is_valid(row).then(|| event.value(row)), value));
        }
    }
    rows.sort();
    rows
}

fn cut(from: &Path, to: &Path, bytes: usize) {
    fs::write(to, fs::read(from).unwrap().get(..bytes).unwrap()).unwrap();
}

#[tokio::test]
async fn a_bad_source_is_refused_by_the_name_of_its_file() {
    let project = Project::new();
    project.parquet("good.parquet", row("a", 1, 1));
    cut(&project.path("good.parquet"), &project.path("cut/a.parquet"), 40);
    fs::write(project.path("empty/a.parquet"), "").unwrap();
    fs::write(project.path("foreign/a.parquet"), "k,ts,x\na,1,1\n").unwrap();
    project.parquet("siblings/a.parquet", row("a", 1, 1));
    project.parquet("siblings/b.parquet", vec![("k", keys(&["a"])), ("ts", times(vec![1])), ("x", keys(&["one"]))]);
    fs::write(project.path("unfinished/a.parquet.tmp"), "").unwrap();
    for (source, words) in [
        ("cut", "cut/a.parquet: not a readable Parquet file"),
        ("empty", "empty/a.parquet: not a readable Parquet file: it is empty"),
        ("foreign", "foreign/a.parquet: not a readable Parquet file"),
        ("siblings", "siblings/b.parquet: column \"x\" is Utf8, in the files before it Int64"),
        ("unfinished", "source \"s\": \"unfinished\" names no Parquet file"),
        ("s3://bucket/x", "source \"s\": s3:// is not yet a place for sources"),
    ] {
        let error = project.rows(plain(), source).await.unwrap_err().to_string();
        assert!(error.contains(words) && error.starts_with("source \"s\""), "{source}: {error}");
    }
}

#[tokio::test]
async fn a_bad_query_is_refused_by_view_and_name() {
    let project = Project::new();
    project.parquet("s.parquet", row("a", 1, 1));
    for (text, words) in [
        ("SELECT k, ts x y FROM s", "feature view \"v\": "),
        ("SELECT k, x FROM s", "feature view \"v\": its query yields no column \"ts\" (it yields: k, x)"),
        ("SELECT k, ts FROM s", "feature view \"v\": its query yields no column \"x\" (it yields: k, ts)"),
        ("SELECT k, ts, 'a' AS x FROM s", "feature view \"v\": column \"x\" is Utf8, which is no int64"),
        ("SELECT k, ts, y AS x FROM s", "feature view \"v\": "),
        ("SELECT * FROM elsewhere", "feature view \"v\": "),
        ("SELECT * FROM 's.parquet'", "feature view \"v\": "),
        ("DROP TABLE s", "feature view \"v\": "),
        ("SET datafusion.execution.batch_size = 1", "feature view \"v\": "),
        ("COPY s TO 'out.parquet'", "feature view \"v\": "),
        ("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 's.parquet'", "feature view \"v\": "),
    ] {
        let error = project.rows(sql(text), "s.parquet").await.unwrap_err().to_string();
        assert!(error.starts_with(words), "{text}: {error}");
    }
    let error = project.rows(sql("SELECT k, ts\n  FROM s GROUP x"), "s.parquet").await.unwrap_err();
    assert!(matches!(error, Error::Query { position: Some((2, _)), .. }), "{error:?}");
}

#[tokio::test]
async fn capitals_dots_and_spaces_in_column_names_are_reached_by_quoting() {
    let project = Project::new();
    project
        .parquet("s.parquet", vec![("Key Name", keys(&["a"])), ("event.Time", times(vec![7])), ("X", ints(vec![3]))]);
    let expected = vec![("a".to_owned(), Some(7), "3".to_owned())];
    let text = r#"SELECT "Key Name" AS k, "event.Time" AS ts, "X" AS x FROM s"#;
    assert_eq!(table(&project.rows(sql(text), "s.parquet").await.unwrap()), expected);
    let columns = [("k", "Key Name"), ("ts", "event.Time"), ("x", "X")];
    let columns = columns.map(|(to, from)| (to.to_owned(), from.to_owned())).into();
    let renamed = ViewQuery::Source { source: "s".to_owned(), columns, filter: Some("\"X\" = 3".to_owned()) };
    assert_eq!(table(&project.rows(renamed, "s.parquet").await.unwrap()), expected);
}

#[tokio::test]
async fn hive_folders_become_columns_and_columns_may_be_added_reordered_and_widened() {
    let project = Project::new();
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    project.parquet("d/year=2012/a.parquet", vec![("x", narrow), ("k", keys(&["a"])), ("ts", times(vec![1]))]);
    let mut later = row("b", 2, 1 << 40);
    later.push(("added", ints(vec![5])));
    project.parquet("d/year=2013/a.parquet", later);
    let both = table(&project.rows(plain(), "d").await.unwrap());
    assert_eq!(both, [("a".into(), Some(1), "1".into()), ("b".into(), Some(2), (1_i64 << 40).to_string())]);
    let years = project.rows(sql("SELECT k, ts, year + coalesce(added, 0) AS x FROM s"), "d").await.unwrap();
    assert_eq!(table(&years), [("a".into(), Some(1), "2012".into()), ("b".into(), Some(2), "2018".into())]);
}

#[tokio::test]
async fn a_glob_counts_the_files_of_a_folder_named_like_a_file_once() {
    let project = Project::new();
    project.parquet("d/out.parquet/part-0.parquet", row("a", 1, 1));
    for source in ["d", "d/**/*.parquet", "d/*.parquet"] {
        assert_eq!(table(&project.rows(plain(), source).await.unwrap()).len(), 1, "{source}");
    }
}

#[tokio::test]
async fn nanoseconds_round_up_and_a_null_event_time_passes_through() {
    let project = Project::new();
    let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![Some(1_001), Some(-1), Some(2_000), None]));
    let columns = vec![("k", keys(&["a", "b", "c", "d"])), ("ts", nanos), ("x", ints(vec![0; 4]))];
    project.parquet("s.parquet", columns);
    let events = table(&project.rows(plain(), "s.parquet").await.unwrap()).into_iter().map(|row| row.1);
    assert_eq!(events.collect::<Vec<_>>(), [Some(2), Some(0), Some(2), None]);
}

#[tokio::test]
async fn a_file_replaced_while_it_is_read_is_named() {
    let project = Project::new();
    project.parquet("s.parquet", row("a", 1, 1));
    let (engine, view, definitions) =
        (project.engine(ROOMY, 1), view(plain(), "int64"), sources(&[("s", "s.parquet")]));
    let opened = engine.view_rows(&view, &definitions).await.unwrap();
    let longer = vec![("k", keys(&["a"; 9])), ("ts", times(vec![1; 9])), ("x", ints((0..9).collect()))];
    project.parquet("s.parquet", longer);
    let error = opened.batches.try_collect::<Vec<_>>().await.unwrap_err().to_string();
    assert!(error.contains("s.parquet changed while it was read"), "{error}");
}

#[tokio::test]
async fn little_memory_spills_and_yields_the_same_rows() {
    let project = Project::new();
    let count = 800_000_i64;
    let key = (0..count).map(|i| format!("key-{:06}", i * 7919 % count)).collect::<Vec<_>>();
    let key: ArrayRef = Arc::new(StringArray::from(key));
    project
        .parquet("s.parquet", vec![("k", key), ("ts", times((0..count).collect())), ("x", ints((0..count).collect()))]);
    let definitions = sources(&[("s", "s.parquet")]);
    let query = sql("SELECT k, ts, CAST(row_number() OVER (ORDER BY k, ts) AS BIGINT) AS x FROM s");
    let sorting = view(query, "int64");
    let roomy = read(&project.engine(ROOMY, 1), &sorting, &definitions).await.unwrap();
    let tight = read(&project.engine(TIGHT, 1), &sorting, &definitions).await.unwrap();
    assert_eq!(table(&roomy).len(), 800_000);
    assert_eq!(table(&roomy), table(&tight));
}

#[tokio::test]
async fn clocks_chance_and_order_are_found_in_a_query() {
    let project = Project::new();
    project.parquet("s.parquet", row("a", 1, 1));
    let mut definitions = sources(&[("s", "s.parquet")]);
    for (name, text) in [
        ("clock", "SELECT k, ts, CAST(x + extract(second FROM now()) AS BIGINT) AS x FROM s"),
        ("chance", "SELECT k, ts, CAST(random() AS BIGINT) AS x FROM s"),
        ("limit", "SELECT k, ts, x FROM s LIMIT 1"),
        ("ties", "SELECT k, ts, CAST(row_number() OVER (ORDER BY ts) AS BIGINT) AS x FROM s"),
        ("clean", "SELECT k, ts, x FROM s"),
    ] {
        definitions.views.insert(name.to_owned(), FeatureView { name: name.to_owned(), ..view(sql(text), "int64") });
    }
    let facts = project.engine(ROOMY, 1).describe(&definitions).await;
    let planned = |name: &str| facts.views[name].as_ref().unwrap();
    assert_eq!(planned("clock").volatile, ["now"]);
    assert_eq!(planned("chance").volatile, ["random"]);
    assert!(planned("limit").order_warnings[0].starts_with("LIMIT without ORDER BY"));
    assert!(planned("ties").order_warnings[0].starts_with("row_number() over ties"));
    assert!(planned("clean").volatile.is_empty() && planned("clean").order_warnings.is_empty());
}

#[tokio::test]
async fn float64_narrows_to_float32_and_nothing_else_narrows() {
    let project = Project::new();
    let x: ArrayRef = Arc::new(Float64Array::from(vec![0.1]));
    project.parquet("s.parquet", vec![("k", keys(&["a"])), ("ts", times(vec![1])), ("x", x)]);
    let definitions = sources(&[("s", "s.parquet")]);
    let engine = project.engine(ROOMY, 1);
    let batches = read(&engine, &view(plain(), "float32"), &definitions).await.unwrap();
    assert_eq!(batches[0].column(4).as_primitive::<arrow_array::types::Float32Type>().value(0), 0.1_f32);
    let error = read(&engine, &view(plain(), "int32"), &definitions).await.unwrap_err().to_string();
    assert_eq!(error, "feature view \"v\": column \"x\" is Float64, which is no int32; cast it in the SQL");
}
