//! The project that `init` writes, on a real Redis: moved by one line, shared by nobody, adopted by name.

use serde_json::json;
use tidegate_store::testing::RedisServer;
use tidegate_tests::Sandbox;

const ANN: [&str; 5] = ["features", "get", "customer_orders:orders", "--entities", r#"{"customer": ["ann"]}"#];

#[tokio::test]
async fn one_line_of_configuration_moves_a_project_onto_redis() {
    let server = RedisServer::with_password("p@ss#50%$/").await;
    let sandbox = Sandbox::init();
    let on_redis = |arguments: &[&str]| sandbox.on_store("state", &server.url(), arguments);
    on_redis(&["apply"]).done();
    let said = on_redis(&["materialize"]);
    assert!(!said.err.contains("p@ss") && !said.out.contains("p@ss"), "{}", said.err);
    said.done();
    assert_eq!(on_redis(&ANN).json()["results"][1]["values"], json!([3]));
    assert!(on_redis(&["verify", "--all"]).done().contains("as it should be"));
}

#[tokio::test]
async fn another_registry_is_refused_until_it_adopts_and_then_the_first_is() {
    let server = RedisServer::start().await;
    let sandbox = Sandbox::init();
    let with = |state: &str, arguments: &[&str]| sandbox.on_store(state, &server.url(), arguments);
    for state in ["first", "second"] {
        with(state, &["apply"]).done();
    }
    with("first", &["materialize"]).done();
    let refused = with("second", &["materialize"]);
    assert!(refused.code == 1 && refused.err.contains("tidegate store adopt"), "{}", refused.err);
    with("second", &["store", "adopt"]).done();
    with("second", &["materialize"]).done();
    assert!(with("second", &["verify", "--all"]).done().contains("as it should be"));
    assert_eq!(with("second", &ANN).json()["results"][1]["values"], json!([3]));
    let refused = with("first", &["materialize"]);
    assert!(refused.code == 1 && refused.err.contains("tidegate store adopt"), "{}", refused.err);
}

#[tokio::test]
async fn a_redis_that_is_down_is_named_and_found_again() {
    let mut server = RedisServer::durable().await;
    let sandbox = Sandbox::init();
    let url = server.url();
    let on_redis = |arguments: &[&str]| sandbox.on_store("state", &url, arguments);
    on_redis(&["apply"]).done();
    server.kill().await;
    let refused = on_redis(&["materialize"]);
    assert!(refused.code == 1 && refused.err.contains("cannot be reached"), "{}", refused.err);
    server.restart().await;
    on_redis(&["materialize"]).done();
    assert_eq!(on_redis(&ANN).json()["results"][1]["values"], json!([3]));
}
