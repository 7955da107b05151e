//! What the command line once did wrong, each as a sentence: closing, leaving, handing over, interrupting, refusing.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tidegate_tests::Sandbox;

/// Applied and materialized, nothing running.
fn materialized() -> Sandbox {
    let sandbox = Sandbox::init();
    sandbox.tidegate(&["apply"]).done();
    sandbox.tidegate(&["materialize"]).done();
    sandbox
}

/// A view that takes longer than any test: the orders times themselves, twelve times.
const ENDLESS: &str = "
---
kind: FeatureView
name: endless
entities: [customer]
sql: |
  SELECT a.customer AS customer, a.ordered_at AS event_timestamp, CAST(1 AS BIGINT) AS n
  FROM orders a, orders b, orders c, orders d, orders e, orders f, orders g, orders h, orders i, orders j, orders k, orders l
timestamp_field: event_timestamp
features: [{name: n, type: int64}]
";

/// The project with [`ENDLESS`], applied.
fn endless() -> Sandbox {
    let sandbox = Sandbox::init();
    let file = sandbox.project.join("definitions.yaml");
    let text = std::fs::read_to_string(&file).expect("init wrote the file");
    std::fs::write(&file, text + ENDLESS).expect("the file can be written");
    sandbox.tidegate(&["apply"]).done();
    sandbox
}

/// Waits until `holds`, a minute at most.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_200 {
        if holds() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    unreachable!("not within a minute: {what}");
}

fn signal(process: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.id().to_string()]).status();
    assert!(sent.expect("kill can be run").success());
}

/// Waits for its end, a minute at most, and answers its exit code.
fn ended(process: &mut Child) -> Option<i32> {
    let mut status = None;
    wait_until("the process ends", || {
        status = process.try_wait().expect("a process can be asked");
        status.is_some()
    });
    status.and_then(|status| status.code())
}

/// `serve` with `variables`, and where it listens.
fn serve(sandbox: &Sandbox, variables: &[(&str, &str)]) -> (Child, String) {
    let mut command = sandbox.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut process =
        command.envs(variables.iter().copied()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut lines =
        BufReader::new(process.stderr.take().expect("standard error is piped")).lines().map_while(Result::ok);
    let address = lines.find_map(|line| Some(line.split_once(" on http://")?.1.to_owned()));
    std::thread::spawn(move || lines.for_each(drop));
    (process, address.expect("the server says where it listens"))
}

/// Whether the embedded store would be repaired at its next start. Opening it here closes it in order.
fn is_repaired(sandbox: &Sandbox) -> bool {
    let repaired = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&repaired);
    let mut builder = redb::Builder::new();
    builder.set_repair_callback(move |_| seen.store(true, Ordering::Relaxed));
    drop(builder.open(sandbox.state().join("rows.redb")).expect("nobody has the store open"));
    repaired.load(Ordering::Relaxed)
}

