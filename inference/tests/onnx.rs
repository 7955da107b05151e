//! The crate against the real ONNX Runtime and small real models (made by `models/make.py`).

#[cfg(test)]
#[path = "onnx/support.rs"]
mod support;

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use support::{call, file, float_columns, handle, library, open, runtime};
use tidegate_catalog::{FeatureType, ScalarType, Value};
use tidegate_inference::{
    Classifier, Column, Dim, ElementType, Error, ModelError, ModelFile, OutputRow, OutputValues, Runtime, TensorSpec,
    fit,
};

fn scalar(name: &str, scalar: ScalarType) -> Column<'_> {
    Column { name, feature_type: FeatureType::Scalar(scalar) }
}

#[tokio::test]
async fn a_packed_model_gives_what_its_arithmetic_says() {
    let model = open("affine").unwrap();
    let (handle, slots) = handle(&model, &float_columns(4), 8).await;
    let mut batch = handle.input(3);
    for row in 0..3_u8 {
        for (column, slot) in slots.iter().enumerate() {
            batch.put_f32(usize::from(row), *slot, f32::from(row) + [0.0, 0.5, 0.25, 0.125][column]).unwrap();
        }
    }
    let answer = handle.infer(batch, &call()).await.unwrap();
    // x . [1, 2, 3, 4] + 0.5 with x = row + [0, 0.5, 0.25, 0.125]
    let expected = [0.0_f32, 1.0, 2.0].map(|row| 10.0 * row + 1.0 + 0.75 + 0.5 + 0.5);
    assert_eq!(*answer.outputs.named("y").unwrap().values(), OutputValues::Float32(expected.to_vec()));
    assert_eq!(answer.outputs.named("y").unwrap().row_shape(), [1]);
    assert_eq!(answer.outputs.named("z"), None);
    handle.shutdown().await;
}

#[tokio::test]
async fn a_large_request_equals_its_rows_asked_one_by_one() {
    let model = open("affine").unwrap();
    let (handle, slots) = handle(&model, &float_columns(4), 3).await;
    let write = |rows: std::ops::Range<u8>| {
        let mut batch = handle.input(rows.len());
        for (row, seed) in rows.enumerate() {
            slots.iter().for_each(|slot| batch.put_f32(row, *slot, f32::from(seed) * 1.25).unwrap());
        }
        batch
    };
    let together = handle.infer(write(0..10), &call()).await.unwrap().outputs;
    for row in 0..10_u8 {
        let alone = handle.infer(write(row..row + 1), &call()).await.unwrap().outputs;
        assert_eq!(together.output(0).unwrap().row(row.into()), alone.output(0).unwrap().row(0), "row {row}");
    }
    assert_eq!(together.rows(), 10);
}

#[tokio::test]
async fn a_model_of_two_rows_answers_any_number() {
    let model = open("affine_two_rows").unwrap();
    assert_eq!(model.signature().fixed_rows(), Some(2));
    let (handle, slots) = handle(&model, &float_columns(4), 8).await;
    for rows in [1_u8, 2, 3] {
        let mut batch = handle.input(rows.into());
        for row in 0..rows {
            slots.iter().for_each(|slot| batch.put_f32(row.into(), *slot, row.into()).unwrap());
        }
        let answer = handle.infer(batch, &call()).await.unwrap();
        let expected = (0..rows).map(|row| 10.0 * f32::from(row) + 0.5).collect();
        assert_eq!(*answer.outputs.named("y").unwrap().values(), OutputValues::Float32(expected));
        assert_eq!(answer.input.rows(), usize::from(rows));
    }
}

