//! `POST /get-online-features`: the answer that Feast's clients read.

use serde_json::{Value as Json, json};
use tidegate_catalog::{KeyValue, Micros, Value};

use crate::{definitions::HOUR_US, kit::Sandbox};

const PATH: &str = "/get-online-features";
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// `name: value status event_time, ...` of every column.
fn columns(answer: &Json) -> Vec<String> {
    let names = answer["metadata"]["feature_names"].as_array().unwrap();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(names.len(), results.len());
    let column = |(name, result): (&Json, &Json)| {
        let part = |key: &str, row: usize| result[key][row].to_string().replace('"', "");
        let rows = result["values"].as_array().unwrap().len();
        let cells = (0..rows)
            .map(|row| format!("{} {} {}", part("values", row), part("statuses", row), part("event_timestamps", row)));
        format!("{}: {}", name.as_str().unwrap(), cells.collect::<Vec<_>>().join(", "))
    };
    names.iter().zip(results).map(column).collect()
}

fn stats(rate: Value<'static>) -> [Value<'static>; 5] {
    [rate, Value::Int64(9_007_199_254_740_993), Value::String("Oslo"), Value::Null, Value::Timestamp(Micros(1_500_000))]
}

#[tokio::test]
async fn statuses_are_exact_and_defaults_never_apply() {
    let sandbox = Sandbox::start().await;
    sandbox.put("stats", &[KeyValue::Int64(1)], 1_000_000, &stats(Value::Float32(0.1))).await;
    sandbox.put("stats", &[KeyValue::Int64(2)], HOUR_US + 1, &stats(Value::Float32(0.2))).await;
    sandbox.put("stats", &[KeyValue::Int64(3)], 0, &stats(Value::Float32(f32::NAN))).await;
    sandbox.delete("stats", &[KeyValue::Int64(4)]).await;
    let body = json!({"entities": {"driver_id": [1, 2, 3, 4, 5, 1]}, "full_feature_names": false,
        "features": ["stats:rate", "stats:trips", "stats:ok", "stats:seen"]});
    let answer = sandbox.post(PATH, &body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let (young, old, now) = ("2013-11-15T11:59:59Z", "2013-11-15T10:59:59.999999Z", "2013-11-15T12:00:00Z");
    let big = "9007199254740993";
    assert_eq!(
        columns(&answer.json()),
        [
            format!(
                "driver_id: 1 PRESENT {EPOCH}, 2 PRESENT {EPOCH}, 3 PRESENT {EPOCH}, 4 PRESENT {EPOCH}, 5 PRESENT {EPOCH}, 1 PRESENT {EPOCH}"
            ),
            format!(
                "rate: 0.1 PRESENT {young}, null OUTSIDE_MAX_AGE {old}, null PRESENT {now}, null NOT_FOUND {EPOCH}, null NOT_FOUND {EPOCH}, 0.1 PRESENT {young}"
            ),
            format!(
                "trips: {big} PRESENT {young}, null OUTSIDE_MAX_AGE {old}, {big} PRESENT {now}, null NOT_FOUND {EPOCH}, null NOT_FOUND {EPOCH}, {big} PRESENT {young}"
            ),
            format!(
                "ok: null NULL_VALUE {young}, null OUTSIDE_MAX_AGE {old}, null NULL_VALUE {now}, null NOT_FOUND {EPOCH}, null NOT_FOUND {EPOCH}, null NULL_VALUE {young}"
            ),
            format!(
                "seen: 1 PRESENT {young}, null OUTSIDE_MAX_AGE {old}, 1 PRESENT {now}, null NOT_FOUND {EPOCH}, null NOT_FOUND {EPOCH}, 1 PRESENT {young}"
            ),
        ]
    );
}

#[tokio::test]
async fn stale_values_are_sent_when_asked_for() {
    let sandbox = Sandbox::start().await;
    sandbox.put("profile", &[KeyValue::Int64(2)], HOUR_US + 1, &[Value::Float32(0.2)]).await;
    let body = json!({"entities": {"driver_id": [2]}, "features": ["profile:score"], "include_stale": true});
    let answer = sandbox.post(PATH, &body.to_string()).await.json();
    assert_eq!(columns(&answer)[1], "score: 0.2 OUTSIDE_MAX_AGE 2013-11-15T10:59:59.999999Z");
}

#[tokio::test]
async fn composite_keys_are_compared_part_by_part_and_an_alias_swaps_them() {
    let sandbox = Sandbox::start().await;
    let route = |dest, origin| [KeyValue::String(dest), KeyValue::String(origin)];
    sandbox.put("route_stats", &route("2", "11"), 0, &[Value::Float32(1.0)]).await;
    sandbox.put("route_stats", &route("12", "1"), 0, &[Value::Float32(2.0)]).await;
    let body = json!({"entities": {"origin": ["11", "1", "2"], "dest": ["2", "12", "11"]},
        "feature_service": "both_ways", "features": ["ignored:because"], "full_feature_names": true});
    let answer = sandbox.post(PATH, &body.to_string()).await;
    let now = "2013-11-15T12:00:00Z";
    assert_eq!(
        columns(&answer.json())[2..],
        [
            format!("route_stats__delay: 1.0 PRESENT {now}, 2.0 PRESENT {now}, null NOT_FOUND {EPOCH}"),
            format!("back__delay: null NOT_FOUND {EPOCH}, null NOT_FOUND {EPOCH}, 1.0 PRESENT {now}"),
        ]
    );
}

#[tokio::test]
async fn every_key_and_feature_type_is_read_and_written() {
    let sandbox = Sandbox::start().await;
    let key = [KeyValue::Date(1), KeyValue::Bool(true), KeyValue::Bytes(b"\x00\xff")];
    let tags = Value::List(vec![Value::String("a"), Value::Null]);
    let values = [Value::Float64(0.1), Value::Int32(-5), Value::Bytes(b"\x01\x02"), Value::Date(2), tags];
    sandbox.put("everything", &key, 0, &values).await;
    let body = json!({"entities": {"day": ["1970-01-02"], "flag": [true], "raw": ["AP8="]},
        "features": ["everything:whole", "everything:small", "everything:blob", "everything:born", "everything:tags"]});
    let answer = sandbox.post(PATH, &body.to_string()).await.json();
    let values = answer["results"].as_array().unwrap().iter().map(|result| result["values"][0].clone());
    assert_eq!(
        Json::from_iter(values),
        json!(["1970-01-02", true, "AP8=", 0.1, -5, "AQI=", "1970-01-03", ["a", null]])
    );
}

#[tokio::test]
async fn a_string_may_hold_anything_and_a_megabyte_of_it() {
    let sandbox = Sandbox::start().await;
    let long = "😀".repeat(200_000);
    for (driver, city) in [(1, "a\0\"\\😀\u{1f}"), (2, long.as_str())] {
        let values = [Value::Null, Value::Null, Value::String(city), Value::Null, Value::Null];
        sandbox.put("stats", &[KeyValue::Int64(driver)], 0, &values).await;
    }
    let body = json!({"entities": {"driver_id": [1, 2]}, "features": ["stats:city"]});
    let answer = sandbox.post(PATH, &body.to_string()).await.json();
    assert_eq!(answer["results"][1]["values"], json!(["a\0\"\\😀\u{1f}", long]));
}

#[tokio::test]
async fn names_are_short_or_full_and_a_service_keeps_its_order() {
    let sandbox = Sandbox::start().await;
    let names =
        async |body: Json| sandbox.post(PATH, &body.to_string()).await.json()["metadata"]["feature_names"].clone();
    let listed = json!({"entities": {"driver_id": [1]}, "features": ["stats:trips", "profile:score", "stats:rate"]});
    assert_eq!(names(listed).await, json!(["driver_id", "trips", "score", "rate"]));
    let service = json!({"entities": {"driver_id": [1], "distance": [2.0]}, "feature_service": "numbers",
        "full_feature_names": true});
    assert_eq!(names(service).await, json!(["driver_id", "stats__rate", "profile__score"]));
}

#[tokio::test]
async fn case_39_an_empty_key_list_is_a_valid_empty_answer() {
    let sandbox = Sandbox::start().await;
    let body = json!({"entities": {"driver_id": []}, "features": ["stats:rate"]});
    let answer = sandbox.post(PATH, &body.to_string()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(columns(&answer.json()), ["driver_id: ", "rate: "]);
}

#[tokio::test]
async fn fields_that_newer_clients_send_are_passed_over() {
    let sandbox = Sandbox::start().await;
    let body = json!({"entities": {"driver_id": [1]}, "features": ["stats:rate"], "full_feature_names": null,
        "include_feature_view_version_metadata": true, "future": {"a": [1, {"b": "c"}], "d": null}});
    let answer = sandbox.post(PATH, &body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(columns(&answer.json())[1], format!("rate: null NOT_FOUND {EPOCH}"));
}

#[tokio::test]
async fn stored_nan_and_infinities_are_null_and_present() {
    let sandbox = Sandbox::start().await;
    for (driver, value) in [(1, f32::NAN), (2, f32::INFINITY), (3, f32::NEG_INFINITY)] {
        sandbox.put("profile", &[KeyValue::Int64(driver)], 0, &[Value::Float32(value)]).await;
    }
    let key = [KeyValue::Date(1), KeyValue::Bool(true), KeyValue::Bytes(b"k")];
    let values = [Value::Float64(f64::NEG_INFINITY), Value::Null, Value::Null, Value::Null, Value::Null];
    sandbox.put("everything", &key, 0, &values).await;
    let body = json!({"entities": {"driver_id": [1, 2, 3]}, "features": ["profile:score"]});
    let answer = sandbox.post(PATH, &body.to_string()).await;
    let now = "2013-11-15T12:00:00Z";
    let null = format!("null PRESENT {now}");
    assert_eq!(columns(&answer.json())[1], format!("score: {null}, {null}, {null}"));
    let body =
        json!({"entities": {"day": ["1970-01-02"], "flag": [true], "raw": ["aw=="]}, "features": ["everything:whole"]});
    let answer = sandbox.post(PATH, &body.to_string()).await;
    assert_eq!(columns(&answer.json())[3], format!("whole: {null}"));
}

#[tokio::test]
async fn a_key_with_nul_is_a_key_of_its_own_and_a_request_value_may_be_a_megabyte() {
    let sandbox = Sandbox::start().await;
    let route = |origin| [KeyValue::String("b"), KeyValue::String(origin)];
    sandbox.put("route_stats", &route("a\0"), 0, &[Value::Float32(1.0)]).await;
    sandbox.put("route_stats", &route("a"), 0, &[Value::Float32(2.0)]).await;
    let body = json!({"entities": {"origin": ["a\0", "a", "a\0b"], "dest": ["b", "b", "b"]}, "features": ["route_stats:delay"]});
    let answer = sandbox.post(PATH, &body.to_string()).await.json();
    assert_eq!(answer["results"][0]["values"], json!(["a\0", "a", "a\0b"]));
    assert_eq!(answer["results"][2]["values"], json!([1.0, 2.0, null]));

    let note = "😀\0".repeat(210_000);
    let body = json!({"entities": {"driver_id": [1], "note": [note]}, "feature_service": "notes"});
    let answer = sandbox.post(PATH, &body.to_string()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["metadata"]["feature_names"], json!(["driver_id", "rate"]));
}
