//! The server itself: limits, slow and vanishing clients, draining, what it refuses to listen on.

use std::time::Duration;

use tidegate_catalog::{KeyValue, Value};
use tidegate_gateway::{BindError, Exposure, Gateway, GatewayConfig};

use crate::kit::{Client, Sandbox, Setup, until};

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
async fn a_client_too_slow_with_its_head_is_cut_off_however_steadily_it_drips() {
    let change = |config: &mut GatewayConfig| config.client_timeout = Duration::from_millis(50);
    let sandbox = Sandbox::with(Setup { change, ..Setup::default() }).await;
    let mut client = Client::connect(sandbox.addr).await;
    client.raw(b"GET /health HTTP/1.1\r\n").await;
    assert!(client.closed_in_time().await, "a head that stops half-way");

    let mut client = Client::connect(sandbox.addr).await;
    client.raw(b"GET /health HTTP/1.1\r\n").await;
    assert!(client.closed_while_dripping(b"x-drip: 1\r\n").await, "a head that never ends");

    let mut client = Client::connect(sandbox.addr).await;
    assert_eq!(client.post("/v1/predict/fare", ASK).await.status, 200);
    client.raw(b"G").await;
    assert!(client.closed_in_time().await, "a later head, after an answered call");
}

#[tokio::test]
async fn a_head_in_pieces_is_read_and_a_pause_between_calls_is_longer_than_a_head_may_take() {
    let change = |config: &mut GatewayConfig| config.client_timeout = Duration::from_millis(50);
    let sandbox = Sandbox::with(Setup { change, ..Setup::default() }).await;
    let mut idle = Client::connect(sandbox.addr).await;
    assert_eq!(idle.get("/health").await.status, 200);
    // the others' heads are cut off one after the other: four times the time of a head has passed for the idle one
    for _ in 0..4 {
        let mut slow = Client::connect(sandbox.addr).await;
        slow.raw(b"GET").await;
        assert!(slow.closed_in_time().await);
    }
    for piece in [&b"GET /heal"[..], b"th HTTP/1.1\r\nhost", b": t\r\n\r\n"] {
        idle.raw(piece).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(idle.answer().await.status, 200);
}

#[tokio::test]
async fn a_connection_idle_for_too_long_is_closed_before_and_after_its_first_call() {
    let change = |config: &mut GatewayConfig| config.idle_timeout = Duration::from_millis(50);
    let sandbox = Sandbox::with(Setup { change, ..Setup::default() }).await;
    let mut silent = Client::connect(sandbox.addr).await;
    assert!(silent.closed_in_time().await);
    let mut idle = Client::connect(sandbox.addr).await;
    assert_eq!(idle.post("/v1/predict/fare", ASK).await.status, 200);
    assert!(idle.closed_in_time().await);
}

#[tokio::test]
async fn a_call_may_take_longer_than_a_head_or_a_pause() {
    let change = |config: &mut GatewayConfig| {
        config.idle_timeout = Duration::from_millis(50);
        config.client_timeout = Duration::from_millis(50);
    };
    let sandbox = Sandbox::with(Setup { change, ..Setup::default() }).await;
    sandbox.hold.send_replace(true);
    let mut held = Client::connect(sandbox.addr).await;
    held.write("POST", "/v1/predict/slow", &[], ASK.as_bytes()).await;
    for _ in 0..3 {
        assert!(Client::connect(sandbox.addr).await.closed_in_time().await, "time passes");
    }
    sandbox.hold.send_replace(false);
    assert_eq!(held.answer().await.status, 200);
}

#[tokio::test]
async fn a_connection_beyond_the_bound_waits_until_another_is_closed() {
    let change = |config: &mut GatewayConfig| config.max_connections = 1;
    let sandbox = Sandbox::with(Setup { change, ..Setup::default() }).await;
    let mut first = Client::connect(sandbox.addr).await;
    assert_eq!(first.get("/health").await.status, 200);
    let mut second = Client::connect(sandbox.addr).await;
    second.write("GET", "/health", &[], b"").await;
    for _ in 0..20 {
        tokio::select! {
            biased;
            _ = second.try_answer() => panic!("two connections are served"),
            answer = first.get("/health") => assert_eq!(answer.status, 200),
        }
    }
    drop(first);
    assert_eq!(second.answer().await.status, 200);
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut_off_and_its_place_is_free() {
    let change = |config: &mut GatewayConfig| {
        config.client_timeout = Duration::from_millis(200);
        config.max_connections = 1;
    };
    let sandbox = Sandbox::with(Setup { change, ..Setup::default() }).await;
    let text = "x".repeat(1_000_000);
    let values = [Value::Null, Value::Null, Value::String(&text), Value::Null, Value::Null];
    sandbox.put("stats", &[KeyValue::Int64(7)], 0, &values).await;
    let mut deaf = Client::connect(sandbox.addr).await;
    let body = format!(r#"{{"features": ["stats:city"], "entities": {{"driver_id": [{}7]}}}}"#, "7,".repeat(63));
    deaf.write("POST", "/get-online-features", &[], body.as_bytes()).await;
    let mut next = Client::connect(sandbox.addr).await;
    assert_eq!(next.get("/health").await.status, 200, "64 MB are more than any socket holds");
}

#[tokio::test]
async fn clients_that_are_slow_to_send_a_body_take_no_room_from_calls() {
    let change = |config: &mut GatewayConfig| config.max_in_flight = 1;
    let sandbox = Sandbox::with(Setup { change, ..Setup::default() }).await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(sandbox.addr).await;
        client.raw(b"POST /v1/predict/fare HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\n{").await;
        slow.push(client);
    }
    for _ in 0..3 {
        assert_eq!(sandbox.post("/v1/predict/fare", ASK).await.status, 200);
    }
}

#[tokio::test]
async fn a_large_body_that_finds_no_room_is_shed_and_small_ones_are_answered() {
    let change = |config: &mut GatewayConfig| config.max_body_bytes = 1024 * 1024;
    let sandbox = Sandbox::with(Setup { change, ..Setup::default() }).await;
    let large = |bytes: usize| format!("{}{ASK}", " ".repeat(bytes));
    assert_eq!(sandbox.post("/v1/predict/fare", &large(512 * 1024)).await.status, 200, "it fits");
    let shed = sandbox.post("/v1/predict/fare", &large(3 * 1024 * 1024)).await;
    assert_eq!(
        shed.error(),
        "429 ResourceExhausted other large bodies are being read, there is no room for this one; try again"
    );
    assert_eq!(sandbox.post("/v1/predict/fare", ASK).await.status, 200);
    assert_eq!(sandbox.post("/v1/predict/fare", &large(512 * 1024)).await.status, 200, "the room was given back");
}

#[tokio::test]
async fn a_body_later_than_the_callers_own_deadline_is_a_deadline_that_was_exceeded() {
    let sandbox = Sandbox::start().await;
    let mut client = Client::connect(sandbox.addr).await;
    let head = b"POST /v1/predict/fare HTTP/1.1\r\nhost: t\r\nx-deadline-ms: 20\r\ncontent-length: 100\r\n\r\n{";
    client.raw(head).await;
    let words = "504 DeadlineExceeded the call's time was over before the body had arrived";
    assert_eq!(client.answer().await.error(), words);
}

#[tokio::test]
async fn a_call_whose_client_went_away_is_counted_as_cancelled() {
    let sandbox = Sandbox::start().await;
    sandbox.hold.send_replace(true);
    let mut client = Client::connect(sandbox.addr).await;
    client.write("POST", "/v1/predict/slow", &[], ASK.as_bytes()).await;
    let has = async |line: &str| sandbox.get("/metrics").await.body.contains(line);
    until("the call to be taken", async || has("tidegate_gateway_in_flight_requests 1").await).await;
    drop(client);
    let cancelled = "tidegate_gateway_requests_total{route=\"/v1/predict/{endpoint}\",code=\"Cancelled\"} 1";
    until("the call to be counted", async || has(cancelled).await).await;
    assert!(has("tidegate_gateway_in_flight_requests 0").await);
    assert!(!has("tidegate_gateway_requests_total{route=\"/v1/predict/{endpoint}\",code=\"OK\"} 1").await);
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
    let mut config = GatewayConfig { listen: "0.0.0.0:0".parse().unwrap(), ..sandbox.another() };
    let parts = || sandbox.parts(None);
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
