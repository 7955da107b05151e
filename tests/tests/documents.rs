//! The commands that README.md and the example's page tell a newcomer to type, typed.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use tidegate_tests::{Said, Server, binary, http, root, said};

/// The fenced shell blocks of `page` below `heading`, in order, without the commands that build or install.
fn blocks(page: &str, heading: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let (_, section) = text.split_once(&format!("\n{heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let fenced = section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    let commands = fenced.map(|block| {
        let joined = block.replace("\\\n", " ");
        let lines = joined.lines().filter(|line| !line.starts_with("make ") && !line.starts_with("alias "));
        lines.map(|line| line.split("  #").next().unwrap_or_default().trim().to_owned()).collect()
    });
    commands.collect()
}

/// A shell whose path begins with the binary under test, with its state and its port out of the way of others.
struct Shell {
    bin: TempDir,
}

impl Shell {
    fn new() -> Self {
        let bin = tempfile::tempdir().unwrap();
        symlink(binary(), bin.path().join("tidegate")).unwrap();
        Self { bin }
    }

    fn command(&self, folder: &Path, script: &str) -> Command {
        let mut command = Command::new("sh");
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.bin.path().display());
        command.args(["-euc", script]).current_dir(folder).env("PATH", path).stdin(Stdio::null());
        command.env("TIDEGATE__GATEWAY__LISTEN", "127.0.0.1:0");
        command
    }
}

fn run(mut command: Command) -> Said {
    said(&command.output().unwrap())
}

#[test]
fn the_first_real_use_of_the_readme_works_as_it_stands() {
    let [block]: [Vec<String>; 1] = blocks("README.md", "## A first real use").try_into().unwrap();
    assert!(block.iter().all(|line| line.starts_with("tidegate ")), "{block:?}");
    let (serve, before) = block.split_last().unwrap();
    assert_eq!(serve, "tidegate serve");
    let (shell, folder) = (Shell::new(), tempfile::tempdir().unwrap());
    let said = run(shell.command(folder.path(), &before.join("\n"))).done();
    assert!(said.contains("0 errors") && said.contains("applied version 1"), "{said}");
    assert!(said.contains("\"PRESENT\"") && said.contains("as it should be"), "{said}");
    let server = Server::start(shell.command(&folder.path().join("shop"), &format!("exec {serve}")));
    assert_eq!(http::get(&server.address, "/ready").unwrap().status, 200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn the_flights_by_hand_end_with_the_probability_of_their_page() {
    let page = "examples/flights/README.md";
    let [by_hand, asked]: [Vec<String>; 2] = blocks(page, "## Run it").try_into().unwrap();
    let (serve, before) = by_hand.split_last().unwrap();
    assert!(serve.starts_with("tidegate serve --as-of "), "{serve}");
    let (shell, state) = (Shell::new(), tempfile::tempdir().unwrap());
    let command = |script: &str| {
        let mut command = shell.command(&root().join("examples/flights"), script);
        command.env("TIDEGATE__STATE__PATH", state.path().join("state"));
        command
    };
    let said = run(command(&before.join("\n"))).done();
    assert!(said.contains("0 errors") && said.contains("applied version 1"), "{said}");
    let server = Server::start(command(&format!("exec {serve}")));
    let answer: Value = serde_json::from_str(&run(command(&asked.join("\n"))).done()).unwrap();
    let probability = answer["outputs"]["probability"][0].as_f64().unwrap();
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    assert!(text.contains(&format!("The probability is {probability:.4}")), "{answer}");
    assert!(
        answer["features"].as_object().is_some_and(|features| features.len() > 20),
        "--features shows them: {answer}"
    );
    assert_eq!(server.stop(), 0);
}
