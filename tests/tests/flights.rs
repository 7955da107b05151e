//! The flights example: the demo whole, and its training rows against the slow definition of the winner.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_tests::{Sandbox, root};

#[test]
fn the_demo_materializes_serves_and_predicts_twice() {
    let example = root().join("examples/flights");
    let sandbox = Sandbox::of(&example);
    let demo = ["demo", "--calls", "60", "--output", "json", "--example", example.to_str().unwrap()];
    let report = sandbox.tidegate(&demo).json();
    assert_eq!(report["departures"], 68);
    let views = report["materialized"]["views"].as_array().unwrap();
    assert_eq!(views.len(), 6);
    for view in views {
        let counts = &view["counts"];
        assert_eq!(view["outcome"]["state"], "acknowledged", "{view}");
        let sum: u64 =
            ["reduced", "written", "older", "equal", "merged", "null_key", "null_time", "future", "outside_interval"]
                .map(|name| counts[name].as_u64().unwrap_or(0))
                .iter()
                .sum();
        assert_eq!(sum, counts["read"].as_u64().unwrap(), "{view}");
        assert!(counts["written"].as_u64().unwrap() > 0);
    }
    let predictions = report["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 68);
    assert!(predictions.iter().all(|p| (0.0..=1.0).contains(&p["probability"].as_f64().unwrap())));
    assert_eq!(report["latency"]["calls"], 60);
    let again = sandbox.tidegate(&demo).json();
    assert_eq!(again["predictions"], report["predictions"], "a second demo changes nothing");
    let written: BTreeMap<_, _> = again["materialized"]["views"]
        .as_array()
        .unwrap()
        .iter()
        .map(|view| (view["view"].as_str().unwrap().to_owned(), view["counts"]["written"].as_u64().unwrap()))
        .collect();
    assert!(written.values().all(|written| *written == 0), "{written:?}");
    let verified =
        sandbox.tidegate(&["verify", "--as-of", "2013-11-15T12:00:00Z", "--sample", "200", "--output", "json"]);
    let verified = verified.json();
    assert!(
        verified["views"].as_array().unwrap().iter().all(|view| view["mismatches"].as_object().unwrap().is_empty())
    );
}

#[test]
fn one_prediction_is_what_the_training_computed() {
    let example = root().join("examples/flights");
    let sandbox = Sandbox::of(&example);
    let as_of = ["--as-of", "2013-11-15T12:00:00Z"];
    sandbox.tidegate(&[&["apply"][..], &as_of].concat()).done();
    sandbox.tidegate(&[&["materialize"][..], &as_of].concat()).done();
    let ask = [
        "predict",
        "arrival_delay",
        "--entities",
        r#"{"carrier": "EV", "tailnum": "N14907", "origin": "EWR", "dest": "CHS"}"#,
        "--request",
        r#"{"distance": 628, "hour": 15, "weekday": 5, "month": 11}"#,
    ];
    let answer: Value = sandbox.tidegate(&[&ask[..], &as_of].concat()).json();
    let probability = answer["outputs"]["probability"][0].as_f64().unwrap();
    assert!((probability - 0.210_233).abs() < 1e-5, "{answer}");
}
