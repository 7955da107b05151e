//! Processes that end before their work is done: `kill -9` and Ctrl-C of a materialization and of a server, on both stores.
//! Nothing that was acknowledged is lost, the ledger is never ahead, and the same command again completes.

use std::{
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

use serde_json::{Value, json};
use tidegate_store::testing::RedisServer;
use tidegate_tests::{Said, Sandbox, games, http, said, signal, wait_for};

/// Enough that a materialization can be caught at work.
const PLAYERS: u32 = 40_000;
const PAUSES: u32 = 6_000;

/// A project, where its state and its store are.
struct Place<'a> {
    sandbox: &'a Sandbox,
    state: String,
    /// Of Redis, with a namespace of its own.
    url: Option<String>,
}

impl Place<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command_in(&self.state, arguments);
        if let Some(url) = &self.url {
            command.env("TIDEGATE__STORE__URL", url).env("TIDEGATE__STORE__NAMESPACE", &self.state);
        }
        command
    }

    fn tidegate(&self, arguments: &[&str]) -> Said {
        said(&self.command(arguments).output().expect("the binary starts"))
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
    }

    /// The newest run of the ledger.
    fn newest_run(&self) -> Value {
        self.tidegate(&["runs", "--limit", "1", "--output", "json"]).json()[0].clone()
    }

    /// Waits until `process` owns the state, so that whoever asks next asks it.
    fn is_owned_by(&self, process: &Child) {
        let lock = self.sandbox.state_in(&self.state).join("lock");
        let owner = || std::fs::read_to_string(&lock).ok().filter(|owner| owner.trim() == process.id().to_string());
        wait_for(PAUSES, owner).expect("the process becomes the owner");
    }

    /// Waits until the newest run is in `state`.
    fn run_is(&self, state: &str) {
        let seen = wait_for(PAUSES, || (self.newest_run()["state"] == state).then_some(()));
        assert!(seen.is_some(), "the newest run is {}", self.newest_run());
    }

    /// The same command again completes, and every key is what the files say.
    fn completes(&self, materialize: &[&str]) {
        let report = self.tidegate(materialize).json();
        assert_eq!(report["views"][0]["outcome"]["state"], json!("acknowledged"), "{report}");
        let verified = self.tidegate(&["verify", "--all", "--output", "json"]).json();
        assert_eq!(verified["views"][0]["compared_keys"], json!(PLAYERS), "{verified}");
        assert_eq!(verified["views"][0]["mismatches"], json!({}), "{verified}");
    }
}

const MATERIALIZE: [&str; 3] = ["materialize", "--output", "json"];

/// Kills materializations at moments that `seed` spreads over the time that a whole one takes.
fn kills(sandbox: &Sandbox, url: Option<&str>, rounds: u64, seed: u64) {
    let place = |name: String| Place { sandbox, state: name, url: url.map(str::to_owned) };
    let whole = place(format!("whole{seed}"));
    whole.tidegate(&["apply"]).done();
    let mut process = whole.start(&MATERIALIZE);
    let pauses = AtomicU64::new(0);
    let ended = wait_for(PAUSES, || {
        pauses.fetch_add(1, Ordering::Relaxed);
        process.try_wait().expect("a child can be asked")
    });
    assert!(ended.is_some_and(|code| code.success()), "the first materialization works");
    let pauses = pauses.into_inner();

    let mut at_work = 0;
    for round in 0..rounds {
        let place = place(format!("killed{seed}x{round}"));
        place.tidegate(&["apply"]).done();
        let mut process = place.start(&MATERIALIZE);
        // one moment in each equal part of the time, at a place in it that the seed decides
        let share = ((seed + round).wrapping_mul(6_364_136_223_846_793_005) >> 33) % 100;
        let moment = (pauses * (round * 100 + share) / (rounds * 100)).max(1);
        wait_for(u32::try_from(moment).expect("few pauses"), || process.try_wait().expect("a child can be asked"));
        process.kill().expect("a child can be killed");
        process.wait().expect("a child can be waited for");
        let run = place.newest_run();
        assert!(run.is_null() || run["state"] == "abandoned" || run["state"] == "acknowledged", "{run}");
        at_work += u32::from(run["state"] == "abandoned");
        if run["state"] != "acknowledged" {
            place.completes(&MATERIALIZE);
        }
        place.completes(&["materialize", "--start", "1970-01-01", "--output", "json"]);
    }
    assert!(at_work > 0, "seed {seed}: no kill caught a materialization at work");
}

