//! `/health`, `/ready`, `/metrics`, and what no route answers.

use serde_json::json;
use tidegate_catalog::{Deadline, KeyValue, Micros, Value};
use tidegate_store::{OnlineStore as _, StoreMarks};

use crate::{
    definitions::snapshot,
    kit::{Client, Sandbox, Setup, until},
};

#[tokio::test]
async fn a_gateway_with_everything_is_ready_and_says_what_serves() {
    let sandbox = Sandbox::start().await;
    let ready = sandbox.get("/ready").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, r#"{"ready":true,"not_ready":[]}"#));
    let health = sandbox.get("/health").await;
    assert_eq!(health.status, 200);
    let hash = snapshot(1).hash();
    assert_eq!(
        health.body,
        format!(
            "{{\"status\":\"live\",\"catalog\":{{\"version\":1,\"hash\":\"{hash}\",\"from\":\"registry\",\
             \"made_at\":\"2013-11-15T12:00:00Z\",\"age_seconds\":0,\"registry_error\":null,\"refused\":null}},\
             \"clock\":{{\"event_now\":\"2013-11-15T12:00:00Z\",\"as_of\":null}}}}"
        )
    );
}

#[tokio::test]
async fn without_a_catalog_the_gateway_lives_and_is_not_ready() {
    let sandbox = Sandbox::with(Setup { snapshot: None, ..Setup::default() }).await;
    assert_eq!(sandbox.get("/health").await.status, 200);
    let ready = sandbox.get("/ready").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["not_ready"][0]["why"], "no catalog is loaded");
    let refused = sandbox.post("/v1/predict/fare", "{}").await;
    let words = "no catalog is loaded yet: nothing was applied, or the registry cannot be reached";
    assert_eq!(refused.error(), format!("503 Unavailable {words}"));
}

#[tokio::test]
async fn a_store_written_ahead_of_this_clock_or_by_another_registry_is_not_ready() {
    let sandbox = Sandbox::start().await;
    let now = Micros::parse("2013-11-15T12:00:02Z").unwrap();
    let ours = StoreMarks {
        registry_id: Some("registry-1".to_owned()),
        version: 1,
        event_clock: now,
        ..StoreMarks::default()
    };
    sandbox.store.raise_marks(&ours, Deadline::NEVER).await.unwrap();
    assert_eq!(sandbox.get("/ready").await.status, 200, "two seconds ahead are within the skew");

    let ahead = StoreMarks { event_clock: now.saturating_add(1), ..ours.clone() };
    sandbox.store.raise_marks(&ahead, Deadline::NEVER).await.unwrap();
    let not_ready = sandbox.get("/ready").await;
    assert_eq!(not_ready.status, 503);
    assert_eq!(
        not_ready.json()["not_ready"][0]["why"],
        "the store was written up to 2013-11-15T12:00:02.000001Z, this gateway's event clock is at \
         2013-11-15T12:00:00Z; serve as of 2013-11-15T12:00:02.000001Z or later"
    );

    let other = StoreMarks { registry_id: Some("registry-2".to_owned()), ..ours };
    sandbox.store.adopt(&other, Deadline::NEVER).await.unwrap();
    sandbox.clock.set(now);
    let other = sandbox.get("/ready").await;
    assert_eq!(other.json()["not_ready"][0]["why"], "the online store belongs to another registry");
}

