//! Bad Feast requests: case -> code -> the exact words.

use tidegate_catalog::{KeyValue, Value};

use crate::kit::{Client, Sandbox};

#[tokio::test]
async fn a_bad_request_is_refused_with_words_that_name_the_thing() {
    let many = format!(r#"{{"features": ["stats:rate"], "entities": {{"driver_id": [{}1]}}}}"#, "1,".repeat(10_000));
    let long = format!(
        r#"{{"features": ["route_stats:delay"], "entities": {{"origin": ["{}"], "dest": ["x"]}}}}"#,
        "k".repeat(8 * 1024)
    );
    #[rustfmt::skip]
    let cases: [(&str, &str); 21] = [
        (r#"{"features": ["nope:x"], "entities": {"driver_id": [1]}}"#, "404 NotFound feature view \"nope\" is not in catalog version 1"),
        (r#"{"features": ["stats:nope"], "entities": {"driver_id": [1]}}"#, "404 NotFound feature view \"stats\" has no feature \"nope\" in catalog version 1"),
        (r#"{"feature_service": "nope", "entities": {"driver_id": [1]}}"#, "404 NotFound feature service \"nope\" is not in catalog version 1"),
        (r#"{"features": ["rate"], "entities": {"driver_id": [1]}}"#, "400 InvalidArgument \"rate\" is not a feature reference; write it like view:feature"),
        (r#"{"features": ["stats@v2:rate"], "entities": {"driver_id": [1]}}"#, "501 Unimplemented \"stats@v2:rate\" names a version of its view; only the version that serves can be read, as view:feature"),
        (r#"{"features": ["stats:rate", "stats:rate"], "entities": {"driver_id": [1]}}"#, "400 InvalidArgument feature reference \"stats:rate\" stands twice; send each reference once"),
        (r#"{"features": [], "entities": {"driver_id": [1]}}"#, "400 InvalidArgument no features: send a list of view:feature references, or the name of a feature service"),
        (r#"{"entities": {"driver_id": [1]}}"#, "400 InvalidArgument no features: send a list of view:feature references, or the name of a feature service"),
        (r#"{"features": ["stats:rate"]}"#, "400 InvalidArgument entities are missing; send one list per join key"),
        (r#"{"features": ["stats:rate"], "entities": {}}"#, "400 InvalidArgument entities: column \"driver_id\" is missing"),
        (r#"{"features": ["stats:rate"], "entities": {"driver_id": [1], "tail": [1]}}"#, "400 InvalidArgument entities: \"tail\" is not one of its columns (they are driver_id)"),
        (r#"{"features": ["route_stats:delay"], "entities": {"origin": ["a", "b"], "dest": ["c"]}}"#, "400 InvalidArgument column \"dest\" has 1 rows, column \"origin\" has 2; every column needs the same number"),
        (r#"{"features": ["stats:rate"], "entities": {"driver_id": ["x"]}}"#, "400 InvalidArgument entities.driver_id[0]: expected int64, found the string \"x\""),
        (r#"{"features": ["stats:rate"], "entities": {"driver_id": [1, null]}}"#, "400 InvalidArgument row 1: entities.driver_id is null, and null is no key"),
        (r#"{"features": ["stats:rate"], "entities": {"driver_id": [1]}, "features": []}"#, "400 InvalidArgument field \"features\" stands twice"),
        (r#"{"features": ["stats:rate"], "entities": {"driver_id": [1], "driver_id": [2]}}"#, "400 InvalidArgument entities: column \"driver_id\" stands twice; send each column once"),
        (r#"{"feature_service": "both_ways", "entities": {"origin": ["a"], "dest": ["b"]}}"#, "400 InvalidArgument features \"route_stats:delay\" and \"back:delay\" have one short name; ask with full_feature_names"),
        ("not json", "400 InvalidArgument the body is not valid JSON at byte 0: expected an object, found 'n'"),
        (r#"{"features": ["stats:rate"], "entities"#, "400 InvalidArgument the body is cut off after 38 bytes, the end of a string is missing"),
        (&many, "400 InvalidArgument 10001 rows, the limit is 10000; split the request"),
        (&long, "400 InvalidArgument row 0: the entity key has 8200 bytes, the limit is 8192; use a shorter identifier"),
    ];
    let sandbox = Sandbox::start().await;
    let mut client = Client::connect(sandbox.addr).await;
    for (body, words) in cases {
        let answer = client.post("/get-online-features", body).await;
        assert_eq!(answer.error(), words, "{}", body.chars().take(80).collect::<String>());
    }
}

#[tokio::test]
async fn there_is_no_ladder_a_cell_that_holds_no_row_of_its_own_fails_the_call() {
    let sandbox = Sandbox::start().await;
    let (one, two) = ([KeyValue::Int64(1)], [KeyValue::Int64(2)]);
    sandbox.put_foreign("profile", &one, &two, &[Value::Float32(1.0)]).await;
    let body = r#"{"features": ["profile:score"], "entities": {"driver_id": [1]}}"#;
    let answer = sandbox.post("/get-online-features", body).await;
    assert_eq!(answer.error(), "503 Unavailable the online store did not answer for every key");
}
