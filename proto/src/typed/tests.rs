//! Each type's JSON form: what is read exactly, what is refused, in which words.

use bytes::BytesMut;
use tidegate_catalog::{FeatureType, Micros, Value};

use super::{TimeForm, Typed, write};
use crate::json::{JsonValue, Reader, Writer};

fn json(text: &str) -> JsonValue<'_> {
    Reader::new(text.as_bytes()).unwrap().value().unwrap()
}

fn read_as(text: &str, wanted: &str, form: TimeForm) -> Result<String, String> {
    let value = json(text);
    let wanted = wanted.parse::<FeatureType>().unwrap();
    Typed::read(&value, wanted, form).map(|typed| format!("{typed:?}")).map_err(|error| error.to_string())
}

#[test]
fn values_are_read_exactly_under_their_type() {
    #[rustfmt::skip]
    let cases = [
        ("true", "bool", "Bool(true)"),
        ("-2147483648", "int32", "Int32(-2147483648)"),
        ("9007199254740993", "int64", "Int64(9007199254740993)"),
        ("9223372036854775807", "int64", "Int64(9223372036854775807)"),
        ("1e3", "int64", "Int64(1000)"),
        ("3.0", "int32", "Int32(3)"),
        ("1e3", "float32", "Float32(1000.0)"),
        ("0.1", "float32", "Float32(0.1)"),
        ("-0.0", "float64", "Float64(-0.0)"),
        ("7", "float64", "Float64(7.0)"),
        ("\"2013-11-15T12:00:00Z\"", "timestamp", "Timestamp(Micros(1384516800000000))"),
        ("\"1970-01-02\"", "date", "Date(1)"),
        ("\"AAEC/w==\"", "bytes", "Bytes([0, 1, 2, 255])"),
        ("\"\"", "string", "String(\"\")"),
        ("[1, null]", "list<int64>", "List([Int64(1), Null])"),
        ("null", "bool", "Null"),
    ];
    for (text, wanted, typed) in cases {
        assert_eq!(read_as(text, wanted, TimeForm::Rfc3339).as_deref(), Ok(typed), "{text} as {wanted}");
    }
}

#[test]
fn a_wrong_type_names_what_was_expected_and_what_was_found() {
    #[rustfmt::skip]
    let cases = [
        ("\"1\"", "int64", "expected int64, found the string \"1\""),
        ("1.5", "int64", "expected int64, found 1.5"),
        ("9007199254740993.0", "int64", "expected int64, found 9007199254740993.0"),
        ("9223372036854775808", "int64", "expected int64, found 9223372036854775808"),
        ("2147483648", "int32", "expected int32, found 2147483648"),
        ("1e400", "float64", "expected float64, found 1e400"),
        ("1e39", "float32", "expected float32, found 1e39"),
        ("\"NaN\"", "float32", "expected float32, found the string \"NaN\""),
        ("1", "bool", "expected bool, found 1"),
        ("1384516800", "timestamp", "expected timestamp (like \"2013-11-15T12:00:00Z\"), found 1384516800"),
        ("\"x\"", "date", "expected date (like \"2013-11-15\"), found the string \"x\""),
        ("\"*\"", "bytes", "expected bytes (a base64 string), found the string \"*\""),
        ("5", "list<int64>", "expected list<int64> (a list), found 5"),
        ("[5]", "int64", "expected int64, found a list of 1"),
        ("[\"a\"]", "list<int64>", "expected int64, found the string \"a\""),
    ];
    for (text, wanted, words) in cases {
        assert_eq!(read_as(text, wanted, TimeForm::Rfc3339).unwrap_err(), words);
    }
}

#[test]
fn the_feast_face_reads_and_writes_seconds() {
    let noon = Ok("Timestamp(Micros(1384516800000000))".to_owned());
    assert_eq!(read_as("1384516800", "timestamp", TimeForm::Seconds), noon);
    assert_eq!(read_as("\"2013-11-15T12:00:00Z\"", "timestamp", TimeForm::Seconds), noon);
    assert_eq!(written(&Value::Timestamp(Micros(1_999_999)), TimeForm::Seconds), "1");
    assert_eq!(written(&Value::Timestamp(Micros(-1)), TimeForm::Seconds), "-1");
}

#[test]
fn values_are_written_in_their_json_form() {
    assert_eq!(written(&Value::Float32(0.1), TimeForm::Rfc3339), "0.1");
    assert_eq!(written(&Value::Float32(f32::NAN), TimeForm::Rfc3339), "null");
    assert_eq!(written(&Value::Float64(f64::NEG_INFINITY), TimeForm::Rfc3339), "null");
    assert_eq!(written(&Value::Int64(i64::MIN), TimeForm::Rfc3339), "-9223372036854775808");
    assert_eq!(written(&Value::String("a\0\"😀"), TimeForm::Rfc3339), r#""a\u0000\"😀""#);
    let list = Value::List(vec![Value::Int32(1), Value::Null]);
    assert_eq!(written(&list, TimeForm::Rfc3339), "[1,null]");
    assert_eq!(written(&Value::Timestamp(Micros(500_000)), TimeForm::Rfc3339), "\"1970-01-01T00:00:00.500Z\"");
}

fn written(value: &Value<'_>, form: TimeForm) -> String {
    let mut out = BytesMut::new();
    write(&mut Writer::new(&mut out), value, form);
    String::from_utf8(out.to_vec()).unwrap()
}
