use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int32Array, Int64Array, ListArray,
    StringArray, TimestampMicrosecondArray, types::Int64Type,
};
use arrow_schema::{Field, Schema};
use tidegate_catalog::{
    FeatureType, FieldNumber, GenerationState, RowRef,
    ScalarType::{Bool, Bytes, Date, Float32, Float64, Int32, Int64, String, Timestamp},
    definitions::{JoinKey, KeyType},
    entity_key::OwnedKeyValue,
    snapshot::GenerationFeature,
};
use tidegate_control::Interval;

use super::*;

fn generation(keys: &[(&str, KeyType)], types: &[FeatureType]) -> Generation {
    let features = types.iter().enumerate();
    let features =
        features.map(|(n, feature_type)| GenerationFeature { name: format!("f{n}"), feature_type: *feature_type });
    Generation {
        field: FieldNumber(3),
        fingerprint: std::string::String::new(),
        key_set: KeySetNumber(2),
        join_keys: keys
            .iter()
            .map(|(name, key_type)| JoinKey { name: (*name).to_owned(), key_type: *key_type })
            .collect(),
        features: features.collect(),
        state: GenerationState::Building,
    }
}

/// A batch whose rows are all rows.
fn batch(mut columns: Vec<ArrayRef>) -> RecordBatch {
    let rows = columns.first().map_or(0, |column| column.len());
    columns.push(arrow_array::new_null_array(&arrow_schema::DataType::Utf8, rows));
    refusing(columns)
}

/// A batch whose last column says why rows are none.
fn refusing(columns: Vec<ArrayRef>) -> RecordBatch {
    let fields = columns.iter().enumerate().map(|(n, c)| Field::new(format!("c{n}"), c.data_type().clone(), true));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).unwrap()
}

fn times(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values.to_vec()).with_timezone("UTC"))
}

fn up_to(end: i64) -> Window {
    Window { covered: Coverage::from_iter([Interval { start: None, end: Micros(end) }]), now: Micros(100) }
}

#[test]
fn every_type_reaches_the_row_and_keys_stand_in_name_order() {
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), Some(vec![]), None]);
    let mut types =
        [Bool, Int32, Int64, Float32, Float64, Timestamp, Date, String, Bytes].map(FeatureType::Scalar).to_vec();
    types.push(FeatureType::List(Int64));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![7, 8, 9])),
        Arc::new(StringArray::from(vec!["x", "y", "z"])),
        times(&[Some(1), Some(2), Some(3)]),
        times(&[None, Some(5), None]),
        Arc::new(BooleanArray::from(vec![Some(false), None, Some(true)])),
        Arc::new(BooleanArray::from(vec![Some(true), None, None])),
        Arc::new(Int32Array::from(vec![Some(-1), None, None])),
        Arc::new(Int64Array::from(vec![Some(1 << 60), None, None])),
        Arc::new(Float32Array::from(vec![Some(f32::NAN), None, None])),
        Arc::new(Float64Array::from(vec![Some(-0.0), None, None])),
        times(&[Some(9), None, None]),
        Arc::new(Date32Array::from(vec![Some(-1), None, None])),
        Arc::new(StringArray::from(vec![Some("é"), None, None])),
        Arc::new(BinaryArray::from(vec![Some(&b"\0"[..]), None, None])),
        Arc::new(list),
    ];
    let mut encoder =
        RowEncoder::new("v", ProjectNumber(1), &generation(&[("a", KeyType::Int32), ("b", KeyType::String)], &types));
    let (mut counts, mut found) = (Counts::default(), Vec::new());
    let each = |key: &EntityKey, row: &[u8]| {
        found.push((key.clone(), row.to_vec()));
        Ok(())
    };
    encoder.encode(&batch(columns), &up_to(100), &mut counts, each).unwrap();
    assert_eq!((counts.read, counts.accounted(), found.len()), (3, 0, 3));
    let layout = RowLayout::new(&types);
    let rows = found.iter().map(|(key, row)| {
        RowRef::parse(row, &layout, layout.cell_check(FieldNumber(3)).of(key)).expect("a canonical row")
    });
    let rows = rows.collect::<Vec<_>>();
    assert_eq!(found[0].0.parts().unwrap().values, [OwnedKeyValue::Int64(7), OwnedKeyValue::String("x".to_owned())]);
    let first = (0..10).map(|index| rows[0].value(index)).collect::<Vec<_>>();
    assert!(matches!(first[3], Value::Float32(nan) if nan.is_nan()));
    let rest = first.into_iter().enumerate().filter(|(index, _)| *index != 3).map(|(_, value)| value);
    let wanted = [
        Value::Bool(true),
        Value::Int32(-1),
        Value::Int64(1 << 60),
        Value::Float64(-0.0),
        Value::Timestamp(Micros(9)),
        Value::Date(-1),
        Value::String("é"),
        Value::Bytes(b"\0"),
        Value::List(vec![Value::Int64(1), Value::Null]),
    ];
    assert_eq!(rest.collect::<Vec<_>>(), wanted);
    assert!((0..9).all(|index| rows[1].is_null(index)));
    assert_eq!(rows[1].value(9), Value::List(vec![]), "an empty list is not a null");
    assert_eq!(rows[1].stamp(), Stamp { event: Micros(2), created: Some(Micros(5)) });
    assert!(rows[2].is_tombstone());
}

