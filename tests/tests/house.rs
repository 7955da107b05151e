//! The rules of the house: crate edges, fences around heavy crates, file sizes, documents that must exist.
//!
//! Each rule reads the tree itself; nothing here needs a server.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

/// What `cargo metadata` says, as far as the rules ask. (The crate that reads all of it switches on a feature of a JSON crate
/// that the query engine uses too: `make demo` and `make test` would each build the engine.)
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev` or `build`; none is normal.
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

/// Which of our crates each of our crates may use. ARCHITECTURE.md draws the same table.
const EDGES: &[(&str, &[&str])] = &[
    ("tidegate-catalog", &[]),
    ("tidegate-transform", &["tidegate-catalog"]),
    ("tidegate-proto", &["tidegate-catalog"]),
    ("tidegate-store", &["tidegate-catalog"]),
    ("tidegate-inference", &["tidegate-catalog"]),
    ("tidegate-control", &["tidegate-catalog"]),
    ("tidegate-offline", &["tidegate-catalog", "tidegate-transform", "tidegate-proto"]),
    (
        "tidegate-materializer",
        &["tidegate-catalog", "tidegate-transform", "tidegate-store", "tidegate-offline", "tidegate-control"],
    ),
    (
        "tidegate-gateway",
        &["tidegate-catalog", "tidegate-transform", "tidegate-proto", "tidegate-store", "tidegate-inference"],
    ),
];

/// Compose everything, so they may use anything.
const FREE: &[&str] = &["tidegate", "tidegate-tests", "tidegate-benches"];

/// Heavy crates, and the only crates of ours that may name them. Tests and benches use them as equipment.
const FENCES: &[(&str, &[&str])] = &[
    ("fred", &["tidegate-store"]),
    ("redis", &["tidegate-store"]),
    ("scylla", &["tidegate-store"]),
    ("redb", &["tidegate-store"]),
    ("ort", &["tidegate-inference"]),
    ("arrow-flight", &["tidegate-offline"]),
    ("datafusion", &["tidegate-offline", "tidegate-materializer"]),
    ("sqlx", &["tidegate-control"]),
];

const EQUIPMENT: &[&str] = &["tidegate-tests", "tidegate-benches"];

/// Never in the gateway's tree, however far down.
const NOT_IN_THE_GATEWAY: &[&str] = &["datafusion", "arrow-flight", "sqlx"];

const MAX_FILE_LINES: usize = 600;
const MAX_LIB_LINES: usize = 120;
const MAX_MAIN_LINES: usize = 60;
const MAX_CRATE_CHAIN: usize = 6;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Metadata {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--offline"]).current_dir(root());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every package of a build, with its features.
fn features(selection: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--offline", "--prefix", "none", "--format", "{p}|{f}"]).args(selection).current_dir(root());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_demo_and_the_tests_build_the_same_dependencies() {
    let demo = features(&["-p", "tidegate", "-e", "normal,build"]);
    let tests = features(&["--workspace", "-e", "normal,build,dev"]);
    // our own crates are small, and some have a feature for tests
    let twice = demo.difference(&tests).filter(|package| !package.starts_with("tidegate")).collect::<Vec<_>>();
    assert!(demo.len() > 200, "{demo:?}");
    assert!(twice.is_empty(), "built by `make demo`, and again with other features by `make test`: {twice:?}");
}

fn ours(metadata: &Metadata) -> Vec<&Package> {
    metadata.packages.iter().filter(|package| metadata.workspace_members.contains(&package.id)).collect()
}

#[test]
fn crates_use_only_the_crates_below_them() {
    let metadata = metadata();
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in ours(&metadata) {
        let name = package.name.as_str();
        if FREE.contains(&name) {
            continue;
        }
        let allowed = allowed.get(name).unwrap_or_else(|| panic!("crate {name} is not in the edge table"));
        for dependency in &package.dependencies {
            let target = dependency.name.as_str();
            if target.starts_with("tidegate") && target != name && !allowed.contains(&target) {
                wrong.push(format!("{name} -> {target}"));
            }
        }
    }
    assert!(wrong.is_empty(), "edges that the design does not have: {wrong:?}");
}

#[test]
fn heavy_crates_stay_behind_their_fence() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in ours(&metadata) {
        let name = package.name.as_str();
        for dependency in &package.dependencies {
            let Some((_, inside)) = FENCES.iter().find(|(heavy, _)| *heavy == dependency.name) else { continue };
            if !inside.contains(&name) && !EQUIPMENT.contains(&name) {
                wrong.push(format!("{name} -> {}", dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "heavy crates outside their fence: {wrong:?}");
}

#[test]
fn the_gateway_carries_no_engine_and_no_database() {
    let metadata = metadata();
    let tree = transitive(&metadata, "tidegate-gateway");
    let found: Vec<_> = tree
        .iter()
        .filter(|name| {
            NOT_IN_THE_GATEWAY.iter().any(|banned| *name == banned || name.starts_with(&format!("{banned}-")))
        })
        .collect();
    assert!(found.is_empty(), "the gateway's tree holds {found:?}");
}

/// The names in a crate's tree of normal dependencies.
fn transitive(metadata: &Metadata, start: &str) -> BTreeSet<String> {
    let nodes: BTreeMap<&str, _> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let names: BTreeMap<&str, _> =
        metadata.packages.iter().map(|package| (package.id.as_str(), &package.name)).collect();
    let first = metadata.packages.iter().find(|package| package.name == start).unwrap().id.as_str();
    let mut seen = BTreeSet::from([first]);
    let mut queue = VecDeque::from([first]);
    while let Some(id) = queue.pop_front() {
        for dependency in &nodes[id].deps {
            let normal = dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
            if normal && seen.insert(dependency.pkg.as_str()) {
                queue.push_back(&dependency.pkg);
            }
        }
    }
    seen.iter().map(|id| names[id].clone()).collect()
}

/// The texts of the list `name` of deny.toml.
fn deny_list(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let (_, list) = text.split_once(&format!("\n{name} = [\n")).unwrap();
    list.split("\n]").next().unwrap().split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be met with the licences of `allowed`: every part of its ANDs, by one of its ORs.
fn licence_is_met(expression: &str, allowed: &[String]) -> bool {
    let plain = expression.replace('/', " OR ").replace(['(', ')'], "");
    plain.split(" AND ").all(|part| part.split(" OR ").any(|one| allowed.iter().any(|allowed| allowed == one.trim())))
}

#[test]
fn dependencies_have_allowed_licences_and_one_version_where_it_matters() {
    let metadata = metadata();
    let (allowed, once) = (deny_list("allow"), deny_list("deny"));
    assert!(allowed.len() > 5 && once.contains(&"hyper".to_owned()), "{allowed:?} {once:?}");
    let foreign = metadata.packages.iter().filter(|package| package.source.is_some());
    let wrong =
        foreign.filter(|package| !package.license.as_ref().is_some_and(|license| licence_is_met(license, &allowed)));
    let wrong = wrong.map(|package| format!("{} {:?}", package.name, package.license)).collect::<Vec<_>>();
    assert!(wrong.is_empty(), "licences that deny.toml does not allow: {wrong:?}");
    for name in once {
        let versions = metadata.packages.iter().filter(|package| package.name == name);
        let versions = versions.map(|package| package.version.as_str()).collect::<Vec<_>>();
        assert!(versions.len() <= 1, "{name} is here in several versions: {versions:?}");
    }
}

#[test]
fn the_longest_chain_of_crates_is_short() {
    let metadata = metadata();
    let packages: BTreeMap<&str, &Package> = ours(&metadata).into_iter().map(|p| (p.name.as_str(), p)).collect();
    fn depth(name: &str, packages: &BTreeMap<&str, &Package>) -> usize {
        let below = packages[name]
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind.is_none() && packages.contains_key(dependency.name.as_str()));
        1 + below.map(|dependency| depth(dependency.name.as_str(), packages)).max().unwrap_or(0)
    }
    let longest = packages.keys().map(|name| depth(name, &packages)).max().unwrap();
    assert!(longest <= MAX_CRATE_CHAIN, "the longest chain has {longest} crates, at most {MAX_CRATE_CHAIN}");
}

#[test]
fn versions_stand_in_the_root_manifest_only() {
    let metadata = metadata();
    for package in ours(&metadata) {
        let text = std::fs::read_to_string(&package.manifest_path).unwrap();
        let own = text.lines().find(|line| {
            let quoted_version = line.contains("= \"") && line.contains(|c: char| c.is_ascii_digit());
            (quoted_version || line.contains("version = \"")) && !line.starts_with("name") && !line.starts_with("path")
        });
        assert_eq!(own, None, "{} names a version of its own", package.manifest_path.display());
    }
}

#[test]
fn files_hold_one_idea_each() {
    let mut wrong = Vec::new();
    for file in rust_files(&root()) {
        let relative = file.strip_prefix(root()).unwrap().to_owned();
        if is_test_code(&relative) {
            continue;
        }
        let lines = production_lines(&std::fs::read_to_string(&file).unwrap());
        let limit = match relative.file_name().and_then(|name| name.to_str()) {
            Some("lib.rs") => MAX_LIB_LINES,
            Some("main.rs") => MAX_MAIN_LINES,
            _ => MAX_FILE_LINES,
        };
        if lines > limit {
            wrong.push(format!("{} has {lines} production lines, at most {limit}", relative.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = rust_files(&root())
        .into_iter()
        .filter(|file| !std::fs::read_to_string(file).unwrap().starts_with("//!"))
        .filter(|file| !file.ends_with("tests.rs"))
        .collect();
    assert!(silent.is_empty(), "files whose first line is no `//!`: {silent:?}");
}

