//! The commands on the project that `init` writes: each alone, and each while `serve` owns the state folder.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use tidegate_tests::{Sandbox, Server, games::game};

const CUSTOMERS: &str = r#"{"customer": ["ann", "bob", "zoe"]}"#;

/// Materialized up to now, with or without a server.
fn materialized() -> Sandbox {
    let sandbox = Sandbox::init();
    sandbox.tidegate(&["apply"]).done();
    sandbox.tidegate(&["materialize"]).done();
    sandbox
}

fn get(sandbox: &Sandbox) -> Value {
    let said = sandbox.tidegate(&["features", "get", "customer_orders:orders", "--entities", CUSTOMERS]);
    said.json()["results"][1].clone()
}

#[test]
fn a_new_project_is_valid_and_goes_from_files_to_features() {
    let sandbox = Sandbox::init();
    assert!(sandbox.tidegate(&["validate"]).done().contains("0 errors"));
    assert_eq!(sandbox.tidegate(&["plan", "--exit-code"]).code, 3);
    let applied = sandbox.tidegate(&["apply", "--output", "json"]).json();
    assert_eq!((&applied["version"], &applied["changed"]), (&json!(1), &json!(true)));
    assert_eq!(sandbox.tidegate(&["plan", "--exit-code"]).code, 0);
    let again = sandbox.tidegate(&["apply", "--output", "json"]).json();
    assert_eq!((&again["version"], &again["changed"]), (&json!(1), &json!(false)));
    let report = sandbox.tidegate(&["materialize", "--output", "json"]).json();
    let counts = &report["views"][0]["counts"];
    assert_eq!((&counts["read"], &counts["reduced"], &counts["written"]), (&json!(6), &json!(3), &json!(3)));
    let orders = get(&sandbox);
    assert_eq!(orders["values"], json!([3, 2, null]));
    assert_eq!(orders["statuses"], json!(["PRESENT", "PRESENT", "NOT_FOUND"]));
    assert!(sandbox.tidegate(&["verify", "--all"]).done().contains("as it should be"));
    assert!(sandbox.tidegate(&["runs"]).done().contains("acknowledged"));
    let again = sandbox.tidegate(&["materialize", "--start", "1970-01-01"]).done();
    assert!(again.contains("nothing changed: the store held every row already"), "{again}");
}

