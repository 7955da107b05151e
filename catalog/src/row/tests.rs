//! The row codec: what is written is read back, bytes order like stamps, and foreign bytes are refused.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use std::cmp::Ordering;

use bytes::BytesMut;
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{EntityKey, FeatureType, FieldNumber, KeySetNumber, KeyValue, Micros, ProjectNumber, ScalarType};

const CHECK: Check = Check::new(0x1234);

/// A value that owns its parts and whose floats are bits, so that equality is exact.
#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Null,
    Bool(bool),
    Int32(i32),
    Int64(i64),
    Float32(u32),
    Float64(u64),
    Timestamp(i64),
    Date(i32),
    String(String),
    Bytes(Vec<u8>),
    List(Vec<Owned>),
}

impl Owned {
    fn borrow(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int32(value) => Value::Int32(*value),
            Self::Int64(value) => Value::Int64(*value),
            Self::Float32(bits) => Value::Float32(f32::from_bits(*bits)),
            Self::Float64(bits) => Value::Float64(f64::from_bits(*bits)),
            Self::Timestamp(value) => Value::Timestamp(Micros(*value)),
            Self::Date(value) => Value::Date(*value),
            Self::String(text) => Value::String(text),
            Self::Bytes(bytes) => Value::Bytes(bytes),
            Self::List(items) => Value::List(items.iter().map(Self::borrow).collect()),
        }
    }

    fn of(value: &Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int32(value) => Self::Int32(*value),
            Value::Int64(value) => Self::Int64(*value),
            Value::Float32(value) => Self::Float32(value.to_bits()),
            Value::Float64(value) => Self::Float64(value.to_bits()),
            Value::Timestamp(value) => Self::Timestamp(value.0),
            Value::Date(value) => Self::Date(*value),
            Value::String(text) => Self::String((*text).to_owned()),
            Value::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
            Value::List(items) => Self::List(items.iter().map(Self::of).collect()),
        }
    }

    /// What a row keeps of it: every NaN is the one quiet NaN.
    fn canonical(&self) -> Self {
        match self {
            Self::Float32(bits) if f32::from_bits(*bits).is_nan() => Self::Float32(0x7fc0_0000),
            Self::Float64(bits) if f64::from_bits(*bits).is_nan() => Self::Float64(0x7ff8_0000_0000_0000),
            Self::List(items) => Self::List(items.iter().map(Self::canonical).collect()),
            other => other.clone(),
        }
    }
}

fn scalar_value(scalar: ScalarType) -> BoxedStrategy<Owned> {
    match scalar {
        ScalarType::Bool => any::<bool>().prop_map(Owned::Bool).boxed(),
        ScalarType::Int32 => any::<i32>().prop_map(Owned::Int32).boxed(),
        ScalarType::Int64 => any::<i64>().prop_map(Owned::Int64).boxed(),
        ScalarType::Float32 => {
            let special = select(vec![0x7fc0_0000, 0x7f80_0001, 0xffff_ffff, 0x8000_0000, 0, 0x7f80_0000, 0xff80_0000]);
            prop_oneof![special, any::<u32>()].prop_map(Owned::Float32).boxed()
        }
        ScalarType::Float64 => {
            let special = select(vec![0x7ff8_0000_0000_0000, 0x7ff0_0000_0000_0001, u64::MAX, 1 << 63, 0]);
            prop_oneof![special, any::<u64>()].prop_map(Owned::Float64).boxed()
        }
        ScalarType::Timestamp => any::<i64>().prop_map(Owned::Timestamp).boxed(),
        ScalarType::Date => any::<i32>().prop_map(Owned::Date).boxed(),
        ScalarType::String => {
            let odd = select(vec!["", "\0", "a\0b", "🦀", "é", "e\u{301}"]).prop_map(str::to_owned);
            prop_oneof![odd, "\\PC{0,12}"].prop_map(Owned::String).boxed()
        }
        ScalarType::Bytes => vec(any::<u8>(), 0..12).prop_map(Owned::Bytes).boxed(),
    }
}

fn nullable(values: BoxedStrategy<Owned>) -> BoxedStrategy<Owned> {
    prop_oneof![1 => Just(Owned::Null), 3 => values].boxed()
}