#[tokio::test]
async fn every_type_goes_in_by_name_and_comes_out_unchanged() {
    let columns = [
        scalar("text", ScalarType::String),
        scalar("flag", ScalarType::Bool),
        scalar("f64", ScalarType::Float64),
        scalar("f32", ScalarType::Float32),
        scalar("i64", ScalarType::Int64),
        scalar("i32", ScalarType::Int32),
    ];
    let rows = [
        [
            Value::String("b"),
            Value::Bool(true),
            Value::Float64(0.1),
            Value::Float32(-0.5),
            Value::Int64(i64::MIN),
            Value::Int32(7),
        ],
        [Value::Null, Value::Bool(false), Value::Null, Value::Null, Value::Int64(i64::MAX), Value::Int32(-7)],
        [
            Value::String("ü🛬"),
            Value::Bool(true),
            Value::Float64(f64::MAX),
            Value::Float32(f32::MIN),
            Value::Int64(0),
            Value::Int32(0),
        ],
    ];
    let model = open("by_name").unwrap();
    let (handle, slots) = handle(&model, &columns, 8).await;
    let mut batch = handle.input(rows.len());
    for (row, values) in rows.iter().enumerate() {
        values.iter().zip(&slots).for_each(|(value, slot)| batch.put(row, *slot, value).unwrap());
    }
    let outputs = handle.infer(batch, &call()).await.unwrap().outputs;
    let row = |name: &str, row| outputs.named(name).unwrap().row(row).unwrap();
    let text = ["b", "", "ü🛬"].map(str::to_owned);
    for (index, text) in text.iter().enumerate() {
        assert_eq!(row("text_out", index), OutputRow::String(std::slice::from_ref(text)));
    }
    assert_eq!(row("flag_out", 0), OutputRow::Bool(&[true]));
    assert_eq!(row("flag_out", 1), OutputRow::Bool(&[false]));
    assert_eq!(row("f64_out", 0), OutputRow::Float64(&[0.1]));
    assert_eq!(row("f64_out", 2), OutputRow::Float64(&[f64::MAX]));
    assert_eq!(row("i64_out", 0), OutputRow::Int64(&[i64::MIN]));
    assert_eq!(row("i64_out", 1), OutputRow::Int64(&[i64::MAX]));
    assert_eq!(row("i32_out", 1), OutputRow::Int32(&[-7]));
    assert_eq!(row("code", 0), OutputRow::Float32(&[2.0]));
    assert_eq!(row("code", 1), OutputRow::Float32(&[0.0]), "a missing string is the empty string");
    assert_eq!(row("code", 2), OutputRow::Float32(&[-1.0]));
    match (row("f32_out", 1), row("f64_out", 1)) {
        (OutputRow::Float32([narrow]), OutputRow::Float64([wide])) => {
            assert_eq!((narrow.to_bits(), wide.to_bits()), (0x7fc0_0000, 0x7ff8_0000_0000_0000));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_classifier_answers_label_and_probabilities() {
    for (name, expected) in [
        ("classifier_int64", OutputRow::Int64(&[8])),
        ("classifier_string", OutputRow::String(&["on time".to_owned()])),
    ] {
        let model = open(name).unwrap();
        let which = model.signature().classifier().unwrap();
        assert_eq!(which, Classifier { label: 0, probability: 1 });
        let (handle, slots) = handle(&model, &float_columns(2), 8).await;
        let mut batch = handle.input(2);
        batch.put_f32(1, slots[1], 2.0).unwrap();
        let outputs = handle.infer(batch, &call()).await.unwrap().outputs;
        let answer = outputs.classified(which, 1).unwrap();
        assert_eq!(answer.label, expected, "{name}");
        let OutputRow::Float32(probabilities) = answer.probabilities else { panic!("{answer:?}") };
        // softmax of the scores (0, 2, -2)
        let sum = 1.0 + 2.0_f32.exp() + (-2.0_f32).exp();
        for (found, score) in probabilities.iter().zip([0.0_f32, 2.0, -2.0]) {
            assert!((found - score.exp() / sum).abs() < 1e-6, "{name}: {probabilities:?}");
        }
        assert_eq!(outputs.classified(which, 2), None);
    }
}

#[test]
fn a_zipmap_is_refused_with_the_export_option_that_avoids_it() {
    let refused = open("classifier_zipmap").unwrap_err();
    assert!(matches!(&refused, ModelError::ZipMap { output, .. } if output == "output_probability"), "{refused}");
    assert!(refused.to_string().contains("options={id(model): {'zipmap': False}}"), "{refused}");
}

#[tokio::test]
async fn a_value_that_the_model_refuses_fails_its_batch_alone() {
    let model = open("fails_beyond_3").unwrap();
    let (handle, slots) = handle(&model, &[scalar("index", ScalarType::Int64)], 8).await;
    let batch = |values: &[i64]| {
        let mut batch = handle.input(values.len());
        for (row, value) in values.iter().enumerate() {
            batch.put(row, slots[0], &Value::Int64(*value)).unwrap();
        }
        batch
    };
    for _ in 0..3 {
        let failed = handle.infer(batch(&[1, 4]), &call()).await.unwrap_err();
        assert!(matches!(&failed, Error::Run { model, .. } if model == "fails_beyond_3"), "{failed}");
        let answer = handle.infer(batch(&[3, 0]), &call()).await.unwrap();
        assert_eq!(*answer.outputs.output(0).unwrap().values(), OutputValues::Float32(vec![30.0, 0.0]));
    }
    assert!(handle.is_ready());
}

/// Counts what the crate counts.
#[derive(Default)]
struct Counting {
    figures: parking_lot::Mutex<HashMap<String, Arc<AtomicU64>>>,
}

impl Counting {
    /// Counters as they are, gauges as the bits of their float.
    fn figure(&self, name: &str) -> Arc<AtomicU64> {
        Arc::clone(self.figures.lock().entry(name.to_owned()).or_default())
    }
}

impl Recorder for Counting {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.figure(key.name()))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.figure(key.name()))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// What a caller can send must not cost a session that is made and warmed anew.
#[tokio::test]
async fn a_value_that_the_model_refuses_keeps_the_session() {
    let recorder = Counting::default();
    let recording = metrics::set_default_local_recorder(&recorder);
    let model = open("fails_beyond_3").unwrap();
    let (handle, slots) = handle(&model, &[scalar("index", ScalarType::Int64)], 8).await;
    drop(recording);
    for value in [4, i64::MAX, i64::MIN] {
        let mut batch = handle.input(1);
        batch.put(0, slots[0], &Value::Int64(value)).unwrap();
        let failed = handle.infer(batch, &call()).await.unwrap_err();
        assert!(matches!(failed, Error::Run { .. }), "{failed}");
    }
    assert!(handle.is_ready());
    handle.shutdown().await;
    assert_eq!(recorder.figure("tidegate_inference_sessions_replaced_total").load(Ordering::SeqCst), 0);
}

/// A model that is replaced by a newer file of the same name ends after the new one has begun.
#[tokio::test]
async fn the_gauge_of_ready_replicas_adds_up_over_all_models_of_one_name() {
    let recorder = Counting::default();
    let recording = metrics::set_default_local_recorder(&recorder);
    let model = open("affine").unwrap();
    let ready = || f64::from_bits(recorder.figure("tidegate_inference_ready_replicas").load(Ordering::SeqCst));
    let (old, _) = handle(&model, &float_columns(4), 2).await;
    assert_eq!(ready(), 1.0);
    let (new, _) = support::replicated(&model, &float_columns(4), 2).await;
    assert_eq!(ready(), 3.0);
    old.shutdown().await;
    assert_eq!(ready(), 2.0);
    new.shutdown().await;
    assert_eq!(ready(), 0.0);
    drop(recording);
}

#[tokio::test]
async fn requests_from_many_tasks_each_get_their_own_rows() {
    let model = open("affine").unwrap();
    let (handle, slots) = support::replicated(&model, &float_columns(4), 2).await;
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..64_u8 {
        let (handle, slots) = (handle.clone(), slots.clone());
        tasks.spawn(async move {
            for rows in [1_usize, 3, 2] {
                let mut batch = handle.input(rows);
                for row in 0..rows {
                    slots.iter().for_each(|slot| batch.put_f32(row, *slot, f32::from(seed)).unwrap());
                }
                let answer = handle.infer(batch, &call()).await.unwrap();
                let expected = vec![f32::from(seed) * 10.0 + 0.5; rows];
                assert_eq!(*answer.outputs.output(0).unwrap().values(), OutputValues::Float32(expected));
                handle.recycle(answer.input);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    handle.shutdown().await;
}

#[test]
fn what_is_not_a_model_is_refused_naming_the_file() {
    let affine = std::fs::read(file("affine")).unwrap();
    let cases = [
        ("empty", Vec::new()),
        ("text", b"this is not a model".to_vec()),
        ("noise", (0..4096_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        ("half", affine[..affine.len() / 2].to_vec()),
    ];
    for (name, bytes) in cases {
        let path = Path::new("models").join(name);
        let refused = ModelFile::of_bytes(&runtime(), &path, bytes).unwrap_err();
        assert!(matches!(refused, ModelError::NotOnnx { .. }), "{name}: {refused}");
        assert!(refused.to_string().starts_with(&format!("model models/{name} is not an ONNX model")), "{refused}");
    }
}

/// A cut or a flipped bit may leave another model that is whole; then it is refused for what it is, or served.
#[test]
fn a_damaged_model_file_does_no_more_than_be_refused() {
    let path = Path::new("damaged");
    let mut refused = 0;
    for name in ["by_name", "classifier_string"] {
        let whole = std::fs::read(file(name)).unwrap();
        for at in (0..whole.len()).step_by(3) {
            refused += usize::from(ModelFile::of_bytes(&runtime(), path, whole[..at].to_vec()).is_err());
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            refused += usize::from(ModelFile::of_bytes(&runtime(), path, flipped).is_err());
        }
    }
    assert!(refused > 300, "only {refused} were refused");
}

/// The content hash covers one file; and a path out of the folder would read what it likes.
#[test]
fn a_model_that_keeps_tensors_in_other_files_is_refused() {
    for name in ["external_inside", "external_escape", "external_sibling", "external_absolute"] {
        let refused = open(name).unwrap_err();
        assert!(matches!(refused, ModelError::ExternalData { .. }), "{name}: {refused}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let refused = ModelFile::open(&runtime(), Path::new("models/nowhere.onnx"), 1 << 20).unwrap_err();
    assert!(matches!(refused, ModelError::Unreadable { .. }), "{refused}");
    assert!(refused.to_string().contains("models/nowhere.onnx"), "{refused}");
}

#[test]
fn tensors_that_are_not_served_are_refused_by_name() {
    let refused = open("uint8").unwrap_err().to_string();
    assert!(refused.contains("input \"x\" is a tensor of Uint8; served are tensors of float32"), "{refused}");
    let refused = open("affine_huge").unwrap_err().to_string();
    assert!(
        refused.contains("input \"x\" is a tensor of always 1125899906842624 rows; the most is 65536"),
        "{refused}"
    );
    let refused = open("no_rows_out").unwrap_err().to_string();
    assert!(refused.contains("output \"y\" is a single value; its first dimension must be the row"), "{refused}");
}

#[tokio::test]
async fn an_output_that_loses_its_rows_does_not_start() {
    let model = open("row_lost").unwrap();
    let refused = support::try_handle(&model, &float_columns(2), 8).await.unwrap_err().to_string();
    assert!(refused.contains("output \"y\" has shape [1, 1]"), "{refused}");
}

#[test]
fn a_signature_says_names_types_and_dimensions() {
    let model = open("classifier_string").unwrap();
    let spec = |name: &str, element, dims: &[Dim]| TensorSpec { name: name.to_owned(), element, dims: dims.to_vec() };
    let (free, fixed) = (Dim::Free, Dim::Fixed);
    assert_eq!(*model.signature().inputs, [spec("x", ElementType::Float32, &[free, fixed(2)])]);
    let outputs = [
        spec("output_label", ElementType::String, &[free]),
        spec("probabilities", ElementType::Float32, &[free, fixed(3)]),
    ];
    assert_eq!(*model.signature().outputs, outputs);
    assert_eq!(model.hash(), tidegate_inference::content_hash(&std::fs::read(file("classifier_string")).unwrap()));
}

#[tokio::test]
async fn the_flights_model_is_fed_by_name_and_a_missing_value_is_one_it_was_trained_on() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/flights/models/arrival_delay.onnx");
    let model = ModelFile::open(&runtime(), &path, 1 << 24).unwrap();
    let types: Vec<_> = model.signature().inputs.iter().map(|input| (input.name.clone(), input.element)).collect();
    let columns: Vec<_> = types
        .iter()
        .map(|(name, element)| {
            let from = match element {
                ElementType::Float32 => ScalarType::Float32,
                ElementType::Float64 => ScalarType::Float64,
                ElementType::Int32 => ScalarType::Int32,
                ElementType::Int64 => ScalarType::Int64,
                ElementType::Bool => ScalarType::Bool,
                ElementType::String => ScalarType::String,
            };
            scalar(name, from)
        })
        .collect();
    assert_eq!(columns.len(), 22);
    assert_eq!(fit(model.signature(), &columns).unwrap().warnings(), []);
    let which = model.signature().classifier().unwrap();
    let (handle, slots) = handle(&model, &columns, 8).await;
    let mut batch = handle.input(2);
    for (slot, (name, element)) in slots.iter().zip(&types) {
        let value = match element {
            ElementType::Float32 | ElementType::Float64 | ElementType::String => Value::Null,
            ElementType::Int32 => Value::Int32(1),
            ElementType::Int64 => Value::Int64(1),
            ElementType::Bool => Value::Bool(true),
        };
        batch.put(0, *slot, &value).unwrap_or_else(|error| panic!("{name}: {error}"));
        batch.put(1, *slot, &value).unwrap();
    }
    let outputs = handle.infer(batch, &call()).await.unwrap().outputs;
    let first = outputs.classified(which, 0).unwrap();
    let (OutputRow::Float32([probability]), OutputRow::Int64([label])) = (first.probabilities, first.label) else {
        panic!("{first:?}")
    };
    assert!((0.0..=1.0).contains(probability) && (0..=1).contains(label), "{first:?}");
    assert_eq!(outputs.classified(which, 1), Some(first), "equal rows got unequal answers");
}

#[test]
fn a_second_load_of_the_same_library_is_the_same_runtime() {
    let first = runtime();
    let again = Runtime::load(&library()).unwrap();
    assert_eq!(first.path(), again.path());
    assert!(!again.version().is_empty());
}

#[tokio::test]
async fn handles_are_shared_by_clones() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    let model = open("affine").unwrap();
    let (handle, _) = handle(&model, &float_columns(4), 2).await;
    shared(&handle);
    shared(&model);
    shared(&Arc::new(runtime()));
    assert_eq!((handle.name(), handle.hash()), ("affine", model.hash()));
}
