//! A gateway over a real Redis server that is down, dies and comes back.

use std::time::Duration;

use tidegate_catalog::{Deadline, KeyValue, Value};
use tidegate_store::{OnlineStore as _, testing::RedisServer};

use crate::kit::{Answer, Sandbox, Setup, until};

const SCORE: &str = r#"{"entities": {"driver_id": 7}}"#;
const FEAST: &str = r#"{"features": ["profile:score"], "entities": {"driver_id": [7]}}"#;
/// Far above the store's timeout of the sandbox, far below anything that hangs.
const PATIENCE: Duration = Duration::from_secs(5);

async fn over(server: &RedisServer) -> Sandbox {
    Sandbox::with(Setup { redis: Some(server.url()), ..Setup::default() }).await
}

async fn in_time(call: impl Future<Output = Answer>) -> Answer {
    tokio::time::timeout(PATIENCE, call).await.expect("an answer within the store's timeout")
}

/// Both faces and `/ready` say that the store is away.
async fn everything_says_unavailable(sandbox: &Sandbox) {
    let predict = in_time(sandbox.post("/v1/predict/score", SCORE)).await;
    assert_eq!(
        predict.error(),
        "503 Unavailable every row failed; row 0: the online store did not answer for feature \"profile:score\", which \
         has no default"
    );
    let feast = in_time(sandbox.post("/get-online-features", FEAST)).await;
    assert_eq!(feast.error(), "503 Unavailable the online store cannot be reached");
    let ready = in_time(sandbox.get("/ready")).await;
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.body,
        r#"{"ready":false,"not_ready":[{"part":"store","why":"the online store cannot be reached"}]}"#
    );
    assert_eq!(in_time(sandbox.get("/health")).await.status, 200, "it lives");
}

async fn everything_answers_by_itself(sandbox: &Sandbox) {
    until("the gateway to be ready again", async || sandbox.get("/ready").await.status == 200).await;
    let predict = sandbox.post("/v1/predict/score", SCORE).await;
    assert_eq!(predict.json()["outputs"]["sum"], serde_json::json!([2.0]), "{}", predict.body);
    let feast = sandbox.post("/get-online-features", FEAST).await;
    assert_eq!(feast.json()["results"][1]["values"], serde_json::json!([2.0]), "{}", feast.body);
}

async fn put_seven(sandbox: &Sandbox) {
    sandbox.put("profile", &[KeyValue::Int64(7)], 0, &[Value::Float32(2.0)]).await;
}

#[tokio::test]
async fn a_gateway_starts_without_its_redis_says_so_within_the_timeout_and_answers_once_it_comes() {
    let mut server = RedisServer::start().await;
    server.kill().await;
    let sandbox = tokio::time::timeout(PATIENCE, over(&server)).await.expect("the start does not wait for the store");
    everything_says_unavailable(&sandbox).await;
    server.restart().await;
    until("the store to answer", async || sandbox.store.ready(Deadline::NEVER).await.is_ok()).await;
    put_seven(&sandbox).await;
    everything_answers_by_itself(&sandbox).await;
}

#[tokio::test]
async fn a_redis_killed_while_serving_is_an_error_within_the_timeout_and_its_return_is_noticed() {
    let mut server = RedisServer::durable().await;
    let sandbox = over(&server).await;
    put_seven(&sandbox).await;
    everything_answers_by_itself(&sandbox).await;
    for _ in 0..2 {
        server.kill().await;
        // the call that finds the connection dead may be the one that is told so by the kernel: any failure will do
        until("the first failure", async || in_time(sandbox.post("/v1/predict/score", SCORE)).await.status == 503)
            .await;
        everything_says_unavailable(&sandbox).await;
        // the rows are in its file; its scripts are forgotten
        server.restart().await;
        everything_answers_by_itself(&sandbox).await;
    }
}

#[tokio::test]
async fn a_connection_that_outlives_an_outage_is_served_again() {
    let mut server = RedisServer::durable().await;
    let sandbox = over(&server).await;
    put_seven(&sandbox).await;
    let mut client = crate::kit::Client::connect(sandbox.addr).await;
    assert_eq!(client.post("/v1/predict/score", SCORE).await.status, 200);
    server.kill().await;
    assert_eq!(in_time(client.post("/v1/predict/score", SCORE)).await.status, 503);
    server.restart().await;
    let answers = async { while client.post("/v1/predict/score", SCORE).await.status != 200 {} };
    tokio::time::timeout(PATIENCE, answers).await.expect("the connection's calls are answered again");
}