fn value(feature_type: FeatureType) -> BoxedStrategy<Owned> {
    nullable(match feature_type {
        FeatureType::Scalar(scalar) => scalar_value(scalar),
        FeatureType::List(scalar) => vec(nullable(scalar_value(scalar)), 0..11).prop_map(Owned::List).boxed(),
    })
}

fn feature_type() -> impl Strategy<Value = FeatureType> {
    let scalar = || select(ScalarType::ALL.to_vec());
    prop_oneof![2 => scalar().prop_map(FeatureType::Scalar), 1 => scalar().prop_map(FeatureType::List)]
}

/// Types of a view and rows of it.
fn rows(count: usize) -> impl Strategy<Value = (Vec<FeatureType>, Vec<Vec<Owned>>)> {
    vec(feature_type(), 0..18).prop_flat_map(move |types| {
        let row = types.iter().map(|feature_type| value(*feature_type)).collect::<Vec<_>>();
        (Just(types), vec(row, count))
    })
}

/// Times that are often equal, often neighbours across 1970, and sometimes anything.
fn micros() -> impl Strategy<Value = Micros> {
    prop_oneof![3 => -2_i64..3, 1 => any::<i64>(), 1 => select(vec![i64::MIN, i64::MAX])].prop_map(Micros)
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (micros(), proptest::option::of(micros())).prop_map(|(event, created)| Stamp { event, created })
}

fn encoded(layout: &RowLayout, stamp: Stamp, values: &[Owned]) -> Vec<u8> {
    let mut out = BytesMut::new();
    let values = values.iter().map(Owned::borrow).collect::<Vec<_>>();
    layout.encode(stamp, CHECK, &values, &mut out).unwrap();
    out.to_vec()
}

fn tombstone(stamp: Stamp) -> Vec<u8> {
    let mut out = BytesMut::new();
    RowLayout::encode_tombstone(stamp, CHECK, &mut out);
    out.to_vec()
}

fn decoded(row: &RowRef<'_>, layout: &RowLayout) -> Vec<Owned> {
    (0..layout.len()).map(|index| Owned::of(&row.value(index))).collect()
}

