//! `POST /v1/predict/{endpoint}`: values, statuses, defaults, rows that fail alone.

use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use tidegate_catalog::{KeyValue, Micros, Stamp, Value, ValueSource};
use tidegate_gateway::{PredictionRecord, PredictionSink};

use crate::{
    definitions::HOUR_US,
    kit::{Client, Sandbox, Setup},
};

const DRIVER: [KeyValue<'static>; 1] = [KeyValue::Int64(7)];

fn stats(rate: Value<'static>) -> [Value<'static>; 5] {
    [rate, Value::Int64(3), Value::String("Oslo"), Value::Bool(true), Value::Timestamp(Micros(1_500_000))]
}

/// What the answer says about one feature of one row.
fn cell(answer: &Json, reference: &str, row: usize) -> String {
    let cell = &answer["features"][reference][row];
    format!("{} {} {} {} {}", cell["value"], cell["status"], cell["source"], cell["event_time"], cell["age_ms"])
        .replace('"', "")
}

const ASK: &str = r#"{"entities": {"driver_id": 7}, "request": {"distance": 10}, "include": ["features"]}"#;

#[tokio::test]
async fn stored_features_and_request_values_reach_the_model() {
    let sandbox = Sandbox::start().await;
    sandbox.put("stats", &DRIVER, 1_200_000, &stats(Value::Float32(0.5))).await;
    sandbox.put("profile", &DRIVER, 0, &[Value::Float32(2.0)]).await;
    let answer = sandbox.post("/v1/predict/fare", ASK).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let json = answer.json();
    assert_eq!(json["outputs"], json!({"sum": [12.5]}));
    assert_eq!(json["errors"], json!([]));
    assert_eq!(json["degraded"], json!(false));
    assert_eq!(json["endpoint"], json!("fare"));
    assert_eq!(json["variant"], json!("main"));
    assert_eq!(json["catalog_version"], json!(1));
    assert_eq!(json["model"], json!({"name": "model", "version": "1", "hash": "fake"}));
    assert_eq!(json["prediction_ids"].as_array().unwrap().len(), 1);
    assert_eq!(cell(&json, "stats:rate", 0), "0.5 PRESENT STORE 2013-11-15T11:59:58.800Z 1200");
    assert_eq!(cell(&json, "profile:score", 0), "2.0 PRESENT STORE 2013-11-15T12:00:00Z 0");
}

#[tokio::test]
async fn the_four_statuses_are_exact_and_a_default_stands_in_for_three_of_them() {
    let sandbox = Sandbox::start().await;
    let not_found = sandbox.post("/v1/predict/fare", ASK).await.json();
    assert_eq!(cell(&not_found, "stats:rate", 0), "0.25 NOT_FOUND DEFAULT null null");
    assert_eq!(cell(&not_found, "profile:score", 0), "null NOT_FOUND STORE null null");
    assert_eq!(not_found["outputs"]["sum"], json!([null]), "a missing float is NaN, and NaN is null in JSON");

    sandbox.put("stats", &DRIVER, HOUR_US + 1, &stats(Value::Float32(0.5))).await;
    let expired = sandbox.post("/v1/predict/fare", ASK).await.json();
    assert_eq!(cell(&expired, "stats:rate", 0), "0.25 OUTSIDE_MAX_AGE DEFAULT 2013-11-15T10:59:59.999999Z 3600000");

    sandbox.put("stats", &DRIVER, 10, &stats(Value::Null)).await;
    let null = sandbox.post("/v1/predict/fare", ASK).await.json();
    assert_eq!(cell(&null, "stats:rate", 0), "0.25 NULL_VALUE DEFAULT 2013-11-15T11:59:59.999990Z 0");

    sandbox.delete("stats", &DRIVER).await;
    let deleted = sandbox.post("/v1/predict/fare", ASK).await.json();
    assert_eq!(cell(&deleted, "stats:rate", 0), "0.25 NOT_FOUND DEFAULT null null");
}

#[tokio::test]
async fn case_38_a_row_exactly_as_old_as_its_ttl_is_present() {
    let sandbox = Sandbox::start().await;
    sandbox.put("stats", &DRIVER, HOUR_US, &stats(Value::Float32(0.5))).await;
    let present = sandbox.post("/v1/predict/fare", ASK).await.json();
    assert_eq!(cell(&present, "stats:rate", 0), "0.5 PRESENT STORE 2013-11-15T11:00:00Z 3600000");
    sandbox.clock.advance(std::time::Duration::from_micros(1));
    let expired = sandbox.post("/v1/predict/fare", ASK).await.json();
    assert_eq!(cell(&expired, "stats:rate", 0), "0.25 OUTSIDE_MAX_AGE DEFAULT 2013-11-15T11:00:00Z 3600000");
}

#[tokio::test]
async fn a_row_that_fails_alone_has_null_outputs_and_its_reason() {
    let sandbox = Sandbox::start().await;
    sandbox.put("profile", &DRIVER, 0, &[Value::Float32(2.0)]).await;
    let body = r#"{"entities": {"driver_id": [8, 7, null]}, "request": {"distance": [1, 2, 3]}}"#;
    let answer = sandbox.post("/v1/predict/strict", body).await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    assert_eq!(json["outputs"]["sum"], json!([null, 4.25, null]));
    assert_eq!(
        json["errors"],
        json!([
            {"row": 0, "code": "FailedPrecondition", "message": "feature \"profile:score\" is NOT_FOUND and has no default"},
            {"row": 2, "code": "InvalidArgument", "message": "entities.driver_id is null, and null is no key"},
        ])
    );
    assert_eq!(json["prediction_ids"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_by_name_model_gets_numbers_strings_and_bools_and_asks_only_for_its_own_keys() {
    let sandbox = Sandbox::start().await;
    sandbox.put("stats", &DRIVER, 0, &stats(Value::Float32(0.5))).await;
    let answer = sandbox.post("/v1/predict/named", r#"{"entities": {"driver_id": [7]}}"#).await;
    assert_eq!(answer.json()["outputs"]["sum"], json!([8.5]), "3 trips, 4 letters, 0.5, true: {}", answer.body);
    let missing = sandbox.post("/v1/predict/named", r#"{"entities": {"driver_id": [9]}}"#).await;
    assert_eq!(
        missing.error(),
        "422 FailedPrecondition every row failed; row 0: feature \"stats:trips\" is NOT_FOUND: it is missing, and the \
         model's input \"stats__trips\" is int64, which has no null; give the feature a default"
    );
}

#[tokio::test]
async fn features_that_the_model_does_not_use_are_looked_up_when_asked_for() {
    let sandbox = Sandbox::start().await;
    sandbox.put("stats", &DRIVER, 0, &stats(Value::Float32(0.5))).await;
    let route = [KeyValue::String("JFK"), KeyValue::String("LAX")];
    sandbox.put("route_stats", &route, 0, &[Value::Float32(9.0)]).await;
    let body = r#"{"entities": {"driver_id": 7, "origin": "LAX", "dest": "JFK"}, "include": ["features"]}"#;
    let json = sandbox.post("/v1/predict/named", body).await.json();
    assert_eq!(json["features"]["route_stats:delay"][0]["value"], json!(9.0));
    assert_eq!(json["features"]["stats:seen"][0]["value"], json!("1970-01-01T00:00:01.500Z"));
    let partial = sandbox.post("/v1/predict/named", r#"{"entities": {"driver_id": 7}, "include": ["features"]}"#).await;
    assert_eq!(partial.error(), "400 InvalidArgument entities: column \"origin\" is missing".replace("origin", "dest"));
}

#[tokio::test]
async fn another_cells_bytes_are_a_failed_cell_and_the_answer_says_degraded() {
    let sandbox = Sandbox::start().await;
    sandbox.put("profile", &DRIVER, 0, &[Value::Float32(2.0)]).await;
    sandbox.put_foreign("stats", &DRIVER, &[KeyValue::Int64(8)], &stats(Value::Float32(0.5))).await;
    let json = sandbox.post("/v1/predict/fare", ASK).await.json();
    assert_eq!(json["degraded"], json!(true));
    assert_eq!(cell(&json, "stats:rate", 0), "0.25 null DEFAULT null null");
    assert_eq!(json["outputs"]["sum"], json!([12.25]));
    let metrics = sandbox.get("/metrics").await.body;
    assert!(metrics.contains("tidegate_gateway_failed_cells_total{reason=\"not_its_row\"} 1"), "{metrics}");

    sandbox.put_foreign("profile", &DRIVER, &[KeyValue::Int64(8)], &[Value::Float32(1.0)]).await;
    let refused = sandbox.post("/v1/predict/fare", ASK).await;
    assert_eq!(
        refused.error(),
        "503 Unavailable every row failed; row 0: the online store did not answer for feature \"profile:score\", \
         which has no default"
    );
}

#[tokio::test]
async fn case_39_duplicate_keys_are_answered_in_order_and_no_keys_at_all_are_a_valid_question() {
    let sandbox = Sandbox::start().await;
    sandbox.put("profile", &DRIVER, 0, &[Value::Float32(2.0)]).await;
    sandbox.put("profile", &[KeyValue::Int64(8)], 0, &[Value::Float32(3.0)]).await;
    let answer = sandbox.post("/v1/predict/score", r#"{"entities": {"driver_id": [8, 7, 8]}}"#).await;
    assert_eq!(answer.json()["outputs"]["sum"], json!([3.0, 2.0, 3.0]));
    let empty = sandbox.post("/v1/predict/score", r#"{"entities": {"driver_id": []}}"#).await;
    assert_eq!(empty.status, 200, "{}", empty.body);
    assert_eq!(empty.json()["outputs"]["sum"], json!([]));
}

#[tokio::test]
async fn an_int64_beyond_two_to_the_53_is_exact_as_key_and_as_value() {
    let sandbox = Sandbox::start().await;
    let big = 9_007_199_254_740_993_i64;
    let values = [Value::Float32(0.5), Value::Int64(big), Value::String("a😀"), Value::Bool(false), Value::Null];
    sandbox.put("stats", &[KeyValue::Int64(big)], 0, &values).await;
    let body =
        format!(r#"{{"entities": {{"driver_id": {big}, "origin": "a", "dest": "b"}}, "include": ["features"]}}"#);
    let answer = sandbox.post("/v1/predict/named", &body).await;
    assert!(answer.body.contains(&format!("\"value\":{big}")), "{}", answer.body);
    assert!(answer.body.contains("\"value\":\"a😀\""), "{}", answer.body);
}

#[tokio::test]
async fn a_string_with_nul_fails_its_row_where_the_model_takes_strings() {
    let sandbox = Sandbox::start().await;
    let values = [Value::Float32(0.5), Value::Int64(1), Value::String("a\0b"), Value::Bool(false), Value::Null];
    sandbox.put("stats", &DRIVER, 0, &values).await;
    let answer = sandbox.post("/v1/predict/named", r#"{"entities": {"driver_id": 7}}"#).await;
    assert_eq!(
        answer.error(),
        "422 FailedPrecondition every row failed; row 0: feature \"stats:city\" is PRESENT: it has a NUL character, which \
         the model's input \"stats__city\" cannot take"
    );
}

#[tokio::test]
async fn the_callers_request_id_is_echoed_and_an_unusable_one_replaced() {
    let sandbox = Sandbox::start().await;
    let mut client = Client::connect(sandbox.addr).await;
    let body = r#"{"entities": {"driver_id": []}}"#.as_bytes();
    let echoed = client.send("POST", "/v1/predict/score", &["x-request-id: mine-1"], body).await;
    assert_eq!(echoed.header("x-request-id"), Some("mine-1"));
    assert_eq!(echoed.json()["request_id"], json!("mine-1"));
    let spaces = client.send("POST", "/v1/predict/score", &["x-request-id: a b"], body).await;
    assert_eq!(spaces.header("x-request-id").map(str::len), Some(32));
    let long = format!("x-request-id: {}", "x".repeat(129));
    let replaced = client.send("POST", "/v1/predict/score", &[&long], body).await;
    assert_eq!(replaced.header("x-request-id").map(str::len), Some(32));
}

/// Keeps what it is offered, as text.
#[derive(Debug, Default)]
struct KeepingSink {
    seen: Mutex<Vec<String>>,
}

impl PredictionSink for KeepingSink {
    fn wants(&self, endpoint: &str) -> bool {
        endpoint == "strict"
    }
    fn offer(&self, record: &PredictionRecord<'_>) {
        let cell = |stamp: &Option<Stamp>, source: &Option<ValueSource>| {
            let event = stamp.map_or("-".to_owned(), |stamp| stamp.event.to_string());
            format!("{}@{event}", source.map_or("-", |source| source.as_str()))
        };
        let cells = record.features.iter().map(|(stamp, source)| cell(stamp, source)).collect::<Vec<_>>().join(",");
        let PredictionRecord { endpoint, model, output_row, entity_keys, .. } = record;
        self.seen.lock().unwrap().push(format!("{endpoint} {model} {output_row} {} {cells}", entity_keys.len()));
    }
}

#[tokio::test]
async fn each_answered_row_is_offered_to_a_sink_that_wants_it() {
    let sink = Arc::new(KeepingSink::default());
    let setup = Setup { sink: Arc::<KeepingSink>::clone(&sink), ..Setup::default() };
    let sandbox = Sandbox::with(setup).await;
    sandbox.put("profile", &DRIVER, 0, &[Value::Float32(2.0)]).await;
    let body = r#"{"entities": {"driver_id": [8, 7]}, "request": {"distance": [1, 2]}}"#;
    sandbox.post("/v1/predict/strict", body).await;
    sandbox.post("/v1/predict/fare", body).await;
    assert_eq!(*sink.seen.lock().unwrap(), ["strict model 0 1 DEFAULT@-,STORE@2013-11-15T12:00:00Z"]);
}

#[tokio::test]
async fn nan_and_infinity_from_the_store_or_out_of_the_model_are_null_in_valid_json() {
    let sandbox = Sandbox::start().await;
    let stored = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX];
    for (driver, value) in (1..).zip(stored) {
        sandbox.put("profile", &[KeyValue::Int64(driver)], 0, &[Value::Float32(value)]).await;
    }
    let body = r#"{"entities": {"driver_id": [1, 2, 3, 4]}, "request": {"distance": [1, 1, 1, 3.4e38]}, "include": ["features"]}"#;
    for endpoint in ["fare", "strict"] {
        let answer = sandbox.post(&format!("/v1/predict/{endpoint}"), body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let json = answer.json();
        assert_eq!(json["outputs"]["sum"], json!([null, null, null, null]), "the last sum overflows");
        assert_eq!(json["errors"], json!([]), "they are values like others, not failures");
        for row in 0..3 {
            assert_eq!(cell(&json, "profile:score", row), "null PRESENT STORE 2013-11-15T12:00:00Z 0");
        }
        assert_eq!(json["features"]["profile:score"][3]["value"], json!(3.402_823_5e38));
    }
}

#[tokio::test]
async fn composite_keys_are_compared_part_by_part_and_a_null_part_fails_its_row_alone() {
    let sandbox = Sandbox::start().await;
    sandbox.put("stats", &DRIVER, 0, &stats(Value::Float32(0.5))).await;
    let route = |dest, origin| [KeyValue::String(dest), KeyValue::String(origin)];
    sandbox.put("route_stats", &route("2", "11"), 0, &[Value::Float32(1.0)]).await;
    sandbox.put("route_stats", &route("12", "1"), 0, &[Value::Float32(2.0)]).await;
    sandbox.put("route_stats", &route("b", "a\0"), 0, &[Value::Float32(3.0)]).await;
    let body = json!({"include": ["features"], "entities": {"driver_id": [7, 7, 7, 7, 7, 7],
        "origin": ["11", "1", "2", "a\0", "a", null], "dest": ["2", "12", "11", "b", "b", "b"]}});
    let json = sandbox.post("/v1/predict/named", &body.to_string()).await.json();
    let delays = json["features"]["route_stats:delay"].as_array().unwrap();
    let found = delays.iter().map(|cell| format!("{} {}", cell["value"], cell["status"]).replace('"', ""));
    let none = "null NOT_FOUND";
    assert_eq!(found.collect::<Vec<_>>(), ["1.0 PRESENT", "2.0 PRESENT", none, "3.0 PRESENT", none, "null null"]);
    assert_eq!(
        json["errors"],
        json!([{"row": 5, "code": "InvalidArgument", "message": "entities.origin is null, and null is no key"}])
    );
    assert_eq!(json["outputs"]["sum"], json!([8.5, 8.5, 8.5, 8.5, 8.5, null]));
}

#[tokio::test]
async fn a_string_of_a_megabyte_reaches_the_model_from_the_request_and_from_the_store() {
    let sandbox = Sandbox::start().await;
    let text = "😀".repeat(250_000);
    let values = [Value::Float32(0.5), Value::Int64(0), Value::String(&text), Value::Bool(false), Value::Null];
    sandbox.put("stats", &DRIVER, 0, &values).await;
    let length = 1_000_000.5;
    let body = json!({"entities": {"driver_id": 7}, "request": {"note": text}});
    let from_request = sandbox.post("/v1/predict/noted", &body.to_string()).await;
    assert_eq!(from_request.json()["outputs"]["sum"], json!([length]));
    let from_store = sandbox.post("/v1/predict/named", r#"{"entities": {"driver_id": 7}}"#).await;
    assert_eq!(from_store.json()["outputs"]["sum"], json!([length]));
}
