//! A project folder with Parquet files, an engine over it, and one view: key `k`, time `ts`, feature `x`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::PathBuf,
    sync::Arc,
};

use arrow_array::{
    Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, cast::AsArray,
    types::TimestampMicrosecondType,
};
use datafusion::parquet::arrow::ArrowWriter;
use futures::TryStreamExt;
use tempfile::TempDir;
use tidegate_catalog::{
    Definitions,
    definitions::{DataSource, Described, Feature, FeatureView, JoinKey, KeyType, ParquetSource, ViewQuery},
};
use tidegate_offline::{Engine, EngineConfig, Error};

pub(crate) const ROOMY: usize = 256 << 20;

/// A project folder of its own.
pub(crate) struct Project {
    pub(crate) folder: TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(crate) fn parquet(&self, name: &str, columns: Vec<(&str, ArrayRef)>) {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(self.path(name)).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    pub(crate) fn engine(&self, memory_bytes: usize, partitions: usize) -> Engine {
        let spill_folder = self.folder.path().join("spill");
        let config = EngineConfig { memory_bytes, spill_folder, partitions: Some(partitions) };
        Engine::new(config, self.folder.path())
    }

    pub(crate) async fn rows(&self, query: ViewQuery, source: &str) -> Result<Vec<RecordBatch>, Error> {
        read(&self.engine(ROOMY, 2), &view(query, "int64"), &sources(&[("s", source)])).await
    }
}

pub(crate) async fn read(
    engine: &Engine,
    view: &FeatureView,
    definitions: &Definitions,
) -> Result<Vec<RecordBatch>, Error> {
    engine.view_rows(view, definitions).await?.batches.try_collect().await
}

pub(crate) fn sources(paths: &[(&str, &str)]) -> Definitions {
    let source = |(name, path): &(&str, &str)| {
        let parquet = ParquetSource { path: (*path).to_owned() };
        ((*name).to_owned(), DataSource { name: (*name).to_owned(), parquet, described: Described::default() })
    };
    Definitions { sources: paths.iter().map(source).collect(), ..Definitions::default() }
}

pub(crate) fn feature(name: &str, feature_type: &str) -> Feature {
    let feature_type = feature_type.parse().unwrap();
    Feature { name: name.to_owned(), feature_type, default: None, described: Described::default() }
}

/// Key `k` (string), time `ts`, feature `x`.
pub(crate) fn view(query: ViewQuery, feature_type: &str) -> FeatureView {
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

pub(crate) fn sql(text: &str) -> ViewQuery {
    ViewQuery::Sql(text.to_owned())
}

pub(crate) fn plain() -> ViewQuery {
    ViewQuery::Source { source: "s".to_owned(), columns: BTreeMap::new(), filter: None }
}

pub(crate) fn keys(names: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(names.to_vec()))
}

pub(crate) fn times(micros: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"))
}

pub(crate) fn ints(values: Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(values))
}

pub(crate) fn row(key: &str, time: i64, x: i64) -> Vec<(&'static str, ArrayRef)> {
    vec![("k", keys(&[key])), ("ts", times(vec![time])), ("x", ints(vec![x]))]
}

/// (key, time, feature as text), sorted: batches come in any order.
pub(crate) fn table(batches: &[RecordBatch]) -> Vec<(String, Option<i64>, String)> {
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