/// Each command on the state, and what it must say both ways.
fn every_command_works(sandbox: &Sandbox) {
    assert!(
        sandbox.tidegate(&["plan"]).done().contains("nothing") || sandbox.tidegate(&["plan", "--exit-code"]).code == 0
    );
    assert!(sandbox.tidegate(&["apply"]).done().contains("nothing to apply"));
    let report = sandbox.tidegate(&["materialize", "--start", "1970-01-01", "--output", "json"]).json();
    assert_eq!(report["views"][0]["counts"]["equal"], json!(3));
    assert_eq!(get(sandbox)["values"], json!([3, 2, null]));
    let verified = sandbox.tidegate(&["verify", "--all", "--output", "json"]).json();
    assert_eq!(verified["views"][0]["compared_keys"], json!(3));
    let runs = sandbox.tidegate(&["runs", "--output", "json"]).json();
    assert!(runs.as_array().unwrap().len() >= 2);
    let unknown = sandbox.tidegate(&["materialize", "--views", "custmer"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("custmer"), "{}", unknown.err);
    let unknown = sandbox.tidegate(&["features", "get", "nowhere:x", "--entities", CUSTOMERS]);
    assert!(unknown.code == 1 && unknown.err.contains("nowhere"), "{}", unknown.err);
}

#[test]
fn every_command_works_alone() {
    every_command_works(&materialized());
}

#[test]
fn every_command_works_while_a_server_owns_the_state() {
    let sandbox = materialized();
    let server = sandbox.serve(&[]);
    every_command_works(&sandbox);
    let second = sandbox.tidegate(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 1);
    assert!(second.err.contains("is owned by a live process"), "{}", second.err);
    let moved = sandbox.tidegate(&["runs", "--as-of", "2026-01-03"]);
    assert_eq!(moved.code, 1);
    assert!(moved.err.contains("--as-of 2026-01-03T00:00:00Z") && moved.err.contains("the time of the machine"));
    assert_eq!(server.stop(), 0);
    assert_eq!(get(&sandbox)["values"], json!([3, 2, null]));
}

#[test]
fn a_killed_server_leaves_a_state_that_the_next_command_owns() {
    let sandbox = materialized();
    Server::kill(sandbox.serve(&[]));
    assert_eq!(get(&sandbox)["values"], json!([3, 2, null]));
    assert!(sandbox.tidegate(&["verify", "--all"]).done().contains("as it should be"));
}

#[test]
fn the_port_taken_and_a_public_address_are_named() {
    let sandbox = materialized();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = sandbox.tidegate(&["serve", "--listen", &address]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains(&address), "{}", said.err);
    let said = sandbox.tidegate(&["serve", "--listen", "0.0.0.0:0"]);
    assert!(said.code == 1 && said.err.contains("gateway.listen"), "{}", said.err);
}

#[test]
fn mistakes_in_files_are_named_with_their_line() {
    let sandbox = Sandbox::init();
    let file = sandbox.project.join("definitions.yaml");
    let text = std::fs::read_to_string(&file).unwrap().replace("FROM orders", "FROM ordrs");
    std::fs::write(&file, text.replace("type: int64, default: 0", "type: int64, default: x")).unwrap();
    let said = sandbox.tidegate(&["validate"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("definitions.yaml:2") && said.err.contains("is no int64"), "{}", said.err);
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("default: x", "default: 0")).unwrap();
    let said = sandbox.tidegate(&["validate"]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("customer_orders") && said.out.contains("ordrs"), "{}", said.out);
    assert_eq!(sandbox.tidegate(&["apply"]).code, 1);
}

#[test]
fn schemas_and_configuration_are_printed() {
    let sandbox = Sandbox::init();
    let schema: Value = serde_json::from_str(&sandbox.tidegate(&["schema"]).done()).unwrap();
    assert_eq!(schema["oneOf"].as_array().unwrap().len(), 5);
    let schema: Value = serde_json::from_str(&sandbox.tidegate(&["config", "schema"]).done()).unwrap();
    assert!(schema["properties"]["store"].is_object());
    assert!(sandbox.tidegate(&["config", "check"]).done().contains("fine"));
    let mut command = sandbox.command(&["config", "dump"]);
    let dumped = command.env("TIDEGATE__STORE__URL", "redis://:s3cret@h:1").output().unwrap();
    let dumped = String::from_utf8(dumped.stdout).unwrap();
    assert!(dumped.contains("store.url") && dumped.contains("env") && !dumped.contains("s3cret"), "{dumped}");
}

/// A second view over the games' source.
const SECOND_VIEW: &str = "\
kind: FeatureView
name: first_game
entities: [player]
sql: SELECT player, played_at, a AS first_a FROM games
timestamp_field: played_at
features: [{name: first_a, type: float32}]
";

#[test]
fn a_plan_is_one_object_for_machines() {
    let sandbox = Sandbox::games(&[game("ann", "2026-01-01T00:00:00Z", [1.0, 2.0, 3.0])]);
    let names = |plan: &Value| {
        let changes = plan["changes"].as_array().unwrap().iter();
        changes.map(|change| change["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let plan = sandbox.tidegate(&["plan", "--output", "json"]).json();
    assert!(names(&plan).contains(&"form".to_owned()), "{plan}");
    sandbox.tidegate(&["apply"]).done();
    sandbox.write("second.yaml", SECOND_VIEW);
    let plan = sandbox.tidegate(&["plan", "--output", "json"]).json();
    assert_eq!(names(&plan), ["first_game"], "{plan}");
    assert_eq!(plan["base"]["version"], json!(1), "{plan}");
}

#[test]
fn materialize_and_runs_take_the_views_that_they_are_given() {
    let sandbox = Sandbox::games(&[game("ann", "2026-01-01T00:00:00Z", [1.0, 2.0, 3.0])]);
    sandbox.write("second.yaml", SECOND_VIEW);
    sandbox.tidegate(&["apply"]).done();
    let views = |list: &Value| {
        list.as_array().unwrap().iter().map(|one| one["view"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let report = sandbox.tidegate(&["materialize", "--views", "first_game", "--output", "json"]).json();
    assert_eq!(views(&report["views"]), ["first_game"]);
    let report = sandbox.tidegate(&["materialize", "--views", "first_game,form", "--output", "json"]).json();
    assert_eq!(views(&report["views"]), ["first_game", "form"], "each once, in the order given");
    let runs = |of: &[&str]| views(&sandbox.tidegate(&[&["runs", "--output", "json"], of].concat()).json());
    assert_eq!(runs(&["--view", "form"]), ["form"]);
    assert!(runs(&[]).len() >= 2, "{:?}", runs(&[]));
    assert_eq!(runs(&["--limit", "1"]).len(), 1);
}

#[test]
fn a_terminal_gets_a_line_that_is_rewritten_and_everybody_else_plain_text() {
    let sandbox = materialized();
    let again = ["materialize", "--start", "1970-01-01"];
    let plain = sandbox.tidegate(&again);
    assert!(plain.code == 0 && !plain.out.contains('\x1b') && !plain.err.contains('\x1b'), "{plain:?}");
    let command = sandbox.command(&again);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>().join(" ");
    // util-linux's `script` gives the command a terminal of its own
    let output = std::process::Command::new("script").args(["-qec", &words, "/dev/null"]).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.contains("\r\x1b[2K"), "{shown:?}");
}
