//! The server itself: limits, slow and vanishing clients, draining, what it refuses to listen on.

use std::time::Duration;

use tidegate_catalog::{KeyValue, Value, clock::ManualClock};
use tidegate_gateway::{
    BindError, DroppingSink, Exposure, FakeModels, Gateway, GatewayConfig, MetricsPage, ModelLoader, Parts,
};

use crate::kit::{Client, Sandbox, Setup, TestFeed, until};

const ASK: &str = r#"{"entities": {"driver_id": 7}, "request": {"distance": 1}}"#;

#[tokio::test]
async fn a_connection_is_kept_for_many_calls() {
    let sandbox = Sandbox::start().await;
    let mut client = Client::connect(sandbox.addr).await;
    for _ in 0..5 {
        assert_eq!(client.post("/v1/predict/fare", ASK).await.status, 200);
    }
}

#[tokio::test]
async fn a_body_over_its_limit_is_413_whether_declared_or_found_out() {
    let sandbox = Sandbox::start().await;
    let limit = 16 * 1024 * 1024;
    let mut client = Client::connect(sandbox.addr).await;
    let head = format!("POST /v1/predict/fare HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n", limit + 1);
    client.raw(head.as_bytes()).await;
    let words = format!("413 InvalidArgument the body is over the limit of {limit} bytes; send fewer rows per request");
    assert_eq!(client.answer().await.error(), words);

    let mut client = Client::connect(sandbox.addr).await;
    client.raw(b"POST /v1/predict/fare HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let chunk = vec![b' '; 1024 * 1024];
    for _ in 0..16 {
        client.raw(b"100000\r\n").await;
        client.raw(&chunk).await;
        client.raw(b"\r\n").await;
    }
    client.raw(b"1\r\n \r\n").await;
    assert_eq!(client.answer().await.error(), words);
}

#[tokio::test]
async fn a_head_over_its_limit_is_431() {
    let sandbox = Sandbox::start().await;
    let mut client = Client::connect(sandbox.addr).await;
    let huge = format!("x-filler: {}", "x".repeat(300 * 1024));
    let answer = client.send("GET", "/health", &[&huge], b"").await;
    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn a_client_too_slow_with_its_body_is_told_so() {
    let change = |config: &mut GatewayConfig| config.client_timeout = Duration::from_millis(50);
    let sandbox = Sandbox::with(Setup { change, ..Setup::default() }).await;
    let mut client = Client::connect(sandbox.addr).await;
    client.raw(b"POST /v1/predict/fare HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\n{").await;
    assert_eq!(client.answer().await.error(), "400 InvalidArgument the body did not arrive within 50 ms");
}

#[tokio::test]
async fn a_client_that_goes_away_half_way_harms_nobody() {
    let sandbox = Sandbox::start().await;
    let mut client = Client::connect(sandbox.addr).await;
    client.raw(b"POST /v1/predict/fare HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\n{").await;
    drop(client);
    let gone = || async { sandbox.get("/metrics").await.body.contains("tidegate_gateway_in_flight_requests 0") };
    until("the call to be forgotten", gone).await;
    assert_eq!(sandbox.post("/v1/predict/fare", ASK).await.status, 200);
}

#[tokio::test]
async fn calls_beyond_the_bound_are_shed_with_a_time_to_retry() {
    let change = |config: &mut GatewayConfig| config.max_in_flight = 1;
    let sandbox = Sandbox::with(Setup { change, ..Setup::default() }).await;
    sandbox.hold.send_replace(true);
    let mut held = Client::connect(sandbox.addr).await;
    held.write("POST", "/v1/predict/slow", &[], ASK.as_bytes()).await;
    let busy = || async { sandbox.get("/metrics").await.body.contains("tidegate_gateway_in_flight_requests 1") };
    until("the first call to be taken", busy).await;
    let shed = sandbox.post("/v1/predict/fare", ASK).await;
    assert_eq!(shed.error(), "429 ResourceExhausted 1 requests are being answered, no more are taken; try again");
    assert_eq!(shed.header("retry-after"), Some("1"));
    assert_eq!(sandbox.get("/ready").await.status, 200, "operations are always answered");
    sandbox.hold.send_replace(false);
    assert_eq!(held.answer().await.status, 200);
}

#[tokio::test]
async fn a_stopping_gateway_finishes_what_it_started_and_takes_nothing_new() {
    let mut sandbox = Sandbox::start().await;
    sandbox.put("profile", &[KeyValue::Int64(7)], 0, &[Value::Float32(2.0)]).await;
    sandbox.hold.send_replace(true);
    let mut idle = Client::connect(sandbox.addr).await;
    assert_eq!(idle.post("/v1/predict/fare", ASK).await.status, 200);
    let mut held = Client::connect(sandbox.addr).await;
    held.write("POST", "/v1/predict/slow", &[], ASK.as_bytes()).await;
    let busy = || async { sandbox.get("/metrics").await.body.contains("tidegate_gateway_in_flight_requests 1") };
    until("the call to be taken", busy).await;
    sandbox.stop();
    assert!(idle.try_answer().await.is_none(), "an idle connection is closed");
    let addr = sandbox.addr;
    until("the port to be given back", || async move { tokio::net::TcpStream::connect(addr).await.is_err() }).await;
    sandbox.hold.send_replace(false);
    let answer = held.answer().await;
    assert_eq!(answer.json()["outputs"]["sum"][0], 3.25);
    assert_eq!(answer.header("connection"), Some("close"));
    sandbox.stopped().await;
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused_unless_told_so_and_a_taken_port_is_named() {
    let sandbox = Sandbox::start().await;
    let parts = || Parts {
        clock: std::sync::Arc::new(ManualClock::at(tidegate_catalog::Micros(0))),
        store: std::sync::Arc::clone(&sandbox.store),
        models: ModelLoader::fake(FakeModels::default()),
        feed: std::sync::Arc::new(TestFeed::empty()),
        sink: std::sync::Arc::new(DroppingSink),
        metrics: MetricsPage::new().unwrap(),
        id_seed: 1,
        as_of: None,
    };
    let mut config = GatewayConfig::new("0.0.0.0:0".parse().unwrap(), sandbox.folder.path().join("other"));
    let refused = Gateway::bind(config.clone(), parts()).await.unwrap_err();
    assert!(matches!(refused, BindError::Exposed { .. }));
    assert_eq!(
        refused.to_string(),
        "gateway.listen 0.0.0.0:0 is reachable from other machines and callers are not authenticated; listen on \
         127.0.0.1, or say --insecure"
    );
    config.exposure = Exposure::Insecure;
    assert!(Gateway::bind(config.clone(), parts()).await.is_ok());
    config.listen = sandbox.addr;
    let taken = Gateway::bind(config, parts()).await.unwrap_err().to_string();
    assert!(taken.starts_with(&format!("cannot listen on {}: ", sandbox.addr)), "{taken}");
    assert!(taken.ends_with("; choose another gateway.listen"), "{taken}");
}
