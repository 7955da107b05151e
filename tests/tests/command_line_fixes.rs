//! What the command line once did wrong, each as a sentence: closing, leaving, handing over, interrupting, refusing.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tidegate_tests::Sandbox;

/// Applied and materialized, nothing running.
fn materialized() -> Sandbox {
    let sandbox = Sandbox::init();
    sandbox.tidegate(&["apply"]).done();
    sandbox.tidegate(&["materialize"]).done();
    sandbox
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
