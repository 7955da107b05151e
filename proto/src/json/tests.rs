//! The reader against serde_json as its oracle, its words for what is malformed, and the writer's forms.

use bytes::BytesMut;
use proptest::prelude::*;
use tidegate_catalog::Micros;

use super::{JsonValue, MAX_VALUES, Reader, Writer};

fn read(text: &str) -> Result<JsonValue<'_>, String> {
    let mut reader = Reader::new(text.as_bytes()).map_err(|error| error.to_string())?;
    let value = reader.value().map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(value)
}

fn refused(text: &str) -> String {
    read(text).unwrap_err()
}

fn written(write: impl FnOnce(&mut Writer<'_>)) -> String {
    let mut out = BytesMut::new();
    write(&mut Writer::new(&mut out));
    String::from_utf8(out.to_vec()).unwrap()
}

fn as_serde(value: &JsonValue<'_>) -> serde_json::Value {
    match value {
        JsonValue::Null => serde_json::Value::Null,
        JsonValue::Bool(value) => (*value).into(),
        JsonValue::Number(text) => serde_json::from_str(text).unwrap(),
        JsonValue::String(text) => text.as_ref().into(),
        JsonValue::List(elements) => elements.iter().map(as_serde).collect(),
    }
}

fn any_column_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 8, |inner| prop::collection::vec(inner, 0..8).prop_map(Into::into))
}

proptest! {
    #[test]
    fn what_serde_json_writes_is_read_back(value in any_column_value(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        prop_assert_eq!(as_serde(&read(&text).unwrap()), value);
    }

    #[test]
    fn any_bytes_are_accepted_or_refused_as_serde_json_does(text in r#"[\[\],:"\\ 0-9a-eE.+\-tfnu]{0,12}"#) {
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        let ours = read(&text);
        // serde_json refuses numbers beyond a double, we hand them on as written; objects are no column value
        let out_of_range = theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
        if !out_of_range {
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
        }
    }

    #[test]
    fn strings_are_written_so_that_serde_json_reads_them_back(text: String) {
        let json = written(|writer| writer.string(&text));
        prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn floats_are_written_as_the_shortest_text_that_reads_back(bits: u32) {
        let value = f32::from_bits(bits);
        let json = written(|writer| writer.float32(value));
        if value.is_finite() {
            prop_assert_eq!(json.parse::<f32>().unwrap().to_bits(), value.to_bits());
            prop_assert!(serde_json::from_str::<f64>(&json).is_ok(), "{} is not JSON", json);
        } else {
            prop_assert_eq!(json, "null");
        }
    }

    #[test]
    fn times_are_written_like_the_catalogs_own_text(micros in -62_167_219_200_000_000_i64..253_402_300_800_000_000) {
        for instant in [Micros(micros), Micros(micros / 1_000 * 1_000), Micros(micros / 1_000_000 * 1_000_000)] {
            prop_assert_eq!(written(|writer| writer.time(instant)), format!("\"{instant}\""));
        }
    }
}

#[test]
fn what_is_malformed_is_named_with_its_place() {
    #[rustfmt::skip]
    let cases = [
        ("", "the body is empty; send a JSON object"),
        ("  \n", "the body is empty; send a JSON object"),
        ("[1, 2", "the body is cut off after 5 bytes, a comma or the end of the list is missing"),
        ("\"abc", "the body is cut off after 4 bytes, the end of a string is missing"),
        ("tru", "the body is cut off after 3 bytes, true, false or null is missing"),
        ("[1,]", "the body is not valid JSON at byte 3: expected a value after the comma, found ']'"),
        ("NaN", "the body is not valid JSON at byte 0: expected a value, found 'N'"),
        ("-Infinity", "the body is not valid JSON at byte 1: expected a digit, found 'I'"),
        ("0123", "the body is not valid JSON at byte 1: expected the end of the number, found '1'"),
        ("1.", "the body is cut off after 2 bytes, a digit is missing"),
        ("1 2", "the body is not valid JSON at byte 2: expected the end of the body, found '2'"),
        ("{}", "the body is not valid JSON at byte 0: expected a value, found '{'"),
        ("\"\\x\"", "the body is not valid JSON at byte 2: expected an escape, found 'x'"),
        ("\"\\ud800\"", "the body is not valid JSON at byte 7: expected the second half of a surrogate pair, found '\"'"),
        ("\"a\nb\"", "the body is not valid JSON at byte 2: expected an escape in the string, found '\\n'"),
        ("[[[[[[[[[[[[[[[[[1", "the body is nested deeper than 16 levels at byte 16"),
    ];
    for (text, words) in cases {
        assert_eq!(refused(text), words, "{text:?}");
    }
    assert_eq!(Reader::new(b"\"\xff\"").unwrap_err().to_string(), "the body is not UTF-8: byte 1 is wrong");
}

#[test]
fn escapes_surrogate_pairs_nul_and_emoji_are_read() {
    assert_eq!(read(r#""\u0000\ud83d\ude00\n\/""#).unwrap(), JsonValue::String("\0😀\n/".into()));
    assert_eq!(read("\"😀\"").unwrap(), JsonValue::String("😀".into()));
}

#[test]
fn numbers_are_handed_on_as_written() {
    for text in ["9007199254740993", "1e3", "-0", "-0.0", "1E+400", "123456789012345678901234567890"] {
        assert_eq!(read(text).unwrap(), JsonValue::Number(text));
    }
}

#[test]
fn a_body_of_ten_thousand_brackets_is_refused_without_deep_recursion() {
    let open = "[".repeat(10_000);
    assert_eq!(refused(&open), "the body is nested deeper than 16 levels at byte 16");
    let mut reader = Reader::new(open.as_bytes()).unwrap();
    assert!(reader.skip().is_err());
}

#[test]
fn years_that_rfc_3339_cannot_say_are_numbers() {
    assert_eq!(written(|writer| writer.time(Micros(i64::MAX))), "9223372036854775807");
    assert_eq!(written(|writer| writer.date(i32::MIN)), "-2147483648");
    assert_eq!(written(|writer| writer.date(15_000)), "\"2011-01-26\"");
}

#[test]
fn commas_stand_between_values_and_nowhere_else() {
    let json = written(|writer| {
        writer.begin_object();
        writer.key("a");
        writer.begin_list();
        writer.int(1);
        writer.null();
        writer.begin_object();
        writer.end_object();
        writer.end_list();
        writer.key("b");
        writer.hex128(0xab);
        writer.key_escaped("c\"");
        writer.base64(b"\x00\x01\x02\xff");
        writer.end_object();
    });
    assert_eq!(json, r#"{"a":[1,null,{}],"b":"000000000000000000000000000000ab","c\"":"AAEC/w=="}"#);
}

#[test]
fn a_body_of_more_values_than_the_limit_is_refused_without_keeping_them() {
    let body = |values: usize| format!("[{}0]", "0,".repeat(values - 1));
    assert!(read(&body(MAX_VALUES - 1)).is_ok(), "the list itself counts");
    assert_eq!(refused(&body(MAX_VALUES)), "the body has more than 1000000 values; split the request");
}
