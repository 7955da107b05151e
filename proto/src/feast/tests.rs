//! The Feast body and answer as text.

use bytes::BytesMut;
use tidegate_catalog::{FieldStatus, Micros};

use super::{OnlineFeaturesRequest, OnlineFeaturesWriter};

#[test]
fn the_body_of_feasts_own_client_is_read() {
    let body = br#"{"entities": {"driver_id": [1001, 1003, 9]}, "full_feature_names": false,
        "include_feature_view_version_metadata": false, "feature_service": null,
        "features": ["stats:rate", "stats:trips"]}"#;
    let request = OnlineFeaturesRequest::read(body).unwrap();
    assert_eq!(request.features, ["stats:rate", "stats:trips"]);
    assert_eq!(request.feature_service, None);
    assert!(!request.full_feature_names);
    assert_eq!(request.entities.unwrap().rows(), Ok(3));
}

#[test]
fn a_field_that_stands_twice_is_refused_by_name() {
    let body = br#"{"features": [], "features": []}"#;
    assert_eq!(OnlineFeaturesRequest::read(body).unwrap_err().to_string(), "field \"features\" stands twice");
}

#[test]
fn the_answer_is_column_major_with_the_sent_columns_at_the_epoch() {
    let mut out = BytesMut::new();
    let mut writer = OnlineFeaturesWriter::begin(&mut out);
    writer.sent_column(1, |writer, _| writer.int(1001));
    writer.column(1, |writer, _| writer.null(), |_| FieldStatus::NotFound, |_| Micros(1_500_000));
    writer.end(["driver_id", "rate"].into_iter());
    assert_eq!(
        std::str::from_utf8(&out).unwrap(),
        concat!(
            r#"{"results":[{"values":[1001],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]},"#,
            r#"{"values":[null],"statuses":["NOT_FOUND"],"event_timestamps":["1970-01-01T00:00:01.500Z"]}],"#,
            r#""metadata":{"feature_names":["driver_id","rate"]}}"#,
        )
    );
}
