//! Each command that changes the state, alone and while `serve` owns it: what a reader then gets, over HTTP where a server
//! runs and from the command line where none does.

use serde_json::{Value, json};
use tidegate_tests::{
    Sandbox, Server,
    games::{Game, game},
    http, wait_for,
};

/// Pauses of 10 ms: a server has swapped to what `apply` published before they are over.
const A_SECOND: u32 = 100;
const SINCE_EVER: [&str; 5] = ["materialize", "--start", "1970-01-01", "--output", "json"];

fn first_games() -> Vec<Game> {
    vec![game("ann", "2026-01-01T00:00:00Z", [1.0, 2.0, 3.0]), game("bob", "2026-01-02T00:00:00Z", [4.0, 5.0, 6.0])]
}

fn materialized() -> Sandbox {
    let sandbox = Sandbox::games(&first_games());
    sandbox.tidegate(&["apply"]).done();
    sandbox.tidegate(&["materialize"]).done();
    sandbox
}

/// Runs `check` on a project of its own twice: alone, and under a live server.
fn both_ways(check: impl Fn(&Reader<'_>)) {
    let alone = materialized();
    check(&Reader { sandbox: &alone, server: None });
    let owned = materialized();
    let server = owned.serve(&[]);
    check(&Reader { sandbox: &owned, server: Some(&server) });
    assert_eq!(server.stop(), 0);
    assert!(owned.tidegate(&["verify", "--all"]).done().contains("as it should be"));
}

/// Reads as a caller would.
struct Reader<'a> {
    sandbox: &'a Sandbox,
    server: Option<&'a Server>,
}

impl Reader<'_> {
    /// Values and statuses of `a` for these players.
    fn a_of(&self, players: &[&str]) -> Value {
        let entities = json!({"player": players});
        let answer = match self.server {
            Some(server) => {
                let body = json!({"features": ["form:a"], "entities": entities});
                server.post("/get-online-features", &body).json
            }
            None => self.sandbox.tidegate(&["features", "get", "form:a", "--entities", &entities.to_string()]).json(),
        };
        let column = &answer["results"][1];
        json!([column["values"], column["statuses"]])
    }

    /// Waits, for a second at most, until a reader gets `expected`.
    fn sees(&self, players: &[&str], expected: &Value) {
        let seen = wait_for(A_SECOND, || (self.a_of(players) == *expected).then_some(()));
        assert!(seen.is_some(), "readers get {}, not {expected}", self.a_of(players));
    }
}

#[test]
fn what_apply_published_is_served_within_a_second_and_without_a_restart() {
    both_ways(|reader| {
        let asked = json!({"feature_service": "short", "entities": {"player": ["bob"]}, "full_feature_names": true});
        if let Some(server) = reader.server {
            assert_eq!(server.post("/get-online-features", &asked).status, 404);
        }
        reader.sandbox.write("more.yaml", "kind: FeatureService\nname: short\nfeatures: [\"form:b\"]\n");
        let applied = reader.sandbox.tidegate(&["apply", "--output", "json"]).json();
        assert_eq!(applied["changed"], json!(true));
        let answer = match reader.server {
            Some(server) => {
                let swapped = || (server.get("/health")["catalog"]["version"] == applied["version"]).then_some(());
                wait_for(A_SECOND, swapped).expect("the server swaps to the version that apply printed");
                let predict = json!({"entities": {"player": "bob"}, "request": {"x": 1.0}});
                let predicted = server.post("/v1/predict/rank", &predict).json;
                assert_eq!(predicted["catalog_version"], applied["version"], "{predicted}");
                server.post("/get-online-features", &asked).json
            }
            None => {
                let bob = r#"{"player": ["bob"]}"#;
                reader.sandbox.tidegate(&["features", "get", "--service", "short", "--entities", bob]).json()
            }
        };
        assert_eq!(answer["metadata"]["feature_names"], json!(["player", "form__b"]), "{answer}");
        assert_eq!(answer["results"][1]["values"], json!([5.0]), "{answer}");
    });
}

#[test]
fn rows_that_a_materialization_wrote_are_read_at_once() {
    both_ways(|reader| {
        let mut games = first_games();
        games.push(game("ann", "2026-01-03T00:00:00Z", [7.0, 8.0, 9.0]));
        games.push(game("zoe", "2026-01-03T00:00:00Z", [0.5, 0.0, 0.0]));
        reader.sandbox.write("data/games.parquet", tidegate_tests::games::parquet(&games));
        let report = reader.sandbox.tidegate(&SINCE_EVER).json();
        let counts = &report["views"][0]["counts"];
        let numbers = ["read", "reduced", "written", "equal"].map(|name| counts[name].as_u64().unwrap());
        assert_eq!(numbers, [4, 1, 2, 1], "{counts}");
        assert_eq!(
            reader.a_of(&["ann", "bob", "zoe", "nobody"]),
            json!([[7.0, 4.0, 0.5, null], ["PRESENT", "PRESENT", "PRESENT", "NOT_FOUND"]])
        );
    });
}

