//! 500 training rows of the flights example, made by DuckDB's ASOF join, against the slow definition of the winner over the
//! rows that our own engine computes.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;

use arrow_array::{
    Array, ArrayRef, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde_json::{Value as Json, json};
use tidegate_catalog::{
    Micros, RowLayout, RowRef, Stamp, Value,
    definitions::{Definitions, FeatureView},
    row::Check,
    winner::{CandidateRow, VisibilityMode, Winner, winner},
    yaml::{SourceText, load},
};
use tidegate_offline::{EVENT, Engine, EngineConfig};
use tidegate_tests::root;

const CHECK: Check = Check::new(0);

fn definitions() -> Definitions {
    let folder = root().join("examples/flights");
    let files = ["entities.yaml", "sources.yaml", "features.yaml", "services.yaml"];
    let text =
        |name: &str| SourceText { path: name.to_owned(), text: std::fs::read_to_string(folder.join(name)).unwrap() };
    load("flights", &files.map(text)).unwrap().definitions
}

/// Every row of a view, as canonical bytes, by its join-key values.
async fn rows_by_key(
    engine: &Engine,
    view: &FeatureView,
    definitions: &Definitions,
) -> HashMap<String, Vec<CandidateRow>> {
    let layout = layout(view);
    let mut by_key: HashMap<String, Vec<CandidateRow>> = HashMap::new();
    let mut batches = engine.view_rows(view, definitions).await.unwrap().batches;
    while let Some(batch) = batches.next().await {
        let batch = batch.unwrap();
        let keys = view.join_keys.iter().map(|key| texts(&batch, &key.name)).collect::<Vec<_>>();
        let event = batch.column_by_name(EVENT).unwrap();
        let event = event.as_any().downcast_ref::<TimestampMicrosecondArray>().unwrap();
        let features = view.features.iter().map(|feature| batch.column_by_name(&feature.name).unwrap());
        let features = features.collect::<Vec<_>>();
        for row in (0..batch.num_rows()).filter(|row| event.is_valid(*row) && keys.iter().all(|key| key.is_valid(*row)))
        {
            let key = keys.iter().map(|key| key.value(row)).collect::<Vec<_>>().join("\0");
            let values = features.iter().map(|column| value(column, row)).collect::<Vec<_>>();
            let stamp = Stamp { event: Micros(event.value(row)), created: None };
            let mut bytes = BytesMut::new();
            layout.encode(stamp, CHECK, &values, &mut bytes).unwrap();
            by_key.entry(key).or_default().push(CandidateRow { bytes: Bytes::from(bytes) });
        }
    }
    by_key
}

fn layout(view: &FeatureView) -> RowLayout {
    RowLayout::new(&view.features.iter().map(|feature| feature.feature_type).collect::<Vec<_>>())
}

fn texts<'a>(batch: &'a RecordBatch, name: &str) -> &'a StringArray {
    batch.column_by_name(name).unwrap().as_any().downcast_ref().unwrap()
}

fn value(column: &ArrayRef, row: usize) -> Value<'_> {
    let any = column.as_any();
    if column.is_null(row) {
        Value::Null
    } else if let Some(column) = any.downcast_ref::<Float32Array>() {
        Value::Float32(column.value(row))
    } else if let Some(column) = any.downcast_ref::<Int32Array>() {
        Value::Int32(column.value(row))
    } else if let Some(column) = any.downcast_ref::<Int64Array>() {
        Value::Int64(column.value(row))
    } else if let Some(column) = any.downcast_ref::<TimestampMicrosecondArray>() {
        Value::Timestamp(Micros(column.value(row)))
    } else {
        Value::String(any.downcast_ref::<StringArray>().unwrap().value(row))
    }
}

/// Floats by their float32 bits: the training wrote the shortest decimal of each.
fn same(ours: &Value<'_>, theirs: &Json) -> bool {
    match ours {
        Value::Null => theirs.is_null(),
        Value::Float32(value) => theirs.as_f64().is_some_and(|theirs| (theirs as f32).to_bits() == value.to_bits()),
        Value::Int32(value) => *theirs == json!(value),
        Value::Int64(value) => *theirs == json!(value),
        Value::Timestamp(value) => *theirs == json!(value.0),
        Value::String(value) => *theirs == json!(value),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_training_row_is_what_the_winner_function_says() {
    let definitions = definitions();
    let folder = root().join("examples/flights");
    let spill = tempfile::tempdir().unwrap();
    let config = EngineConfig { memory_bytes: 1 << 30, spill_folder: spill.path().to_owned(), partitions: None };
    let engine = Engine::new(config, &folder);
    let training = std::fs::read(folder.join("tests/training_rows.json")).unwrap();
    let training: HashMap<String, Vec<Json>> = serde_json::from_slice(&training).unwrap();
    let mut compared = 0;
    for view in definitions.views.values() {
        let by_key = rows_by_key(&engine, view, &definitions).await;
        let layout = layout(view);
        for (row, flight) in training["flight_id"].iter().enumerate() {
            let at = Micros(training["prediction_time"][row].as_i64().unwrap());
            let parts = view.join_keys.iter().map(|key| training[&key.name][row].as_str());
            let rows = parts.collect::<Option<Vec<_>>>().and_then(|key| by_key.get(&key.join("\0")));
            let rows = rows.map_or(&[][..], Vec::as_slice);
            let found = match winner(rows, at, view.ttl, VisibilityMode::EventTime) {
                Winner::Row(found) => Some(found),
                Winner::Expired(_) | Winner::Deleted(_) | Winner::Absent => None,
            };
            let found = found.map(|found| RowRef::parse(&found.bytes, &layout, CHECK).unwrap());
            let event = found.map_or(Json::Null, |found| json!(found.stamp().event.0));
            let column = |name: &str| &training[&format!("{}__{name}", view.name)][row];
            assert_eq!(&event, column("event_timestamp"), "{}, flight {flight}", view.name);
            for (index, feature) in view.features.iter().enumerate() {
                let ours = found.map_or(Value::Null, |found| found.value(index));
                let theirs = column(&feature.name);
                assert!(same(&ours, theirs), "{}:{}, flight {flight}: {ours:?} {theirs}", view.name, feature.name);
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 500 * 23);
}
