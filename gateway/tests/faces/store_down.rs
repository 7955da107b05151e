//! A store that cannot be reached or does not answer: the ladder of predict, the plain failure of the Feast face.

use serde_json::json;
use tokio::net::TcpListener;

use crate::kit::{Sandbox, Setup};

const SCORE: &str = r#"{"entities": {"driver_id": 7}}"#;
const FEAST: &str = r#"{"features": ["profile:score"], "entities": {"driver_id": [7]}}"#;
/// A service whose only feature has a default.
const RATE: &str = r#"{"entities": {"driver_id": 7}, "include": ["features"]}"#;

async fn with_store_at(listener: &TcpListener) -> Sandbox {
    let redis = Some(format!("redis://{}", listener.local_addr().unwrap()));
    let mut snapshot = crate::definitions::snapshot(1);
    let only_rate = |features: &mut Vec<tidegate_catalog::definitions::ServiceFeature>| features.truncate(1);
    let numbers = snapshot.definitions.services.get_mut("numbers").unwrap();
    only_rate(&mut numbers.features);
    numbers.request.clear();
    Sandbox::with(Setup { snapshot: Some(snapshot), redis, ..Setup::default() }).await
}

#[tokio::test]
async fn a_store_that_is_down_degrades_to_declared_defaults_and_else_fails_with_its_code() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sandbox = with_store_at(&listener).await;
    drop(listener);
    let degraded = sandbox.post("/v1/predict/fare", RATE).await;
    assert_eq!(degraded.status, 200, "{}", degraded.body);
    let json = degraded.json();
    assert_eq!(json["degraded"], json!(true));
    assert_eq!(json["outputs"]["sum"], json!([0.25]));
    let cell = json!({"value": 0.25, "status": null, "source": "DEFAULT", "event_time": null, "age_ms": null});
    assert_eq!(json["features"]["stats:rate"], json!([cell]));
    assert!(sandbox.get("/metrics").await.body.contains("tidegate_gateway_degraded_responses_total 1"));

    let refused = sandbox.post("/v1/predict/score", SCORE).await;
    assert_eq!(
        refused.error(),
        "503 Unavailable every row failed; row 0: the online store did not answer for feature \"profile:score\", which \
         has no default"
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
    let feast = sandbox.post("/get-online-features", FEAST).await;
    assert_eq!(feast.error(), "503 Unavailable the online store cannot be reached");
    assert_eq!(feast.header("retry-after"), Some("1"));
    let ready = sandbox.get("/ready").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["not_ready"], json!([{"part": "store", "why": "the online store cannot be reached"}]));
    assert_eq!(sandbox.get("/health").await.status, 200, "it lives");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_a_deadline_that_was_exceeded() {
    // it takes connections into its backlog and never says a word
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sandbox = with_store_at(&silent).await;
    let feast = sandbox.post("/get-online-features", FEAST).await;
    assert_eq!(feast.error(), "504 DeadlineExceeded the online store did not answer in time");
    let refused = sandbox.post("/v1/predict/score", SCORE).await;
    assert!(refused.error().starts_with("504 DeadlineExceeded every row failed; row 0: "), "{}", refused.body);
    let degraded = sandbox.post("/v1/predict/fare", RATE).await;
    assert_eq!(degraded.json()["degraded"], json!(true));
}