#[test]
fn case_32_a_killed_materialization_completes_when_it_is_run_again() {
    kills(&Sandbox::many_games(PLAYERS), None, 4, 20_131_115);
}

#[tokio::test(flavor = "multi_thread")]
async fn case_32_a_killed_materialization_into_redis_completes_when_it_is_run_again() {
    let redis = RedisServer::start().await;
    let sandbox = Sandbox::many_games(PLAYERS);
    tokio::task::block_in_place(|| kills(&sandbox, Some(&redis.url()), 3, 20_131_116));
}

#[test]
fn a_server_killed_under_load_with_a_materialization_handed_over_loses_nothing() {
    let sandbox = Sandbox::many_games(PLAYERS);
    let place = Place { sandbox: &sandbox, state: "state".to_owned(), url: None };
    place.tidegate(&["apply"]).done();
    place.tidegate(&["materialize", "--end", "2026-01-01"]).done();
    let server = sandbox.serve(&[]);
    let answered = AtomicU64::new(0);
    let handed_over = std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                let ask = json!({"features": ["form:a"], "entities": {"player": ["player-0000001", "nobody"]}});
                // until the server has gone
                while let Ok(answer) = http::post(&server.address, "/get-online-features", &ask) {
                    assert_eq!(answer.status, 200, "{}", answer.json);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let handed_over = place.start(&MATERIALIZE);
        place.run_is("running");
        wait_for(PAUSES, || (answered.load(Ordering::Relaxed) > 20).then_some(())).expect("the server answers");
        signal(server.pid(), "KILL");
        let ended = handed_over.wait_with_output().expect("a child can be waited for");
        said(&ended)
    });
    server.kill();
    assert_eq!(handed_over.code, 1, "{}", handed_over.out);
    assert_eq!(
        handed_over.err,
        "error: the process that owns the state folder went away before the command was done; run it again\n"
    );
    assert_eq!(place.newest_run()["state"], json!("abandoned"), "the ledger is not ahead of the store");
    place.completes(&MATERIALIZE);
}

fn interrupted(child: Child) -> Output {
    signal(child.id(), "INT");
    child.wait_with_output().expect("a child can be waited for")
}

#[test]
fn ctrl_c_stops_a_materialization_cleanly_and_it_completes_when_run_again() {
    let sandbox = Sandbox::many_games(PLAYERS);
    let place = Place { sandbox: &sandbox, state: "state".to_owned(), url: None };
    place.tidegate(&["apply"]).done();
    let running = place.start(&["materialize"]);
    place.is_owned_by(&running);
    place.run_is("running");
    let said = said(&interrupted(running));
    assert_eq!(said.code, 130, "{}{}", said.out, said.err);
    assert!(said.out.contains("interrupted"), "{}", said.out);
    assert_eq!(place.newest_run()["state"], json!("interrupted"));
    place.completes(&MATERIALIZE);
}

#[test]
fn ctrl_c_of_a_command_that_was_handed_over_stops_it_in_the_server() {
    let sandbox = Sandbox::many_games(PLAYERS);
    let place = Place { sandbox: &sandbox, state: "state".to_owned(), url: None };
    place.tidegate(&["apply"]).done();
    let server = sandbox.serve(&[]);
    let running = place.start(&["materialize"]);
    place.run_is("running");
    let said = said(&interrupted(running));
    assert_eq!(said.code, 130, "{}{}", said.out, said.err);
    place.run_is("interrupted");
    let ask = json!({"features": ["form:a"], "entities": {"player": ["nobody"]}});
    assert_eq!(server.post("/get-online-features", &ask).status, 200, "the server goes on");
    place.completes(&MATERIALIZE);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_second_materialization_beside_the_first_waits_for_nothing_and_changes_nothing() {
    let sandbox = Sandbox::games(&[games::game("ann", "2026-01-01T00:00:00Z", [1.0, 2.0, 3.0])]);
    let place = Place { sandbox: &sandbox, state: "state".to_owned(), url: None };
    place.tidegate(&["apply"]).done();
    let both = [place.start(&MATERIALIZE), place.start(&MATERIALIZE)];
    let mut written = 0;
    for process in both {
        let said = said(&process.wait_with_output().expect("a child can be waited for"));
        let report = said.json();
        written += report["views"][0]["counts"]["written"].as_u64().expect("counts are numbers");
    }
    assert_eq!(written, 1, "one of the two wrote the row");
    assert!(place.tidegate(&["verify", "--all"]).done().contains("as it should be"));
}
