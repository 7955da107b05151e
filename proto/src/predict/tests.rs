//! The predict body and answer as text.

use bytes::BytesMut;
use tidegate_catalog::{ErrorCode, FieldStatus, Micros, Value, ValueSource};

use super::{FeatureCell, OutputColumn, OutputValues, PredictHead, PredictRequest, PredictWriter, RowFailure};

#[test]
fn scalars_stand_for_lists_of_one() {
    let request = PredictRequest::read(
        br#"{"entities": {"carrier": "AA", "origin": ["JFK"]}, "request": {"distance": 760.0}, "include": ["features"]}"#,
    )
    .unwrap();
    assert_eq!(request.entities.rows(), Ok(1));
    assert_eq!(request.request.rows(), Ok(1));
    assert!(request.include.features);
}

#[test]
fn ragged_columns_name_both() {
    let request = PredictRequest::read(br#"{"entities": {"a": [1, 2], "b": [1]}}"#).unwrap();
    assert_eq!(
        request.entities.rows().unwrap_err().to_string(),
        "column \"b\" has 1 rows, column \"a\" has 2; every column needs the same number"
    );
}

#[test]
fn bodies_of_another_shape_are_refused_by_name() {
    #[rustfmt::skip]
    let cases: [(&str, &str); 7] = [
        ("[]", "the body is not valid JSON at byte 0: expected an object, found '['"),
        (r#"{"entites": {}}"#, "unknown field \"entites\"; a predict request has entities, request, include"),
        (r#"{"entities": {}, "entities": {}}"#, "field \"entities\" stands twice"),
        (r#"{"entities": {"a": 1, "a": 2}}"#, "entities: column \"a\" stands twice; send each column once"),
        (r#"{"entities": {"a": {"b": 1}}}"#, "the body is not valid JSON at byte 19: expected a value, found '{'"),
        (r#"{"include": ["feature"]}"#, "include: unknown part \"feature\"; it may name features"),
        (r#"{"entities": {"a": [1, 2"#, "the body is cut off after 24 bytes, a comma or the end of the list is missing"),
    ];
    for (body, words) in cases {
        assert_eq!(PredictRequest::read(body.as_bytes()).unwrap_err().to_string(), words);
    }
}

#[test]
fn an_answer_is_written_part_by_part() {
    let mut out = BytesMut::new();
    let head = PredictHead {
        request_id: "r\"1",
        endpoint: "e",
        variant: "main",
        model_name: "m",
        model_version: "1",
        model_hash: "ab",
        catalog_version: 7,
        degraded: false,
    };
    let mut writer = PredictWriter::begin(&mut out, &head, [1_u128, 2].into_iter());
    let outputs = [
        OutputColumn { name: "p", width: None, values: OutputValues::Float32(&[0.5]) },
        OutputColumn { name: "q", width: Some(2), values: OutputValues::Int64(&[1, 2]) },
    ];
    writer.outputs(outputs.into_iter(), &[Some(0), None]);
    writer.errors(&[RowFailure { row: 1, code: ErrorCode::InvalidArgument, message: "no".to_owned() }]);
    writer.features(["v:f"].into_iter(), 1, |_, _| FeatureCell {
        value: Value::Float32(0.25),
        status: Some(FieldStatus::Present),
        source: Some(ValueSource::Store),
        event_time: Some(Micros(0)),
        now: Micros(1_999),
    });
    writer.end();
    assert_eq!(
        std::str::from_utf8(&out).unwrap(),
        concat!(
            r#"{"request_id":"r\"1","endpoint":"e","variant":"main","model":{"name":"m","version":"1","hash":"ab"},"#,
            r#""catalog_version":7,"degraded":false,"#,
            r#""prediction_ids":["00000000000000000000000000000001","00000000000000000000000000000002"],"#,
            r#""outputs":{"p":[0.5,null],"q":[[1,2],null]},"#,
            r#""errors":[{"row":1,"code":"InvalidArgument","message":"no"}],"#,
            r#""features":{"v:f":[{"value":0.25,"status":"PRESENT","source":"STORE","#,
            r#""event_time":"1970-01-01T00:00:00Z","age_ms":1}]}}"#,
        )
    );
}