/// Whatever `bytes` are: parsing answers, and what it takes is exactly what encoding writes.
fn require_canonical_or_refused(bytes: &[u8], layout: &RowLayout) -> Result<(), TestCaseError> {
    let Some((header, _)) = RowHeader::split(bytes) else {
        prop_assert_eq!(RowRef::parse(bytes, layout, CHECK).unwrap_err(), RowError::Truncated("header"));
        return Ok(());
    };
    let Ok(row) = RowRef::parse(bytes, layout, header.check) else { return Ok(()) };
    let mut again = BytesMut::new();
    if row.is_tombstone() {
        RowLayout::encode_tombstone(row.stamp(), header.check, &mut again);
    } else {
        let values = (0..layout.len()).map(|index| row.value(index)).collect::<Vec<_>>();
        layout.encode(row.stamp(), header.check, &values, &mut again).unwrap();
    }
    prop_assert_eq!(&again[..], bytes);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_row_of_any_types_reads_back_as_it_was_written((types, rows) in rows(1), stamp in stamp()) {
        let layout = RowLayout::new(&types);
        let bytes = encoded(&layout, stamp, &rows[0]);
        let row = RowRef::parse(&bytes, &layout, CHECK).unwrap();
        prop_assert_eq!(row.stamp(), stamp);
        prop_assert!(!row.is_tombstone());
        prop_assert_eq!(decoded(&row, &layout), rows[0].iter().map(Owned::canonical).collect::<Vec<_>>());
        for (index, value) in rows[0].iter().enumerate() {
            prop_assert_eq!(row.is_null(index), *value == Owned::Null);
            let float = match value.canonical() { Owned::Float32(bits) => Some(bits), _ => None };
            prop_assert_eq!(row.f32(index).map(f32::to_bits), float);
            let list = match value.canonical() { Owned::List(items) => Some(items), _ => None };
            let read = row.list(index).map(|list| list.values().map(|item| Owned::of(&item)).collect::<Vec<_>>());
            prop_assert_eq!(read, list);
        }
        prop_assert_eq!(row.value(types.len()), Value::Null);
    }

    #[test]
    fn bytes_of_one_cell_order_like_stamps(
        (types, rows) in rows(2),
        stamps in (stamp(), stamp()),
        deleted in (any::<bool>(), any::<bool>()),
    ) {
        let layout = RowLayout::new(&types);
        let bytes = |stamp, deleted, values: &[Owned]| {
            if deleted { tombstone(stamp) } else { encoded(&layout, stamp, values) }
        };
        let (left, right) = (bytes(stamps.0, deleted.0, &rows[0]), bytes(stamps.1, deleted.1, &rows[1]));
        let times = stamps.0.event.cmp(&stamps.1.event).then(match (stamps.0.created, stamps.1.created) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => left.cmp(&right),
        });
        prop_assert_eq!(times, stamps.0.cmp(&stamps.1), "a stamp's own order");
        let order = times.then(deleted.0.cmp(&deleted.1));
        if order != Ordering::Equal {
            prop_assert_eq!(left.cmp(&right), order);
        } else {
            let content = |values: &[Owned]| values.iter().map(Owned::canonical).collect::<Vec<_>>();
            let same = deleted.0 || content(&rows[0]) == content(&rows[1]);
            prop_assert_eq!(left == right, same, "equal bytes are equal content, and the other way round");
        }
    }

    #[test]
    fn any_bytes_are_a_canonical_row_or_refused(
        types in vec(feature_type(), 0..6),
        bytes in vec(prop_oneof![2 => 0_u8..4, 1 => any::<u8>()], 0..80),
    ) {
        require_canonical_or_refused(&bytes, &RowLayout::new(&types))?;
    }

    #[test]
    fn a_row_with_changed_bytes_is_canonical_or_refused(
        (types, rows) in rows(1),
        stamp in stamp(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        tail in vec(any::<u8>(), 0..3),
    ) {
        let layout = RowLayout::new(&types);
        let mut bytes = encoded(&layout, stamp, &rows[0]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.extend(tail);
        require_canonical_or_refused(&bytes, &layout)?;
    }

    #[test]
    fn no_part_of_a_row_is_a_row((types, rows) in rows(1), stamp in stamp()) {
        let layout = RowLayout::new(&types);
        let bytes = encoded(&layout, stamp, &rows[0]);
        for end in 0..bytes.len() {
            prop_assert!(RowRef::parse(&bytes[..end], &layout, CHECK).is_err(), "the first {} bytes", end);
        }
    }
}

const AT: Stamp = Stamp { event: Micros(7), created: None };

fn layout(names: &[&str]) -> RowLayout {
    RowLayout::new(&names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>())
}

#[test]
fn ten_floats_with_both_times_fit_in_64_bytes() {
    let layout = layout(&["float32"; 10]);
    let stamp = Stamp { event: Micros::MAX, created: Some(Micros::MAX) };
    assert_eq!(encoded(&layout, stamp, &vec![Owned::Float32(1); 10]).len(), 61);
    assert_eq!(encoded(&layout, stamp, &vec![Owned::Null; 10]).len(), 61, "null or not");
}

#[test]
fn minus_zero_stays_and_every_nan_is_one() {
    let layout = layout(&["float32", "float64", "list<float32>"]);
    let minus_zero = [Owned::Float32(1 << 31), Owned::Float64(1 << 63), Owned::List(vec![Owned::Float32(1 << 31)])];
    let bytes = encoded(&layout, AT, &minus_zero);
    assert_eq!(decoded(&RowRef::parse(&bytes, &layout, CHECK).unwrap(), &layout), minus_zero);
    let nan = |narrow, wide| {
        encoded(&layout, AT, &[Owned::Float32(narrow), Owned::Float64(wide), Owned::List(vec![Owned::Float32(narrow)])])
    };
    assert_eq!(nan(0xffc0_0001, u64::MAX), nan(0x7f80_0001, 0x7ff8_0000_0000_0000));
}

#[test]
fn case_19_null_nan_empty_and_lists_of_null_stay_apart() {
    let layout = layout(&["list<string>", "string", "float32", "int64"]);
    let list = |items: &[Owned]| Owned::List(items.to_vec());
    let empty = Owned::String(String::new());
    let wide = Owned::Int64((1 << 53) + 1);
    let rows = [
        [Owned::Null, Owned::Null, Owned::Null, Owned::Null],
        [list(&[]), Owned::Null, Owned::Null, Owned::Null],
        [list(&[Owned::Null]), Owned::Null, Owned::Null, Owned::Null],
        [list(std::slice::from_ref(&empty)), Owned::Null, Owned::Null, Owned::Null],
        [Owned::Null, empty, Owned::Null, Owned::Null],
        [Owned::Null, Owned::Null, Owned::Float32(0x7fc0_0000), Owned::Null],
        [Owned::Null, Owned::Null, Owned::Null, wide],
    ];
    for (index, values) in rows.iter().enumerate() {
        let bytes = encoded(&layout, AT, values);
        assert_eq!(decoded(&RowRef::parse(&bytes, &layout, CHECK).unwrap(), &layout), values);
        assert!(rows[..index].iter().all(|other| encoded(&layout, AT, other) != bytes));
    }
}

#[test]
fn a_tombstone_is_eleven_or_nineteen_bytes_and_beats_the_greatest_value() {
    let layout = layout(&["int32"]);
    for (created, size) in [(None, 11), (Some(Micros(1)), 19)] {
        let stamp = Stamp { event: Micros(-1), created };
        let bytes = tombstone(stamp);
        assert_eq!(bytes.len(), size);
        let row = RowRef::parse(&bytes, &layout, CHECK).unwrap();
        assert!(row.is_tombstone() && row.is_null(0));
        assert_eq!((row.stamp(), row.value(0), row.f32(0)), (stamp, Value::Null, None));
        assert!(bytes > encoded(&layout, stamp, &[Owned::Int32(-1)]));
    }
}

#[test]
fn what_does_not_fit_the_layout_is_refused_and_leaves_the_buffer_as_it_was() {
    let layout = layout(&["int32", "list<string>"]);
    let mut out = BytesMut::from(&b"before"[..]);
    let mut refused = |values: &[Value<'_>]| {
        let error = layout.encode(AT, CHECK, values, &mut out).unwrap_err();
        assert_eq!(&out[..], b"before");
        error.to_string()
    };
    assert_eq!(refused(&[]), "0 values for a row of 2 features");
    assert_eq!(refused(&[Value::Int64(1), Value::Null]), "feature number 0 is int32, the value is not");
    assert_eq!(
        refused(&[Value::Null, Value::List(vec![Value::String("a"), Value::Int32(1)])]),
        "feature number 1 is list<string>, the value is not"
    );
    assert_eq!(refused(&[Value::Null, Value::String("a")]), "feature number 1 is list<string>, the value is not");
}

#[test]
fn a_row_of_one_mebibyte_is_the_largest() {
    let layout = layout(&["string"]);
    let overhead = encoded(&layout, AT, &[Owned::String(String::new())]).len();
    let text = "x".repeat(MAX_ROW_BYTES - overhead + 1);
    let mut out = BytesMut::new();
    layout.encode(AT, CHECK, &[Value::String(&text[1..])], &mut out).unwrap();
    assert_eq!(out.len(), MAX_ROW_BYTES);
    let error = layout.encode(AT, CHECK, &[Value::String(&text)], &mut out).unwrap_err();
    assert_eq!(error, EncodeError::TooLarge { size_bytes: MAX_ROW_BYTES + 1 });
    assert_eq!(out.len(), MAX_ROW_BYTES);
    let huge = "x".repeat(2 * MAX_ROW_BYTES);
    let error = layout.encode(AT, CHECK, &[Value::String(&huge)], &mut out).unwrap_err();
    assert!(error.to_string().contains("the limit is 1048576; shorten its strings"), "{error}");
}

/// Each way to be wrong, as the bytes after the header of one layout, and what is said about it.
#[test]
fn bytes_that_are_not_canonical_are_named() {
    use RowError::{NotCanonical, Truncated};
    let cases: &[(&[&str], &[u8], RowError)] = &[
        (&["bool"], &[0], Truncated("values")),
        (&["bool"], &[], Truncated("null bitmap")),
        (&["bool"], &[0, 2], NotCanonical("a bool")),
        (&["bool"], &[1, 1], NotCanonical("a null's slot")),
        (&["bool"], &[2, 0], NotCanonical("null bitmap padding")),
        (&["bool"], &[0, 1, 0], NotCanonical("bytes after the last value")),
        (&["int32"], &[1, 0, 0, 0, 1], NotCanonical("a null's slot")),
        (&["float32"], &[0, 1, 0, 0x80, 0x7f], NotCanonical("a NaN")),
        (&["float32"], &[0, 0, 0, 0xc0, 0xff], NotCanonical("a NaN")),
        (&["float64"], &[0, 1, 0, 0, 0, 0, 0, 0xf8, 0x7f], NotCanonical("a NaN")),
        (&["string"], &[0, 1, 0, 0, 0], Truncated("variable values")),
        (&["string"], &[0, 1, 0, 0, 0, 0xff], NotCanonical("a string that is not UTF-8")),
        (&["string"], &[1, 1, 0, 0, 0, b'a'], NotCanonical("a null's offset")),
        (&["bytes"], &[0, 1, 0, 0, 0, 7, 7], NotCanonical("bytes after the last value")),
        (&["bytes", "bytes"], &[0, 2, 0, 0, 0, 1, 0, 0, 0, 7, 7], NotCanonical("offsets that go back")),
        (&["list<bool>"], &[0, 3, 0, 0, 0, 0, 0, 0], Truncated("list count")),
        (&["list<bool>"], &[0, 4, 0, 0, 0, 1, 0, 0, 0], Truncated("list null bitmap")),
        (&["list<bool>"], &[0, 5, 0, 0, 0, 1, 0, 0, 0, 0], Truncated("list elements")),
        (&["list<bool>"], &[0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 9], NotCanonical("a bool")),
        (&["list<bool>"], &[0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0], NotCanonical("null bitmap padding")),
        (&["list<bool>"], &[0, 5, 0, 0, 0, 0, 0, 0, 0, 0], NotCanonical("bytes after a list's last element")),
        (&["list<int64>"], &[0, 4, 0, 0, 0, 255, 255, 255, 255], Truncated("list null bitmap")),
        (
            &["list<string>"],
            &[0, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0xff],
            NotCanonical("a string that is not UTF-8"),
        ),
    ];
    for (names, rest, expected) in cases {
        let mut bytes = BytesMut::new();
        RowHeader { stamp: AT, tombstone: false, check: CHECK }.put(&mut bytes);
        bytes.extend_from_slice(rest);
        assert_eq!(RowRef::parse(&bytes, &layout(names), CHECK).unwrap_err(), *expected, "{names:?} {rest:?}");
    }
    let mut bytes = tombstone(AT);
    bytes.push(0);
    assert_eq!(
        RowRef::parse(&bytes, &layout(&[]), CHECK).unwrap_err(),
        NotCanonical("bytes after a tombstone"),
        "and a tombstone has nothing behind it"
    );
}

#[test]
fn another_cells_row_is_refused_with_both_checks() {
    let layout = layout(&["int32"]);
    let bytes = encoded(&layout, AT, &[Owned::Int32(1)]);
    let error = RowRef::parse(&bytes, &layout, Check::new(0x0042)).unwrap_err();
    assert_eq!(error.to_string(), "row belongs to another cell: its check is 0x1234, this cell's is 0x0042");
}

#[test]
fn a_check_depends_on_key_field_and_the_order_of_types_and_leaves_the_top_bit_free() {
    let key = |name: &str| {
        EntityKey::encode(ProjectNumber(1), KeySetNumber(1), [KeyValue::String(name)], &mut BytesMut::new()).unwrap()
    };
    let check = |names: &[&str], field, name: &str| layout(names).cell_check(FieldNumber(field)).of(&key(name));
    let one = check(&["int32", "date"], 1, "a");
    assert_eq!(check(&["int32", "date"], 1, "a"), one);
    for other in [
        check(&["date", "int32"], 1, "a"),
        check(&["int32", "list<date>"], 1, "a"),
        check(&["int32", "date"], 2, "a"),
        check(&["int32", "date"], 1, "b"),
    ] {
        assert_ne!(other, one);
    }
    for field in 0..1_000 {
        assert!(check(&["int32"], field, "a").bits() < 1 << 15);
    }
    assert_eq!(Check::new(0xffff).bits(), 0x7fff);
}
