//! Bad predict requests: case -> code -> the exact words.

use crate::kit::{Client, Sandbox};

fn nested(levels: usize) -> String {
    format!(r#"{{"entities": {{"driver_id": {}1{}}}}}"#, "[".repeat(levels), "]".repeat(levels))
}

#[tokio::test]
async fn a_bad_request_is_refused_with_words_that_name_the_thing() {
    let many = format!(r#"{{"entities": {{"driver_id": [{}1]}}}}"#, "1,".repeat(10_000));
    let long = "k".repeat(8 * 1024);
    let long =
        format!(r#"{{"entities": {{"driver_id": 7, "origin": "{long}", "dest": "x"}}, "include": ["features"]}}"#);
    let deep = nested(40);
    #[rustfmt::skip]
    let cases: [(&str, &str, &str); 29] = [
        ("nope", "{}", "404 NotFound endpoint \"nope\" is not in catalog version 1"),
        ("score", "", "400 InvalidArgument the body is empty; send a JSON object"),
        ("score", "hello", "400 InvalidArgument the body is not valid JSON at byte 0: expected an object, found 'h'"),
        ("score", r#"{"entities": {"driver_id": [1, 2"#, "400 InvalidArgument the body is cut off after 32 bytes, a comma or the end of the list is missing"),
        ("score", &deep, "400 InvalidArgument the body is nested deeper than 16 levels at byte 41"),
        ("score", r#"{"entities": {"driver_id": NaN}}"#, "400 InvalidArgument the body is not valid JSON at byte 27: expected a value, found 'N'"),
        ("fare", r#"{"entities": {"driver_id": 1}, "request": {"distance": 1e400}}"#, "400 InvalidArgument request.distance[0]: expected float32, found 1e400"),
        ("fare", r#"{"entities": {"driver_id": 1}, "request": {"distance": Infinity}}"#, "400 InvalidArgument the body is not valid JSON at byte 55: expected a value, found 'I'"),
        ("fare", r#"{"entities": {"driver_id": 1}, "request": {"distance": -Infinity}}"#, "400 InvalidArgument the body is not valid JSON at byte 56: expected a digit, found 'I'"),
        ("fare", r#"{"entities": {"driver_id": 1}, "request": {"distance": "Infinity"}}"#, "400 InvalidArgument request.distance[0]: expected float32, found the string \"Infinity\""),
        ("fare", r#"{"entities": {"driver_id": 1}, "request": {"distance": -1e39}}"#, "400 InvalidArgument request.distance[0]: expected float32, found -1e39"),
        ("fare", r#"{"entities": {"driver_id": 1}, "request": {"distance": "NaN"}}"#, "400 InvalidArgument request.distance[0]: expected float32, found the string \"NaN\""),
        ("score", r#"{"entities": {}}"#, "400 InvalidArgument entities: column \"driver_id\" is missing"),
        ("score", r#"{"entities": {"driver_id": 1, "tail": 2}}"#, "400 InvalidArgument entities: \"tail\" is not one of its columns (they are driver_id)"),
        ("fare", r#"{"entities": {"driver_id": 1}}"#, "400 InvalidArgument request: column \"distance\" is missing"),
        ("fare", r#"{"entities": {"driver_id": 1}, "request": {"distance": 1, "hour": 2}}"#, "400 InvalidArgument request: \"hour\" is not one of its columns (they are distance)"),
        ("fare", r#"{"entities": {"driver_id": [1, 2]}, "request": {"distance": [1]}}"#, "400 InvalidArgument column \"distance\" has 1 rows, column \"driver_id\" has 2; every column needs the same number"),
        ("score", r#"{"entities": {"driver_id": ["7"]}}"#, "400 InvalidArgument entities.driver_id[0]: expected int64, found the string \"7\""),
        ("score", r#"{"entities": {"driver_id": [1, 2.5]}}"#, "400 InvalidArgument entities.driver_id[1]: expected int64, found 2.5"),
        ("score", r#"{"entities": {"driver_id": 9223372036854775808}}"#, "400 InvalidArgument entities.driver_id[0]: expected int64, found 9223372036854775808"),
        ("score", r#"{"entities": {"driver_id": null}}"#, "400 InvalidArgument every row failed; row 0: entities.driver_id is null, and null is no key"),
        ("named", r#"{"entities": {"driver_id": 7, "origin": null, "dest": "x"}, "include": ["features"]}"#, "400 InvalidArgument every row failed; row 0: entities.origin is null, and null is no key"),
        ("named", r#"{"entities": {"driver_id": 7, "origin": "x", "dest": null}, "include": ["features"]}"#, "400 InvalidArgument every row failed; row 0: entities.dest is null, and null is no key"),
        ("noted", r#"{"entities": {"driver_id": 1}, "request": {"note": "a\u0000b"}}"#, "400 InvalidArgument every row failed; row 0: request.note: it has a NUL character, which the model's input \"note\" cannot take"),
        ("score", r#"{"entities": {"driver_id": 1}, "features": []}"#, "400 InvalidArgument unknown field \"features\"; a predict request has entities, request, include"),
        ("score", r#"{"entities": {"driver_id": 1}, "include": ["rows"]}"#, "400 InvalidArgument include: unknown part \"rows\"; it may name features"),
        ("score", &many, "400 InvalidArgument entities: column \"driver_id\" has more than 10000 rows; split the request"),
        ("named", &long, "400 InvalidArgument every row failed; row 0: the entity key has 8200 bytes, the limit is 8192; use a shorter identifier"),
        ("score", r#"{"entities": {"driver_id": 8}}"#, "422 FailedPrecondition every row failed; row 0: feature \"profile:score\" is NOT_FOUND and has no default"),
    ];
    let sandbox = Sandbox::start().await;
    let mut client = Client::connect(sandbox.addr).await;
    for (endpoint, body, words) in cases {
        let answer = client.post(&format!("/v1/predict/{endpoint}"), body).await;
        assert_eq!(answer.error(), words, "{}", body.chars().take(80).collect::<String>());
    }
}

#[tokio::test]
async fn a_bad_deadline_is_named() {
    let sandbox = Sandbox::start().await;
    let mut client = Client::connect(sandbox.addr).await;
    for bad in ["0", "soon", "-1"] {
        let answer = client.send("POST", "/v1/predict/score", &[&format!("x-deadline-ms: {bad}")], b"{}").await;
        let words =
            format!("400 InvalidArgument x-deadline-ms is {bad:?}; send a whole number of milliseconds above 0");
        assert_eq!(answer.error(), words);
    }
}

#[tokio::test]
async fn a_string_of_a_megabyte_is_no_key() {
    let sandbox = Sandbox::start().await;
    let text = "😀".repeat(256 * 1024);
    let body =
        format!(r#"{{"entities": {{"driver_id": 7, "origin": "a", "dest": "{text}"}}, "include": ["features"]}}"#);
    let answer = sandbox.post("/v1/predict/named", &body).await;
    assert_eq!(
        answer.error(),
        "400 InvalidArgument every row failed; row 0: the entity key has 1048582 bytes, the limit is 8192; use a shorter identifier"
    );
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_refused_with_the_place() {
    let sandbox = Sandbox::start().await;
    let mut client = Client::connect(sandbox.addr).await;
    for (body, at) in [(&b"\xff{}"[..], 0), (b"{\"entities\": {\"driver_id\": \"Malm\xf6\"}}", 32)] {
        let answer = client.send("POST", "/v1/predict/score", &[], body).await;
        assert_eq!(answer.error(), format!("400 InvalidArgument the body is not UTF-8: byte {at} is wrong"));
    }
}

#[tokio::test]
async fn a_body_cut_off_half_way_is_told_so_where_the_caller_still_listens() {
    let sandbox = Sandbox::start().await;
    for head in ["content-length: 100", "transfer-encoding: chunked"] {
        let mut client = Client::connect(sandbox.addr).await;
        let start = format!("POST /v1/predict/score HTTP/1.1\r\nhost: t\r\n{head}\r\n\r\n5\r\n{{\"en");
        client.raw(start.as_bytes()).await;
        client.half_close().await;
        let words = "400 InvalidArgument the body was cut off before its declared end";
        assert_eq!(client.answer().await.error(), words, "{head}");
    }
}

#[tokio::test]
async fn columns_and_values_without_end_are_refused_before_they_are_kept() {
    let sandbox = Sandbox::start().await;
    let columns = (0..300_000).map(|column| format!("\"{column:06}\":1")).collect::<Vec<_>>().join(",");
    let rows = "1,".repeat(8_000_000);
    let wide = (0..200).map(|column| format!("\"{column}\":[{}1]", "1,".repeat(9_999))).collect::<Vec<_>>().join(",");
    for (entities, words) in [
        (columns, "400 InvalidArgument entities: more than 1024 columns"),
        (
            format!("\"driver_id\":[{rows}1]"),
            "400 InvalidArgument entities: column \"driver_id\" has more than 10000 rows; split the request",
        ),
        (wide, "400 InvalidArgument the body has more than 1000000 values; split the request"),
    ] {
        let answer = sandbox.post("/v1/predict/score", &format!("{{\"entities\": {{{entities}}}}}")).await;
        assert_eq!(answer.error(), words);
    }
}