#[test]
fn a_rebuild_serves_what_rewritten_files_say() {
    both_ways(|reader| {
        let rewritten = [game("ann", "2026-01-01T00:00:00Z", [0.25, 0.0, 0.0])];
        reader.sandbox.write("data/games.parquet", tidegate_tests::games::parquet(&rewritten));
        let report = reader.sandbox.tidegate(&SINCE_EVER).json();
        assert_eq!(report["views"][0]["counts"]["older"], json!(1), "equal times and lesser values lose: {report}");
        reader.sees(&["ann", "bob"], &json!([[1.0, 4.0], ["PRESENT", "PRESENT"]]));
        let said = reader.sandbox.tidegate(&["materialize", "--rebuild"]).done();
        assert!(said.contains("readers moved to version"), "{said}");
        reader.sees(&["ann", "bob"], &json!([[0.25, null], ["PRESENT", "NOT_FOUND"]]));
    });
}

#[test]
fn a_prediction_is_the_same_alone_and_handed_over() {
    both_ways(|reader| {
        let entities = json!({"player": ["ann", "nobody"]});
        let request = json!({"x": [1.0, 10.0]});
        let ask = ["predict", "rank", "--entities", &entities.to_string(), "--request", &request.to_string()];
        let answer = reader.sandbox.tidegate(&ask).json();
        // x + 2 a + 3 b + 4 c + 0.5; the defaults of an unknown player are 0
        assert_eq!(answer["outputs"]["y"], json!([21.5, 10.5]), "{answer}");
        if let Some(server) = reader.server {
            let direct = server.post("/v1/predict/rank", &json!({"entities": entities, "request": request})).json;
            assert_eq!(direct["outputs"], answer["outputs"]);
        }
    });
}

#[test]
fn a_new_registry_adopts_the_store_and_fills_it_again() {
    for served in [false, true] {
        let sandbox = materialized();
        for suffix in ["", "-wal", "-shm"] {
            // the companions are there only while somebody writes
            drop(std::fs::remove_file(sandbox.state().join(format!("registry.sqlite{suffix}"))));
        }
        sandbox.tidegate(&["apply"]).done();
        let server = served.then(|| sandbox.serve(&[]));
        let refused = sandbox.tidegate(&["materialize"]);
        assert!(refused.code == 1 && refused.err.contains("tidegate store adopt"), "{}", refused.err);
        if let Some(server) = &server {
            let ready = http::get(&server.address, "/ready").unwrap();
            assert_eq!(ready.status, 503, "{}", ready.json);
            assert_eq!(ready.json["not_ready"][0]["why"], json!("the online store belongs to another registry"));
        }
        let adopted = sandbox.tidegate(&["store", "adopt"]).done();
        assert!(adopted.starts_with("the store is this registry's now, at version "), "{adopted}");
        sandbox.tidegate(&["materialize"]).done();
        let reader = Reader { sandbox: &sandbox, server: server.as_ref() };
        reader.sees(&["ann", "bob"], &json!([[1.0, 4.0], ["PRESENT", "PRESENT"]]));
        if let Some(server) = &server {
            assert_eq!(http::get(&server.address, "/ready").unwrap().status, 200);
        }
        assert!(sandbox.tidegate(&["verify", "--all"]).done().contains("as it should be"));
    }
}

#[test]
fn a_command_handed_to_a_server_under_as_of_runs_under_its_clock() {
    let as_of = "2026-01-02T12:00:00Z";
    let owners = format!("under the owner's clock, which started at {as_of} (--as-of)\n");
    let mut games = first_games();
    games.push(game("ann", "2026-01-03T00:00:00Z", [7.0, 8.0, 9.0]));
    let sandbox = Sandbox::games(&games);
    sandbox.tidegate(&["apply", "--as-of", as_of]).done();
    let server = sandbox.serve(&["--as-of", as_of]);
    assert_eq!(server.get("/health")["clock"]["as_of"], json!(as_of));

    let same = sandbox.tidegate(&["materialize", "--as-of", as_of, "--output", "json"]);
    assert_eq!(same.err, owners);
    assert_eq!(same.json()["views"][0]["counts"]["future"], json!(1), "what happens after its now is not stored");
    let without = sandbox.tidegate(&["runs"]);
    assert_eq!((without.code, without.err), (0, owners));
    let reader = Reader { sandbox: &sandbox, server: Some(&server) };
    reader.sees(&["ann", "bob"], &json!([[1.0, 4.0], ["PRESENT", "PRESENT"]]));

    let other = sandbox.tidegate(&["materialize", "--as-of", "2026-01-04"]);
    assert_eq!(other.code, 1);
    assert_eq!(
        other.err,
        "error: this command has --as-of 2026-01-04T00:00:00Z, the process that owns the state folder has --as-of \
         2026-01-02T12:00:00Z; leave --as-of out or stop that process\n"
    );
    assert_eq!(reader.a_of(&["ann"]), json!([[1.0], ["PRESENT"]]), "the refused command did nothing");
}
