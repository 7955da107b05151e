//! A view whose definition changes, with real SQL over real files: what readers over HTTP get before, during and after.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tidegate_tests::{
    Sandbox, Server,
    games::{Game, game},
    http, wait_for,
};

const PAUSES: u32 = 500;
const PLAYERS: [&str; 4] = ["ann", "bob", "cy", "dee"];

fn games() -> Vec<Game> {
    PLAYERS.iter().zip(1u8..).map(|(player, n)| one(player, n)).collect()
}

fn one(player: &str, n: u8) -> Game {
    game(player, "2026-01-01T00:00:00Z", [f32::from(n), f32::from(n) * 10.0, f32::from(n) * 100.0])
}

fn materialized() -> Sandbox {
    let sandbox = Sandbox::games(&games());
    sandbox.tidegate(&["apply"]).done();
    sandbox.tidegate(&["materialize"]).done();
    sandbox
}

/// The columns a, b, c of all players: values and statuses.
fn online(address: &str) -> Vec<Value> {
    let body = json!({"features": ["form:a", "form:b", "form:c"], "entities": {"player": PLAYERS}});
    let answer = http::post(address, "/get-online-features", &body).expect("the server answers");
    assert_eq!(answer.status, 200, "{}", answer.json);
    let columns = answer.json["results"].as_array().expect("results are a list").iter().skip(1);
    columns.map(|column| json!([column["values"], column["statuses"]])).collect()
}

fn column(values: &Value, statuses: [&str; 4]) -> Value {
    json!([values, statuses])
}

const ALL: [&str; 4] = ["PRESENT"; 4];

fn catalog_version(server: &Server) -> u64 {
    server.get("/health")["catalog"]["version"].as_u64().expect("a catalog serves")
}

/// Waits until the server serves the version that `said`, a JSON report, names under `key`.
fn swapped(server: &Server, said: &Value, key: &str) {
    let version = said[key].as_u64().expect("the report names a version");
    wait_for(PAUSES, || (catalog_version(server) >= version).then_some(())).expect("the server swaps");
}

#[test]
fn case_35_readers_see_the_old_generation_whole_until_the_new_one_is() {
    let sandbox = materialized();
    let server = sandbox.serve(&[]);
    let old = vec![
        column(&json!([1.0, 2.0, 3.0, 4.0]), ALL),
        column(&json!([10.0, 20.0, 30.0, 40.0]), ALL),
        column(&json!([100.0, 200.0, 300.0, 400.0]), ALL),
    ];
    // bob has gone, and every other value is less at an equal event time
    let gone = ["PRESENT", "NOT_FOUND", "PRESENT", "PRESENT"];
    let new = vec![
        column(&json!([0.5, null, 1.5, 2.0]), gone),
        column(&json!([9.0, null, 29.0, 39.0]), gone),
        column(&json!([0.0, null, 0.0, 0.0]), gone),
    ];
    assert_eq!(online(&server.address), old);
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let (over, server, old, new) = (&over, &server, &old, &new);
        let watching = threads.spawn(move || {
            let mut moved = false;
            while !over.load(Ordering::Relaxed) {
                let seen = online(&server.address);
                assert!(seen == *new || (seen == *old && !moved), "a mixture, or a way back: {seen:?}");
                moved = seen == *new;
            }
            moved
        });
        let sql = "SELECT player, played_at, a / 2 AS a, b - 1 AS b, CAST(0 AS REAL) AS c";
        sandbox.edit("definitions.yaml", "SELECT player, played_at, a, b, c", sql);
        sandbox.edit("definitions.yaml", "FROM games\n", "FROM games WHERE player <> 'bob'\n");
        let applied = sandbox.tidegate(&["apply", "--output", "json"]).json();
        swapped(server, &applied, "version");
        assert_eq!(online(&server.address), *old, "the new generation is not whole yet");
        let predict = json!({"entities": {"player": ["ann", "bob"]}, "request": {"x": [0.0, 0.0]}});
        let predicted = server.post("/v1/predict/rank", &predict).json;
        assert_eq!(predicted["outputs"]["y"], json!([432.5, 864.5]), "{predicted}");
        assert_eq!(predicted["catalog_version"], applied["version"]);

        let report = sandbox.tidegate(&["materialize", "--output", "json"]).json();
        swapped(server, &report, "moved_to_version");
        assert_eq!(online(&server.address), *new);
        let predicted = server.post("/v1/predict/rank", &predict).json;
        assert_eq!(predicted["outputs"]["y"], json!([28.5, 0.5]), "{predicted}");
        over.store(true, Ordering::Relaxed);
        assert!(watching.join().expect("the watching reader saw no mixture"));
    });
    assert_eq!(server.stop(), 0);
    let verified = sandbox.tidegate(&["verify", "--all", "--output", "json"]).json();
    assert_eq!(verified["views"][0]["compared_keys"], json!(3), "{verified}");
}

#[test]
fn case_35_a_view_with_other_types_never_reads_the_old_bytes() {
    let sandbox = materialized();
    let server = sandbox.serve(&[]);
    sandbox.edit("definitions.yaml", "{name: a, type: float32, default: 0}", "{name: a, type: string}");
    sandbox.edit("definitions.yaml", "played_at, a, b, c", "played_at, CAST(a AS TEXT) AS a, b, c");
    sandbox.edit("definitions.yaml", "features: [\"form:*\"]", "features: [\"form:b\", \"form:c\"]");
    sandbox.edit("definitions.yaml", "request: [{name: x,", "request: [{name: y, type: float32}, {name: x,");
    let refused = sandbox.tidegate(&["apply"]);
    assert!(refused.code == 1 && refused.err.contains("apply with --allow-breaking"), "{}", refused.err);
    assert_eq!(online(&server.address)[0], column(&json!([1.0, 2.0, 3.0, 4.0]), ALL));

    let applied = sandbox.tidegate(&["apply", "--allow-breaking", "--output", "json"]).json();
    swapped(&server, &applied, "version");
    let seen = online(&server.address);
    assert_eq!(seen[0], column(&json!([null, null, null, null]), ["NOT_FOUND"; 4]), "no row of this type is there yet");
    assert_eq!(seen[1], column(&json!([10.0, 20.0, 30.0, 40.0]), ALL), "what has not changed is the old generation's");

    let report = sandbox.tidegate(&["materialize", "--output", "json"]).json();
    swapped(&server, &report, "moved_to_version");
    assert_eq!(online(&server.address)[0], column(&json!(["1.0", "2.0", "3.0", "4.0"]), ALL));
    assert_eq!(server.stop(), 0);
}