#[test]
fn a_command_and_a_server_close_the_store_in_order() {
    let sandbox = materialized();
    assert!(!is_repaired(&sandbox), "after materialize");
    sandbox.tidegate(&["runs"]).done();
    assert!(!is_repaired(&sandbox), "after runs");
    sandbox.tidegate(&["features", "get", "customer_orders:orders", "--entities", r#"{"customer": ["ann"]}"#]).done();
    assert!(!is_repaired(&sandbox), "after features get");
    let server = sandbox.serve(&[]);
    sandbox.tidegate(&["materialize", "--start", "1970-01-01"]).done();
    assert_eq!(server.stop(), 0);
    assert!(!is_repaired(&sandbox), "after serve");
}

#[test]
fn an_endpoint_that_is_no_name_is_refused_alone_and_by_a_server() {
    let sandbox = materialized();
    let refused = |endpoint: &str| {
        let said = sandbox.tidegate(&["predict", endpoint, "--entities", "{}"]);
        assert_eq!(said.code, 1, "{}", said.err);
        assert!(
            said.err.contains(&format!("error: endpoint: {endpoint:?} cannot be a name; write it as")),
            "{}",
            said.err
        );
    };
    refused("a b");
    refused("arrival_delay?x");
    let server = sandbox.serve(&[]);
    refused("a b");
    refused("a\u{1}");
    assert_eq!(server.stop(), 0);
}

#[test]
fn commands_at_the_same_time_all_do_their_work() {
    let sandbox = materialized();
    for round in 0..8 {
        let commands = [&["runs"][..], &["verify", "--all"], &["plan"], &["runs", "--limit", "1"]];
        let started = commands.map(|arguments| {
            let mut command = sandbox.command(arguments);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
        });
        for (process, arguments) in started.into_iter().zip(commands) {
            let output = process.wait_with_output().expect("a command can be waited for");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "round {round}, {arguments:?}: {said}");
            assert!(!output.stdout.is_empty(), "round {round}, {arguments:?} said nothing");
        }
    }
}

#[test]
fn a_server_stops_a_handed_over_command_and_ends_within_its_grace_period() {
    let sandbox = endless();
    let (mut server, _) = serve(&sandbox, &[("TIDEGATE__GATEWAY__SHUTDOWN_GRACE_MS", "500")]);
    let mut command = sandbox.command(&["materialize", "--views", "endless"]);
    let mut client = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
    wait_until("the run begins", || sandbox.tidegate(&["runs"]).done().contains("running"));
    // as by Ctrl-Z: it is there, and reads nothing
    signal(&client, "STOP");
    signal(&server, "TERM");
    assert_eq!(ended(&mut server), Some(0));
    signal(&client, "CONT");
    assert_eq!(ended(&mut client), Some(130));
    assert!(sandbox.tidegate(&["runs"]).done().contains("interrupted"));
}

#[test]
fn a_second_signal_ends_a_server_that_still_drains() {
    let sandbox = materialized();
    let (mut server, address) = serve(&sandbox, &[("TIDEGATE__GATEWAY__SHUTDOWN_GRACE_MS", "600000")]);
    let mut held = TcpStream::connect(&address).expect("the server listens");
    held.write_all(b"POST /get-online-features HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
        .expect("it reads");
    // the held call has been read once a later one is answered
    sandbox.tidegate(&["features", "get", "customer_orders:orders", "--entities", r#"{"customer": ["ann"]}"#]).done();
    signal(&server, "TERM");
    wait_until("the port is closed", || TcpStream::connect(&address).is_err());
    assert!(server.try_wait().expect("a process can be asked").is_none(), "it waits for the held call");
    signal(&server, "INT");
    assert_eq!(ended(&mut server), Some(130));
    drop(held);
}

#[test]
fn a_server_refuses_the_command_of_another_project_or_of_other_settings() {
    let (sandbox, other) = (materialized(), Sandbox::init());
    let server = sandbox.serve(&[]);
    let mut command = Command::new(tidegate_tests::binary());
    command.arg("-C").arg(&other.project).arg("--state").arg(sandbox.state()).arg("apply");
    let output = command.stdin(Stdio::null()).output().expect("the binary starts");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    let named =
        |project: &std::path::Path| words.contains(&*project.canonicalize().expect("it is there").to_string_lossy());
    assert!(named(&sandbox.project) && named(&other.project), "{words}");

    let mut command = sandbox.command(&["materialize"]);
    let output = command.env("TIDEGATE__MATERIALIZER__ERROR_BUDGET_ROWS", "5").output().expect("the binary starts");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("materializer.error_budget_rows is 5 here and 1000 there"), "{words}");
    let mut command = sandbox.command(&["runs"]);
    assert!(command.env("TIDEGATE__LOG__LEVEL", "error").output().expect("the binary starts").status.success());
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_plan_goes_stale_by_changed_definitions_and_not_by_a_moved_generation() {
    let sandbox = materialized();
    let version = |sandbox: &Sandbox| {
        sandbox.tidegate(&["apply", "--output", "json"]).json()["version"].as_u64().expect("a version is a number")
    };
    // the first materialization moved readers to the first generation
    assert_eq!(version(&sandbox), 2);
    assert!(sandbox.tidegate(&["apply", "--planned-at", "1"]).done().contains("nothing to apply"));
    sandbox.tidegate(&["apply", "--planned-at", "2"]).done();
    let refused = |planned_at: &str, words: &str| {
        let said = sandbox.tidegate(&["apply", "--planned-at", planned_at]);
        assert!(said.code == 1 && said.err.contains(words), "{}", said.err);
    };
    refused("0", "the plan was made at version 0, the definitions have changed up to version 2; run plan again");
    refused("9", "the registry has no version 9, it is at 2; run plan again");
    let file = sandbox.project.join("definitions.yaml");
    let text = std::fs::read_to_string(&file).expect("init wrote the file");
    std::fs::write(&file, text.replace("How many orders.", "All orders.")).expect("the file can be written");
    sandbox.tidegate(&["apply", "--planned-at", "1"]).done();
    refused("2", "the plan was made at version 2, the definitions have changed up to version 3; run plan again");
}

#[test]
fn mistakes_in_queries_are_found_on_their_own_line() {
    let sandbox = Sandbox::init();
    let view = |query: &str| {
        format!(
            "kind: FeatureView\nname: v\nentities: [customer]\n{query}\ntimestamp_field: ordered_at\nfeatures: [{{name: amount, type: float32}}]\n"
        )
    };
    for (query, line) in [
        ("sql: SELECT customer FROM orders GROUP amount", 4),
        ("sql: |\n  SELECT customer\n  FROM orders GROUP amount", 6),
        ("source: orders\nfilter: amount > > 1", 5),
        ("source: orders\nfilter: amount > now()", 5),
        ("source: orders\nfilter: |\n  amount > 1\n  AND > 2", 7),
    ] {
        std::fs::write(sandbox.project.join("v.yaml"), view(query)).expect("the file can be written");
        let said = sandbox.tidegate(&["validate"]);
        assert_eq!(said.code, 1, "{}", said.out);
        assert!(said.out.contains(&format!("v.yaml:{line}: error: ")), "{query}: {}", said.out);
    }
}

#[test]
fn verify_calls_rows_that_it_rejects_for_any_reason_rejected() {
    let table = materialized().tidegate(&["verify", "--all"]).done();
    assert!(table.contains("rejected rows") && !table.contains("oversize"), "{table}");
}

#[test]
fn a_project_without_a_model_needs_no_onnx_runtime() {
    let sandbox = materialized();
    let missing = ("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so");
    let ask = ["features", "get", "customer_orders:orders", "--entities", r#"{"customer": ["ann"]}"#];
    let output = sandbox.command(&ask).envs([missing]).output().expect("the binary starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut server, _) = serve(&sandbox, &[missing]);
    assert!(sandbox.tidegate(&ask).done().contains("PRESENT"));
    signal(&server, "TERM");
    assert_eq!(ended(&mut server), Some(0));
}

#[test]
fn a_demo_outside_the_repository_says_where_the_example_is_looked_for() {
    let sandbox = Sandbox::init();
    let mut command = Command::new(tidegate_tests::binary());
    let output = command.current_dir(&sandbox.project).arg("demo").output().expect("the binary starts");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("the flights example is not in examples/flights") && words.contains("--example"), "{words}");
}

#[test]
fn a_demo_after_a_plain_materialization_has_nothing_left_to_do_and_says_how_to_go_on() {
    let example = tidegate_tests::root().join("examples/flights");
    let sandbox = Sandbox::of(&example);
    let as_of = ["--as-of", "2013-11-15T12:00:00Z"];
    sandbox.tidegate(&[&["apply"][..], &as_of].concat()).done();
    sandbox.tidegate(&[&["materialize"][..], &as_of].concat()).done();
    // the project is the one that -C names
    let said = sandbox.tidegate(&["demo", "--calls", "5"]).done();
    assert_eq!(said.matches("up to date").count(), 6, "{said}");
    let (root, state) = (example.display(), sandbox.state());
    let next = format!("tidegate -C {root} --state {} serve --as-of 2013-11-15T12:00:00Z", state.display());
    assert!(said.contains(&next), "{said}");
}

#[test]
fn ctrl_c_during_the_demo_exits_as_interrupted() {
    let example = tidegate_tests::root().join("examples/flights");
    let sandbox = Sandbox::of(&example);
    let mut command = sandbox.command(&["demo", "--calls", "1000000"]);
    let mut demo = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
    // a command that came first would own the state, and the demo would run in it
    wait_until("the demo owns the state", || sandbox.state().join("owner.sock").exists());
    wait_until("the demo materializes", || {
        sandbox.tidegate(&["runs", "--as-of", "2013-11-15T12:00:00Z"]).out.contains("running")
    });
    signal(&demo, "INT");
    assert_eq!(ended(&mut demo), Some(130));
}

#[test]
fn features_are_those_of_the_newest_version_right_after_apply_under_a_server() {
    let sandbox = Sandbox::init();
    let server = sandbox.serve(&[]);
    sandbox.tidegate(&["apply"]).done();
    sandbox.tidegate(&["materialize"]).done();
    let ask = ["features", "get", "customer_orders:orders", "--entities", r#"{"customer": ["ann"]}"#];
    assert!(sandbox.tidegate(&ask).done().contains("PRESENT"), "the first version serves at once");
    let file = sandbox.project.join("definitions.yaml");
    let text = std::fs::read_to_string(&file).expect("init wrote the file");
    for round in 0..3 {
        let renamed = text.replace("name: customer_orders", &format!("name: orders_{round}"));
        let renamed = renamed.replace("\"customer_orders:*\"", &format!("\"orders_{round}:*\""));
        std::fs::write(&file, renamed).expect("the file can be written");
        sandbox.tidegate(&["apply", "--allow-breaking"]).done();
        let feature = format!("orders_{round}:orders");
        let said = sandbox.tidegate(&["features", "get", &feature, "--entities", r#"{"customer": ["ann"]}"#]);
        assert!(said.done().contains("NOT_FOUND"), "the view is known, and not materialized");
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_long_materialization_says_how_far_it_is_without_a_terminal_alone_and_handed_over() {
    let sandbox = endless();
    let told = || {
        let mut command = sandbox.command(&["materialize", "--views", "endless"]);
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let lines = BufReader::new(process.stderr.take().expect("standard error is piped")).lines();
        let line = lines.map_while(Result::ok).find(|line| line.contains("reading"));
        signal(&process, "INT");
        assert_eq!(ended(&mut process), Some(130));
        line
    };
    let line = told();
    assert!(line.is_some());
    let server = sandbox.serve(&[]);
    let line = told();
    assert!(line.is_some());
    assert_eq!(server.stop(), 0);
}

#[test]
fn config_check_refuses_what_would_fail_later_and_repeats_no_password() {
    let sandbox = Sandbox::init();
    let file = sandbox.project.join("tidegate.yaml");
    let text = std::fs::read_to_string(&file).expect("init wrote the file");
    for (more, words) in [
        ("log: {level: loud}\n", "is no level"),
        ("store: {url: 'redis://:s3cret@h:port'}\n", "store.url: its port is not a number"),
        ("store: {password: 123456}\n", "store.password: must be a text, is a number"),
        ("stor: {password: s3cret}\n", "there is no such field; did you mean \"store\"?"),
    ] {
        std::fs::write(&file, format!("{text}{more}")).expect("the file can be written");
        let said = sandbox.tidegate(&["config", "check"]);
        assert_eq!(said.code, 1, "{more}");
        assert!(said.err.contains("tidegate.yaml:") && said.err.contains(words), "{}", said.err);
        assert!(!said.err.contains("s3cret") && !said.err.contains("123456"), "{}", said.err);
    }
}