#[test]
fn a_view_without_entities_has_one_key() {
    let mut encoder = RowEncoder::new("v", ProjectNumber(1), &generation(&[], &[FeatureType::Scalar(Int64)]));
    let columns: Vec<ArrayRef> = vec![
        times(&[Some(1), Some(2)]),
        times(&[None, None]),
        Arc::new(BooleanArray::from(vec![None, None])),
        Arc::new(Int64Array::from(vec![1, 2])),
    ];
    let mut keys = std::collections::BTreeSet::new();
    let mut counts = Counts::default();
    let each = |key: &EntityKey, _: &[u8]| {
        keys.insert(key.clone());
        Ok(())
    };
    encoder.encode(&batch(columns), &up_to(100), &mut counts, each).unwrap();
    assert_eq!(keys.len(), 1);
}

#[test]
fn a_batch_of_other_columns_is_refused_by_name() {
    let mut encoder = RowEncoder::new("v", ProjectNumber(1), &generation(&[], &[FeatureType::Scalar(Int64)]));
    let columns: Vec<ArrayRef> = vec![times(&[Some(1)])];
    let refused = encoder.encode(&batch(columns), &up_to(100), &mut Counts::default(), |_, _| Ok(())).unwrap_err();
    assert!(
        refused.to_string().contains("\"v\"") && refused.to_string().contains("2 columns instead of 5"),
        "{refused}"
    );
}

#[test]
fn a_value_of_another_type_is_a_rejected_row_that_names_its_feature() {
    let mut encoder = RowEncoder::new("v", ProjectNumber(1), &generation(&[], &[FeatureType::Scalar(Int64)]));
    let columns: Vec<ArrayRef> = vec![
        times(&[Some(1)]),
        times(&[None]),
        Arc::new(BooleanArray::from(vec![None])),
        Arc::new(StringArray::from(vec!["no number"])),
    ];
    let mut counts = Counts::default();
    encoder.encode(&batch(columns), &up_to(100), &mut counts, |_, _| Ok(())).unwrap();
    let rejected = &counts.rejected[&RejectReason::WrongType];
    assert_eq!((rejected.rows, rejected.examples[0].why.as_str()), (1, "feature \"f0\" is int64, the value is not"));
}

#[test]
fn a_refused_row_is_rejected_in_the_run_that_would_take_it_or_in_each_if_it_has_no_time() {
    let mut encoder =
        RowEncoder::new("v", ProjectNumber(1), &generation(&[("k", KeyType::String)], &[FeatureType::Scalar(Int64)]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["a", "b", "c", "d"])),
        times(&[None, Some(5), Some(50), None]),
        times(&[None; 4]),
        Arc::new(BooleanArray::from(vec![None; 4])),
        Arc::new(Int64Array::from(vec![1; 4])),
        Arc::new(StringArray::from(vec![Some("no time"), Some("no created"), Some("no created"), None])),
    ];
    let mut counts = Counts::default();
    encoder.encode(&refusing(columns), &up_to(10), &mut counts, |_, _| panic!("no row is one")).unwrap();
    assert_eq!((counts.outside_interval, counts.null_time), (1, 1));
    let rejected = &counts.rejected[&RejectReason::WrongType];
    let said = rejected.examples.iter().map(|e| (e.key.as_str(), e.why.as_str())).collect::<Vec<_>>();
    assert_eq!(said, [("\"a\"", "no time"), ("\"b\"", "no created")]);
    assert_eq!((rejected.rows, counts.accounted()), (2, counts.read));
}
