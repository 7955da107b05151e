//! Bad Feast requests: case -> code -> the exact words.

use tidegate_catalog::{KeyValue, Value};

use crate::kit::{Client, Sandbox};

const PATH: &str = "/get-online-features";

#[tokio::test]
async fn a_bad_request_is_refused_with_words_that_name_the_thing() {
    let many = format!(r#"{{"features": ["stats:rate"], "entities": {{"driver_id": [{}1]}}}}"#, "1,".repeat(10_000));
    let long = format!(
        r#"{{"features": ["route_stats:delay"], "entities": {{"origin": ["{}"], "dest": ["x"]}}}}"#,
        "k".repeat(8 * 1024)
    );
    let megabyte = format!(
        r#"{{"features": ["route_stats:delay"], "entities": {{"origin": ["{}"], "dest": ["x"]}}}}"#,
        "😀".repeat(256 * 1024)
    );
    let (open, close) = ("[".repeat(40), "]".repeat(40));
    let deep_key = format!(r#"{{"features": ["stats:rate"], "entities": {{"driver_id": {open}1{close}}}}}"#);
    let deep_unknown = format!(r#"{{"a_field": {open}1{close}}}"#);
    #[rustfmt::skip]
    let cases: [(&str, &str); 31] = [
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
        ("", "400 InvalidArgument the body is empty; send a JSON object"),
        (r#"{"features": ["stats:rate"], "entities": {"driver_id": [NaN]}}"#, "400 InvalidArgument the body is not valid JSON at byte 56: expected a value, found 'N'"),
        (r#"{"features": ["stats:rate"], "entities": {"driver_id": [Infinity]}}"#, "400 InvalidArgument the body is not valid JSON at byte 56: expected a value, found 'I'"),
        (r#"{"features": ["stats:rate"], "entities": {"driver_id": [1e400]}}"#, "400 InvalidArgument entities.driver_id[0]: expected int64, found 1e400"),
        (r#"{"feature_service": "numbers", "entities": {"driver_id": [1], "distance": [-Infinity]}}"#, "400 InvalidArgument the body is not valid JSON at byte 76: expected a digit, found 'I'"),
        (r#"{"features": ["route_stats:delay"], "entities": {"origin": ["a", null], "dest": ["b", "c"]}}"#, "400 InvalidArgument row 1: entities.origin is null, and null is no key"),
        (r#"{"features": ["route_stats:delay"], "entities": {"origin": ["a"], "dest": [null]}}"#, "400 InvalidArgument row 0: entities.dest is null, and null is no key"),
        (&deep_key, "400 InvalidArgument the body is nested deeper than 16 levels at byte 69"),
        (&deep_unknown, "400 InvalidArgument the body is nested deeper than 16 levels at byte 27"),
        (&megabyte, "400 InvalidArgument row 0: the entity key has 1048585 bytes, the limit is 8192; use a shorter identifier"),
        (&many, "400 InvalidArgument entities: column \"driver_id\" has more than 10000 rows; split the request"),
        (&long, "400 InvalidArgument row 0: the entity key has 8200 bytes, the limit is 8192; use a shorter identifier"),
    ];
    let sandbox = Sandbox::start().await;
    let mut client = Client::connect(sandbox.addr).await;
    for (body, words) in cases {
        let answer = client.post(PATH, body).await;
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

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_refused_with_the_place() {
    let sandbox = Sandbox::start().await;
    let body = b"{\"features\": [\"stats:rate\"], \"entities\": {\"driver_id\": [\"\xc3\x28\"]}}";
    let answer = Client::connect(sandbox.addr).await.send("POST", PATH, &[], body).await;
    assert_eq!(answer.error(), "400 InvalidArgument the body is not UTF-8: byte 57 is wrong");
}

#[tokio::test]
async fn a_body_over_its_limit_is_413_whether_declared_or_found_out() {
    let sandbox = Sandbox::start().await;
    let limit = 16 * 1024 * 1024;
    let words = format!("413 InvalidArgument the body is over the limit of {limit} bytes; send fewer rows per request");
    let mut client = Client::connect(sandbox.addr).await;
    client.raw(format!("POST {PATH} HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n", limit + 1).as_bytes()).await;
    assert_eq!(client.answer().await.error(), words);

    let mut client = Client::connect(sandbox.addr).await;
    client.raw(format!("POST {PATH} HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n").as_bytes()).await;
    let chunk = [&b"100000\r\n"[..], &vec![b' '; 1024 * 1024], b"\r\n"].concat();
    for _ in 0..16 {
        client.raw(&chunk).await;
    }
    client.raw(b"1\r\n \r\n").await;
    assert_eq!(client.answer().await.error(), words);
}

#[tokio::test]
async fn a_body_cut_off_half_way_is_told_so_where_the_caller_still_listens() {
    let sandbox = Sandbox::start().await;
    let mut client = Client::connect(sandbox.addr).await;
    let start = format!("POST {PATH} HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\n{{\"features");
    client.raw(start.as_bytes()).await;
    client.half_close().await;
    let words = "400 InvalidArgument the body was cut off before its declared end";
    assert_eq!(client.answer().await.error(), words);
}

#[tokio::test]
async fn references_and_columns_without_end_are_refused_before_they_are_compared() {
    let sandbox = Sandbox::start().await;
    let references = (0..300_000).map(|number| format!("\"stats:{number:06}\"")).collect::<Vec<_>>().join(",");
    let answer = sandbox.post(PATH, &format!("{{\"features\": [{references}], \"entities\": {{}}}}")).await;
    assert_eq!(answer.error(), "400 InvalidArgument features: more than 4096 references; split the request");
    let columns = (0..300_000).map(|column| format!("\"{column:06}\":[1]")).collect::<Vec<_>>().join(",");
    let answer = sandbox.post(PATH, &format!("{{\"features\": [\"stats:rate\"], \"entities\": {{{columns}}}}}")).await;
    assert_eq!(answer.error(), "400 InvalidArgument entities: more than 1024 columns");
}
