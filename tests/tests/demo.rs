//! The demo as a person reads it, handed over to a server that runs already.

use serde_json::json;
use tidegate_tests::{Sandbox, root};

const AS_OF: &str = "2013-11-15T12:00:00Z";

/// Whether this is what is said of a flight that arrived, or did not.
fn is_an_outcome(text: &str) -> bool {
    let minutes = |text: &str| text.parse::<i32>().ok();
    match (text.strip_suffix(" min late").and_then(minutes), text.strip_suffix(" min").and_then(minutes)) {
        (Some(late), _) => late > 15,
        (_, Some(early)) => early <= 15 && text.starts_with(['+', '-']),
        _ => text == "never arrived",
    }
}

#[test]
fn the_demo_ranks_departures_beside_what_happened_and_says_how_to_keep_it_serving() {
    let example = root().join("examples/flights");
    let sandbox = Sandbox::of(&example);
    sandbox.tidegate(&["apply", "--as-of", AS_OF]).done();
    let server = sandbox.serve(&["--as-of", AS_OF]);
    let said = sandbox.tidegate(&["demo", "--calls", "5", "--example", example.to_str().expect("a path is text")]);
    assert!(
        said.err.starts_with(&format!("under the owner's clock, which started at {AS_OF} (--as-of)\n")),
        "{}",
        said.err
    );
    let steps = said.err.lines().filter(|line| line.get(1..3) == Some("/4")).count();
    assert_eq!(steps, 4, "{}", said.err);
    let out = said.done();
    assert!(!out.contains('\x1b'), "colours are for terminals: {out:?}");

    let (materialized, rest) = out.split_once("\n\n").expect("a table comes first");
    for view in
        ["aircraft", "aircraft_last_flight", "carrier_delay_24h", "origin_delay_3h", "origin_weather", "route_delay_7d"]
    {
        assert!(materialized.lines().any(|line| line.trim_start().starts_with(&format!("{view} "))), "{materialized}");
    }
    let question = "will it arrive more than 15 minutes late? known at 2013-11-15T12:";
    assert!(rest.trim_start().starts_with(question), "{rest}");
    assert!(rest.contains("68 departures, the 15 likeliest:"), "{rest}");
    let rows = rest.lines().filter(|line| line.trim_start().starts_with("2013-11-15T1")).collect::<Vec<_>>();
    assert_eq!(rows.len(), 15, "{rest}");
    let cells =
        rows.iter().map(|row| row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>());
    let mut last = 1.0;
    for cells in cells {
        let [scheduled, _flight, route, probability, happened] = cells[..] else { unreachable!("{cells:?}") };
        assert!(("2013-11-15T14:00:00Z"..="2013-11-15T15:00:00Z").contains(&scheduled), "{scheduled}");
        assert!(["EWR ", "JFK ", "LGA "].iter().any(|origin| route.starts_with(origin)), "{route}");
        assert!(is_an_outcome(happened), "{happened}");
        let probability = probability.parse::<f64>().expect("a probability is a number");
        assert!((0.0..=last).contains(&probability), "the likeliest come first: {rest}");
        last = probability;
    }
    let latency =
        rest.lines().find(|line| line.starts_with("5 calls of one departure: p50 ")).expect("latency is shown");
    let note = if cfg!(debug_assertions) { " us (a dev build: not what a release build takes)" } else { " us" };
    assert!(latency.ends_with(note), "{latency}");
    let (_, serving) = rest.split_once("\n\nto keep it serving:\n  ").expect("the end says how to go on");
    assert!(serving.starts_with(&format!("tidegate -C {}", example.display())), "{serving}");
    assert!(serving.contains(" serve --as-of 2013-11-15T12:"), "{serving}");

    let ask = json!({"features": ["carrier_delay_24h:flights"], "entities": {"carrier": ["UA"]}});
    assert_eq!(server.post("/get-online-features", &ask).json["results"][1]["statuses"], json!(["PRESENT"]));
    assert_eq!(server.stop(), 0);
}
