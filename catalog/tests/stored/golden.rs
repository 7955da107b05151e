//! Stored bytes never change by accident: rows of every type, keys and a snapshot against committed files.
//!
//! After a wanted change of format: `TIDEGATE_GOLDEN=write cargo test -p tidegate-catalog --test stored`, and read the diff.

use std::{fmt::Write as _, path::PathBuf};

use bytes::BytesMut;
use tidegate_catalog::{
    EntityKey, FeatureType, FieldNumber, KeySetNumber, KeyValue, Micros, ProjectNumber, RowLayout, RowRef, ScalarType,
    Snapshot, Stamp, Value,
    row::{Check, RowHeader},
};

use crate::sample;

const CHECK: Check = Check::new(0x1234);

/// Compares with the committed file, or writes it when told to.
fn require_golden(name: &str, now: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    #[expect(clippy::disallowed_methods, reason = "the one switch of this test, never read by the product")]
    let writing = std::env::var("TIDEGATE_GOLDEN").is_ok_and(|value| value == "write");
    if writing {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(now, committed, "{name}: stored bytes changed; see the top of this file");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// One line per part of the layout, so that a diff shows which part moved.
fn shown(title: &str, layout: &RowLayout, bytes: &[u8]) -> String {
    let (header, rest) = RowHeader::split(bytes).unwrap();
    let times = bytes.len() - rest.len() - 2;
    let mut text = format!("# {title}\n");
    for (part, range) in [("event", 0..8), ("created", 8..times), ("word", times..times + 2)] {
        writeln!(text, "{part} {}", hex(&bytes[range])).unwrap();
    }
    if !header.tombstone {
        let nulls = layout.len().div_ceil(8);
        let fixed = layout.types().map(FeatureType::slot_bytes).sum::<usize>();
        writeln!(text, "nulls {}", hex(&rest[..nulls])).unwrap();
        writeln!(text, "fixed {}", hex(&rest[nulls..nulls + fixed])).unwrap();
        let variable = hex(&rest[nulls + fixed..]);
        writeln!(text, "variable {}", if variable.is_empty() { "-" } else { &variable }).unwrap();
    }
    text
}

fn encode(layout: &RowLayout, stamp: Stamp, values: &[Value<'_>]) -> BytesMut {
    let mut out = BytesMut::new();
    layout.encode(stamp, CHECK, values, &mut out).unwrap();
    out
}

/// The values that a type's file holds, each in a row of its own.
fn samples(scalar: ScalarType) -> Vec<Value<'static>> {
    match scalar {
        ScalarType::Bool => vec![Value::Bool(false), Value::Bool(true)],
        ScalarType::Int32 => vec![Value::Int32(1), Value::Int32(-1), Value::Int32(i32::MIN), Value::Int32(i32::MAX)],
        ScalarType::Int64 => vec![Value::Int64((1 << 53) + 1), Value::Int64(i64::MIN), Value::Int64(i64::MAX)],
        ScalarType::Float32 => [1.5, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(Value::Float32).to_vec(),
        ScalarType::Float64 => [1.5, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(Value::Float64).to_vec(),
        ScalarType::Timestamp => [1_384_516_800_000_000, -1].map(|at| Value::Timestamp(Micros(at))).to_vec(),
        ScalarType::Date => vec![Value::Date(16_024), Value::Date(-1)],
        ScalarType::String => vec![Value::String(""), Value::String("tide"), Value::String("a\0é🦀")],
        ScalarType::Bytes => vec![Value::Bytes(&[]), Value::Bytes(&[0, 0xff, 0x80])],
    }
}

const AT: Stamp = Stamp { event: Micros(1_384_516_800_000_000), created: None };

/// Encodes, reads back, and shows.
fn checked(title: &str, feature_type: FeatureType, value: &Value<'_>) -> String {
    let layout = RowLayout::new(&[feature_type]);
    let bytes = encode(&layout, AT, std::slice::from_ref(value));
    let read = RowRef::parse(&bytes, &layout, CHECK).unwrap().value(0);
    assert_eq!(format!("{read:?}"), format!("{value:?}"), "{title}");
    shown(title, &layout, &bytes)
}

#[test]
fn rows_of_every_scalar_type() {
    for scalar in ScalarType::ALL {
        let feature_type = FeatureType::Scalar(scalar);
        let mut text = String::new();
        for value in std::iter::once(Value::Null).chain(samples(scalar)) {
            text.push_str(&checked(&format!("{feature_type} {value:?}"), feature_type, &value));
        }
        require_golden(&format!("rows/{}.hex", scalar.name()), &text);
    }
}

#[test]
fn rows_of_every_list_type() {
    for scalar in ScalarType::ALL {
        let feature_type = FeatureType::List(scalar);
        let full = samples(scalar);
        let nulls = std::iter::once(Value::Null).chain(full.clone()).chain([Value::Null]).collect();
        let mut text = String::new();
        for value in [Value::Null, Value::List(vec![]), Value::List(vec![Value::Null]), Value::List(nulls)] {
            text.push_str(&checked(&format!("{feature_type} {value:?}"), feature_type, &value));
        }
        require_golden(&format!("rows/list_{}.hex", scalar.name()), &text);
    }
}

#[test]
fn headers_tombstones_and_a_wide_row() {
    let layout = RowLayout::new(
        &["int32", "string", "float64", "bytes", "list<string>", "bool", "date", "int64", "string"]
            .map(|name| name.parse().unwrap()),
    );
    let values = [
        Value::Int32(7),
        Value::String("first"),
        Value::Null,
        Value::Null,
        Value::List(vec![Value::String("x"), Value::Null, Value::String("")]),
        Value::Bool(true),
        Value::Null,
        Value::Int64(-1),
        Value::String("last"),
    ];
    let mut text = String::new();
    for (event, created) in [(0, None), (-1, Some(-1)), (i64::MIN, Some(i64::MAX)), (i64::MAX, Some(i64::MIN))] {
        let stamp = Stamp { event: Micros(event), created: created.map(Micros) };
        text.push_str(&shown(&format!("{stamp:?}"), &layout, &encode(&layout, stamp, &values)));
        let mut out = BytesMut::new();
        RowLayout::encode_tombstone(stamp, CHECK, &mut out);
        text.push_str(&shown(&format!("tombstone {stamp:?}"), &layout, &out));
    }
    require_golden("rows/wide.hex", &text);
}

#[test]
fn keys_and_checks() {
    let cases: [(&str, u32, u32, &[KeyValue<'_>]); 8] = [
        ("no join keys", 1, 1, &[]),
        ("bool", 1, 2, &[KeyValue::Bool(true)]),
        ("int64", 1, 3, &[KeyValue::Int64(-7)]),
        ("timestamp", 1, 4, &[KeyValue::Timestamp(Micros(1_384_516_800_000_000))]),
        ("date", 1, 5, &[KeyValue::Date(-1)]),
        ("string", 1, 128, &[KeyValue::String("N14907")]),
        ("bytes", 300, 16_384, &[KeyValue::Bytes(&[0, 0xff])]),
        ("dest, origin", 1, 7, &[KeyValue::String("1"), KeyValue::String("12")]),
    ];
    let layout = RowLayout::new(&["float32", "string"].map(|name| name.parse().unwrap()));
    let mut text = String::new();
    for (title, project, key_set, values) in cases {
        let (project, key_set) = (ProjectNumber(project), KeySetNumber(key_set));
        let key = EntityKey::encode(project, key_set, values.iter().copied(), &mut BytesMut::new()).unwrap();
        let parts = key.parts().unwrap();
        assert_eq!((parts.project, parts.key_set), (project, key_set));
        assert!(parts.values.iter().map(|value| value.borrow()).eq(values.iter().copied()));
        let check = layout.cell_check(FieldNumber(9)).of(&key);
        writeln!(text, "# {title}\nkey {}\ncheck of field 9 {:04x}", hex(key.as_bytes()), check.bits()).unwrap();
    }
    require_golden("keys.hex", &text);
}

#[test]
fn a_snapshot_of_every_kind() {
    let snapshot = sample::snapshot();
    let bytes = snapshot.to_bytes();
    let text = String::from_utf8(bytes.clone()).unwrap();
    require_golden("snapshot.json", &format!("{text}\n"));
    assert_eq!(Snapshot::from_bytes(&bytes).unwrap(), snapshot);
    require_golden("snapshot.blake3", &format!("{}\n", snapshot.hash()));
}

#[test]
fn fingerprints_of_the_sample() {
    let definitions = sample::snapshot().definitions;
    let lines = definitions.views.values().map(|view| format!("{} {}\n", view.name, view.fingerprint(&definitions)));
    require_golden("fingerprints.txt", &lines.collect::<String>());
}
