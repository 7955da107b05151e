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

/// The fenced JSON of `page` below `heading`: what is asked, and the answer's shape.
fn asked_and_answered(page: &str, heading: &str) -> [Value; 2] {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let (_, section) = text.split_once(&format!("\n{heading}\n")).unwrap();
    let fenced = section.split("```json\n").skip(1).map(|block| block.split("```").next().unwrap());
    let values = fenced.take(2).map(|block| serde_json::from_str(block).unwrap()).collect::<Vec<_>>();
    values.try_into().unwrap()
}

/// Whether `answer` has all that the documented one has: names, lists, and types of values.
fn has_shape_of(documented: &Value, answer: &Value, path: &str) {
    match (documented, answer) {
        (Value::Object(documented), Value::Object(answer)) => {
            for (name, value) in documented {
                has_shape_of(value, answer.get(name).unwrap_or(&Value::Null), &format!("{path}.{name}"));
            }
        }
        (Value::Array(documented), Value::Array(answer)) => {
            assert_eq!(documented.len(), answer.len(), "{path}");
            documented.iter().zip(answer).for_each(|(documented, answer)| has_shape_of(documented, answer, path));
        }
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Null, Value::Null) => {}
        _ => unreachable!("{path}: documented {documented}, answered {answer}"),
    }
}

/// Posts the requests of the API's page to the flights that `address` serves.
fn the_page_of_the_api_is_true(address: &str) {
    let page = "docs/http-api.md";
    let [asked, documented] = asked_and_answered(page, "## POST /v1/predict/{endpoint}");
    let answer = http::post(address, "/v1/predict/arrival_delay", &asked).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.json);
    has_shape_of(&documented, &answer.json, "");
    assert_eq!(
        documented.as_object().unwrap().keys().collect::<Vec<_>>(),
        answer.json.as_object().unwrap().keys().collect::<Vec<_>>()
    );
    let [asked, documented] = asked_and_answered(page, "## POST /get-online-features");
    let answer = http::post(address, "/get-online-features", &asked).unwrap();
    has_shape_of(&documented, &answer.json, "");
    assert_eq!(documented["metadata"], answer.json["metadata"]);
    let statuses = |answer: &Value| {
        answer["results"].as_array().unwrap().iter().map(|one| one["statuses"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&documented), statuses(&answer.json));
}

/// Every metric that the sources name, found by its prefix.
fn metrics_of(folder: &Path, found: &mut std::collections::BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            metrics_of(&path, found);
        } else if path.file_name().is_some_and(|name| name == "metrics.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let quoted = text.split('"').skip(1).step_by(2).filter(|quoted| quoted.starts_with("tidegate_"));
            let plain = |name: &str| name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
            found.extend(quoted.filter(|name| plain(name)).map(str::to_owned));
        }
    }
}

#[test]
fn every_metric_stands_on_the_page_of_the_api() {
    let page = std::fs::read_to_string(root().join("docs/http-api.md")).unwrap();
    let mut found = std::collections::BTreeSet::new();
    for of in ["store", "inference", "materializer", "gateway"] {
        metrics_of(&root().join(of).join("src"), &mut found);
    }
    assert!(found.len() > 20, "{found:?}");
    let missing = found.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect::<Vec<_>>();
    assert!(missing.is_empty(), "{missing:?}");
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
    the_page_of_the_api_is_true(&server.address);
    assert_eq!(server.stop(), 0);
}