#[tokio::test]
async fn the_metrics_page_has_every_stage_by_endpoint_with_buckets_from_ten_microseconds() {
    let sandbox = Sandbox::start().await;
    sandbox.put("profile", &[KeyValue::Int64(7)], 0, &[Value::Float32(2.0)]).await;
    sandbox.post("/v1/predict/score", r#"{"entities": {"driver_id": 7}}"#).await;
    sandbox.post("/v1/predict/nope", "{}").await;
    let page = sandbox.get("/metrics").await;
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4"));
    for stage in ["parse", "features", "queue", "run", "respond"] {
        let count = format!("tidegate_gateway_stage_seconds_count{{stage=\"{stage}\",endpoint=\"score\"}} 1");
        assert!(page.body.contains(&count), "{count} is not in\n{}", page.body);
    }
    for line in [
        "stage=\"run\",endpoint=\"score\",le=\"0.00001\"}",
        "stage=\"run\",endpoint=\"score\",le=\"10\"}",
        "tidegate_gateway_requests_total{route=\"/v1/predict/{endpoint}\",code=\"OK\"} 1",
        "tidegate_gateway_requests_total{route=\"/v1/predict/{endpoint}\",code=\"NotFound\"} 1",
        "tidegate_gateway_catalog_version 1",
        "# HELP tidegate_gateway_stage_seconds Time of one call in each stage, by endpoint.",
        "tidegate_store_rows_total{backend=\"embedded\",outcome=\"written\"} 1",
        "tidegate_store_read_seconds_count{backend=\"embedded\"} 1",
        "tidegate_store_puts_in_flight{backend=\"embedded\"} 0",
    ] {
        assert!(page.body.contains(line), "{line} is not in\n{}", page.body);
    }
}

#[tokio::test]
async fn what_no_route_answers_is_refused_in_the_same_form() {
    let sandbox = Sandbox::start().await;
    let mut client = Client::connect(sandbox.addr).await;
    let unknown = client.send("GET", "/v2/health", &[], b"").await;
    assert_eq!(unknown.error(), "404 NotFound no such path: \"/v2/health\"");
    let method = client.send("GET", "/v1/predict/fare", &[], b"").await;
    assert_eq!(method.error(), "405 Unimplemented this path answers POST only");
    assert_eq!(method.header("allow"), Some("POST"));
    let method = client.send("POST", "/ready", &[], b"").await;
    assert_eq!(method.error(), "405 Unimplemented this path answers GET, HEAD only");
    let form = client.send("POST", "/v1/predict/fare", &["content-type: text/csv"], b"{}").await;
    assert_eq!(form.error(), "415 InvalidArgument the body is declared as \"text/csv\"; send application/json");
}

#[tokio::test]
async fn metrics_survive_a_new_catalog() {
    let sandbox = Sandbox::start().await;
    sandbox.post("/v1/predict/score", r#"{"entities": {"driver_id": []}}"#).await;
    sandbox.feed.publish(&snapshot(2));
    until("version 2", async || sandbox.get("/metrics").await.body.contains("catalog_version 2")).await;
    let page = sandbox.get("/metrics").await.body;
    assert!(page.contains("tidegate_gateway_stage_seconds_count{stage=\"run\",endpoint=\"score\"} 1"), "{page}");
}

#[tokio::test]
async fn a_model_that_is_not_warm_keeps_the_gateway_from_being_ready_and_is_named_by_its_endpoint() {
    let mut cold = snapshot(1);
    cold.definitions.endpoints.get_mut("score").unwrap().variants[0].model.path = "cold".to_owned();
    let sandbox = Sandbox::with(Setup { snapshot: Some(cold), ..Setup::default() }).await;
    let ready = sandbox.get("/ready").await;
    assert_eq!(ready.status, 503);
    let why = "the model of endpoint score is not running";
    assert_eq!(ready.body, format!(r#"{{"ready":false,"not_ready":[{{"part":"model","why":"{why}"}}]}}"#));
    assert_eq!(sandbox.get("/health").await.status, 200);
    sandbox.warm.send_replace(true);
    assert_eq!(sandbox.get("/ready").await.status, 200);
}

#[tokio::test]
async fn a_first_start_whose_catalog_cannot_be_loaded_lives_is_not_ready_and_says_why() {
    let mut broken = snapshot(3);
    broken.definitions.endpoints.get_mut("score").unwrap().variants[0].model.path = "gone".to_owned();
    let sandbox = Sandbox::with(Setup { snapshot: Some(broken), ..Setup::default() }).await;
    let health = sandbox.get("/health").await;
    assert_eq!(health.status, 200);
    let why = "endpoint \"score\": model gone: no such file";
    assert_eq!(
        health.json()["catalog"],
        json!({"version": null, "registry_error": null, "refused": {"version": 3, "why": why}})
    );
    let ready = sandbox.get("/ready").await;
    assert_eq!(ready.status, 503);
    let not_ready = json!([{"part": "catalog", "why": format!("no catalog is loaded: version 3 was refused: {why}")}]);
    assert_eq!(ready.json()["not_ready"], not_ready);
    let refused = sandbox.post("/v1/predict/score", r#"{"entities": {"driver_id": 7}}"#).await;
    assert!(refused.error().starts_with("503 Unavailable no catalog is loaded yet"), "{}", refused.body);
    sandbox.feed.publish(&snapshot(4));
    until("version 4", async || sandbox.get("/ready").await.status == 200).await;
}

#[tokio::test]
async fn endpoints_beyond_two_hundred_share_one_label() {
    let mut many = snapshot(1);
    let score = many.definitions.endpoints.remove("score").unwrap();
    many.definitions.endpoints.clear();
    for number in 0..202 {
        let name = format!("e{number:03}");
        let endpoint = tidegate_catalog::definitions::Endpoint { name: name.clone(), ..score.clone() };
        many.definitions.endpoints.insert(name, endpoint);
    }
    let sandbox = Sandbox::with(Setup { snapshot: Some(many), ..Setup::default() }).await;
    for name in ["e199", "e200", "e201"] {
        let answer = sandbox.post(&format!("/v1/predict/{name}"), r#"{"entities": {"driver_id": []}}"#).await;
        assert_eq!((answer.status, &answer.json()["endpoint"]), (200, &json!(name)));
    }
    let page = sandbox.get("/metrics").await.body;
    let runs = page.lines().filter(|line| line.starts_with("tidegate_gateway_stage_seconds_count{stage=\"run\""));
    let runs = runs.filter(|line| !line.ends_with(" 0")).collect::<std::collections::BTreeSet<_>>();
    let count = |label: &str, count| {
        format!("tidegate_gateway_stage_seconds_count{{stage=\"run\",endpoint=\"{label}\"}} {count}")
    };
    assert_eq!(runs.into_iter().collect::<Vec<_>>(), [count("e199", 1), count("other", 2)]);
}