#[test]
fn the_documents_are_there() {
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "Makefile"] {
        assert!(root().join(name).is_file(), "{name} is missing");
    }
    let architecture = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(architecture.lines().count() <= 400, "ARCHITECTURE.md is longer than 400 lines");
    for package in ours(&metadata()) {
        let folder = package.manifest_path.parent().unwrap().file_name().unwrap().display();
        assert!(architecture.contains(&format!("{folder}/")), "ARCHITECTURE.md does not draw {folder}/");
    }
}

#[test]
fn every_error_code_has_a_page() {
    let pages: BTreeSet<String> = std::fs::read_dir(root().join("docs/errors"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
        .filter(|name| name != "README")
        .collect();
    let codes: BTreeSet<String> = tidegate_catalog::ErrorCode::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(pages, codes);
}

#[test]
fn every_corner_case_of_the_page_has_its_test_and_every_test_its_case() {
    let page = std::fs::read_to_string(root().join("docs/corner-cases.md")).unwrap();
    let listed = page.lines().filter_map(|line| Some((line.strip_prefix("| ")?.get(..2)?.parse::<u8>().ok()?, line)));
    let listed = listed.collect::<BTreeMap<_, _>>();
    assert_eq!(listed.keys().copied().collect::<Vec<_>>(), (1..=41).collect::<Vec<_>>());
    let tested = listed.iter().filter(|(_, line)| line.contains("| tested")).map(|(case, _)| *case);
    let tested = tested.collect::<BTreeSet<_>>();
    let mut named = BTreeSet::new();
    for file in rust_files(&root()) {
        let text = std::fs::read_to_string(file).unwrap();
        let names =
            text.match_indices("fn case_").filter_map(|(at, start)| text.get(at + start.len()..at + start.len() + 2));
        named.extend(names.filter_map(|number| number.parse::<u8>().ok()));
    }
    assert_eq!(named, tested);
}

#[test]
fn decisions_have_the_five_parts() {
    for entry in std::fs::read_dir(root().join("docs/adr")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for part in ["Context", "Decision", "Rejected", "Consequences", "Look again when"] {
            assert!(text.contains(part), "{} lacks its part {part:?}", path.display());
        }
    }
}

fn rust_files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if name.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    files
}

fn is_test_code(relative: &Path) -> bool {
    let in_folder =
        relative.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "benches" | "examples")));
    in_folder || relative.file_name().is_some_and(|name| name == "tests.rs")
}

fn production_lines(text: &str) -> usize {
    text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count()
}
