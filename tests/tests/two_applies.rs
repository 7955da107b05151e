//! Several `apply` processes at once, with and without a server: one makes the version, every other one finds it made or is
//! refused in words, and the registry is whole.

use std::process::Stdio;

use serde_json::json;
use tidegate_tests::{Said, Sandbox, Server, games::game, said, wait_for};

const AT_ONCE: usize = 5;

fn sandbox() -> Sandbox {
    Sandbox::games(&[game("ann", "2026-01-01T00:00:00Z", [1.0, 2.0, 3.0])])
}

/// Starts all of them before it waits for any.
fn at_once(sandbox: &Sandbox, arguments: &[&str]) -> Vec<Said> {
    let start = |_| {
        let mut command = sandbox.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
    };
    let processes = (0..AT_ONCE).map(start).collect::<Vec<_>>();
    let ended = processes.into_iter().map(|process| process.wait_with_output().expect("a child can be waited for"));
    ended.map(|output| said(&output)).collect()
}

/// What a process whose plan has become stale meanwhile says: before it asks the registry, or told by it.
fn is_stale(said: &Said) -> bool {
    let words = &said.err;
    said.code == 1
        && said.out.is_empty()
        && words.lines().count() == 1
        && words.starts_with("error: the plan was made ")
        && words.contains("run plan again")
}

/// Of applies at once one has made `version`; each other one found it made, or is told that its plan is stale.
fn one_made(version: u64, applied: Vec<Said>) {
    let mut changed = 0;
    for said in applied {
        if is_stale(&said) {
            continue;
        }
        let report = said.json();
        assert_eq!(report["version"], json!(version), "{report}");
        changed += u32::from(report["changed"] == json!(true));
    }
    assert_eq!(changed, 1);
}

/// Nothing is left to apply, and what was applied can be materialized and read.
fn is_whole(sandbox: &Sandbox) {
    assert_eq!(sandbox.tidegate(&["plan", "--exit-code"]).code, 0);
    sandbox.tidegate(&["materialize"]).done();
    assert!(sandbox.tidegate(&["verify", "--all"]).done().contains("as it should be"));
}

fn add_a_service(sandbox: &Sandbox) {
    sandbox.write("more.yaml", "kind: FeatureService\nname: short\nfeatures: [\"form:b\"]\n");
}

fn serves(server: &Server, version: u64) {
    let swapped = || (server.get("/health")["catalog"]["version"] == json!(version)).then_some(());
    wait_for(500, swapped).expect("the server swaps to the version that one of them made");
}

#[test]
fn of_applies_at_once_one_makes_the_version_and_no_other_makes_another() {
    let sandbox = sandbox();
    one_made(1, at_once(&sandbox, &["apply", "--output", "json"]));
    let server = sandbox.serve(&[]);
    add_a_service(&sandbox);
    one_made(2, at_once(&sandbox, &["apply", "--output", "json"]));
    serves(&server, 2);
    is_whole(&sandbox);
    assert_eq!(server.stop(), 0);
    is_whole(&sandbox);
}

#[test]
fn of_applies_of_one_plan_one_wins_and_the_others_are_told_that_it_is_stale() {
    for served in [false, true] {
        let sandbox = sandbox();
        sandbox.tidegate(&["apply"]).done();
        let server = served.then(|| sandbox.serve(&[]));
        add_a_service(&sandbox);
        let (won, lost): (Vec<_>, Vec<_>) =
            at_once(&sandbox, &["apply", "--planned-at", "1"]).into_iter().partition(|said| said.code == 0);
        assert_eq!((won.len(), lost.len()), (1, AT_ONCE - 1), "{won:?} {lost:?}");
        assert!(won[0].out.ends_with("applied version 2\n"), "{}", won[0].out);
        assert!(lost.iter().all(is_stale), "{lost:?}");
        if let Some(server) = &server {
            serves(server, 2);
        }
        is_whole(&sandbox);
    }
}
