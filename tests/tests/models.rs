//! An endpoint whose model is missing, is no model, or takes other inputs than its service gives: what `validate`, `apply` and
//! the first start of `serve` say. And a machine without ONNX Runtime, where it is looked for, and one that is too old.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tidegate_tests::{
    Said, Sandbox,
    games::{self, game},
    http, root, said, wait_for,
};

const MODEL: &str = "models/affine.onnx";

fn sandbox() -> Sandbox {
    Sandbox::games(&[game("ann", "2026-01-01T00:00:00Z", [1.0, 2.0, 3.0])])
}

/// The line of the endpoint's model in the definitions.
fn place() -> String {
    let line = 1 + games::DEFINITIONS.lines().position(|line| line.starts_with("model:")).expect("there is a model");
    format!("definitions.yaml:{line}")
}

fn model(name: &str) -> std::path::PathBuf {
    root().join("inference/tests/models").join(name)
}

/// What is done to the model's file, and what is then wrong with it.
struct Broken {
    breaks: fn(&Sandbox),
    why: fn(&Sandbox) -> String,
}

const BROKEN: [Broken; 5] = [
    Broken {
        breaks: |sandbox| std::fs::remove_file(sandbox.project.join(MODEL)).expect("the model is there"),
        why: |sandbox| {
            let file = sandbox.project.join(MODEL);
            format!("model {} cannot be read: No such file or directory (os error 2)", file.display())
        },
    },
    Broken {
        breaks: |sandbox| sandbox.write(MODEL, "hello, world"),
        why: |sandbox| {
            let file = sandbox.project.join(MODEL);
            format!(
                "model {} is not an ONNX model that ONNX Runtime can run: Failed to load model because protobuf parsing \
                 failed.",
                file.display()
            )
        },
    },
    Broken {
        breaks: |sandbox| sandbox.copy(MODEL, &model("classifier_int64.onnx")),
        why: |_| {
            "model models/affine.onnx, feature service rank: input \"x\" takes 2 values a row, the service has 4 columns \
             (x, form__a, form__b, form__c); train the model on these columns in this order, or change the service"
                .to_owned()
        },
    },
    Broken {
        breaks: |sandbox| sandbox.copy(MODEL, &model("classifier_zipmap.onnx")),
        why: |sandbox| {
            let file = sandbox.project.join(MODEL);
            format!(
                "model {}: output \"output_probability\" is a sequence of maps (ZipMap); export it with \
                 options={{id(model): {{'zipmap': False}}}} so that the probabilities are one tensor",
                file.display()
            )
        },
    },
    Broken {
        breaks: |sandbox| sandbox.copy(MODEL, &model("uint8.onnx")),
        why: |sandbox| {
            let file = sandbox.project.join(MODEL);
            format!(
                "model {}: input \"x\" is a tensor of Uint8; served are tensors of float32, float64, int32, int64, bool \
                 and string",
                file.display()
            )
        },
    },
];

#[test]
fn a_model_that_cannot_be_used_is_named_with_its_line_by_validate_and_apply() {
    for broken in BROKEN {
        let sandbox = sandbox();
        (broken.breaks)(&sandbox);
        let found = format!(
            "{}: error: Endpoint rank: model.path: {}\n1 errors, 0 warnings\n",
            place(),
            (broken.why)(&sandbox)
        );
        let validated = sandbox.tidegate(&["validate"]);
        assert_eq!((validated.code, validated.out, validated.err), (1, found.clone(), String::new()));
        let applied = sandbox.tidegate(&["apply"]);
        assert_eq!((applied.code, applied.out, applied.err), (1, String::new(), found));
        assert_eq!(sandbox.tidegate(&["runs", "--output", "json"]).json(), json!([]), "nothing was applied");
    }
}

#[test]
fn a_server_that_cannot_load_its_first_catalog_is_not_ready_and_takes_it_once_it_can() {
    for broken in BROKEN {
        let sandbox = sandbox();
        sandbox.tidegate(&["apply"]).done();
        (broken.breaks)(&sandbox);
        let server = sandbox.serve(&[]);
        let ready = http::get(&server.address, "/ready").expect("the server answers");
        assert_eq!(ready.status, 503);
        let why_unready = ready.json["not_ready"][0]["why"].as_str().expect("it says why");
        let prefix = "no catalog is loaded: version 1 was refused: endpoint \"rank\": model models/affine.onnx: ";
        assert!(why_unready.starts_with(prefix), "{why_unready}");
        let health = server.get("/health");
        assert_eq!((&health["status"], &health["catalog"]["version"]), (&json!("live"), &Value::Null));
        let refused = &health["catalog"]["refused"];
        let why = refused["why"].as_str().expect("a refusal has a reason");
        assert_eq!(refused["version"], json!(1));
        assert!(why.starts_with("endpoint \"rank\": model models/affine.onnx: "), "{why}");
        let ask = json!({"entities": {"player": "ann"}, "request": {"x": 1.0}});
        let answer = server.post("/v1/predict/rank", &ask);
        assert_eq!((answer.status, &answer.json["code"]), (503, &json!("Unavailable")), "{}", answer.json);

        // the refused catalog is tried again, for a file may come
        sandbox.copy(MODEL, &model("affine.onnx"));
        let ready = || (http::get(&server.address, "/ready").ok()?.status == 200).then_some(());
        wait_for(3_000, ready).expect("the catalog is loaded once its model is there");
        assert_eq!(server.post("/v1/predict/rank", &ask).json["outputs"]["y"], json!([1.5]));
        assert_eq!(server.stop(), 0);
    }
}

/// Runs with the library at `library`; `None` is nothing said about it.
fn with_library(sandbox: &Sandbox, library: Option<&Path>, arguments: &[&str]) -> Said {
    let mut command = sandbox.command(arguments);
    match library {
        Some(path) => command.env("ORT_DYLIB_PATH", path),
        None => command.env_remove("ORT_DYLIB_PATH"),
    };
    said(&command.output().expect("the binary starts"))
}

#[test]
fn without_onnx_runtime_validate_says_which_check_was_not_made() {
    let sandbox = sandbox();
    let nowhere = sandbox.project.join("nowhere.so");
    let missing = format!(
        "ONNX Runtime's library is at none of {}; `make runtime` installs it, or set ORT_DYLIB_PATH or \
         inference.onnxruntime",
        nowhere.display()
    );
    let said = with_library(&sandbox, Some(&nowhere), &["validate"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_eq!(
        said.out,
        format!(
            "{}: not checked: Endpoint rank: model.path: the model's inputs could not be checked: {missing}\n0 errors, 0 \
             warnings, 1 checks not made\n",
            place()
        )
    );
    let said = with_library(&sandbox, Some(&nowhere), &["validate", "--output", "json"]).json();
    assert_eq!((&said["errors"], &said["not_made"]), (&json!(0), &json!(1)));
    assert_eq!(said["findings"][0]["severity"], json!("not_made"));
}

#[test]
fn the_configuration_names_the_library_before_the_variable_and_else_it_is_found() {
    let sandbox = sandbox();
    sandbox.tidegate(&["apply"]).done();
    sandbox.tidegate(&["materialize"]).done();
    let ask = ["predict", "rank", "--entities", r#"{"player": "ann"}"#, "--request", r#"{"x": 1}"#];
    let found = with_library(&sandbox, None, &ask).json();
    assert_eq!(found["outputs"]["y"], json!([21.5]), "found beside the binary, without a word from the user");

    let nowhere = sandbox.project.join("nowhere.so");
    let said = with_library(&sandbox, Some(&nowhere), &ask);
    assert!(said.code == 1 && said.err.contains(nowhere.to_str().expect("a path is text")), "{}", said.err);

    let library = library();
    sandbox.edit(
        "tidegate.yaml",
        "project: games",
        &format!("project: games\ninference: {{onnxruntime: {library:?}}}"),
    );
    assert_eq!(with_library(&sandbox, Some(&nowhere), &ask).json()["outputs"], found["outputs"]);
    sandbox.edit("tidegate.yaml", &format!("{library:?}"), "elsewhere.so");
    let said = with_library(&sandbox, Some(Path::new(&library)), &ask);
    assert!(said.code == 1 && said.err.contains("elsewhere.so"), "{}", said.err);
}

/// The library that `scripts/onnxruntime` installed.
fn library() -> String {
    let output = Command::new("sh").arg(root().join("scripts/onnxruntime")).output().expect("sh runs");
    String::from_utf8(output.stdout).expect("a path is text").trim().to_owned()
}

/// What every build of ONNX Runtime exports, here of a version long ago.
const TOO_OLD: &str = r#"
static const char *version(void) { return "1.20.1"; }
static const void *api(unsigned int wanted) { return 0; }
static const struct { const void *(*get_api)(unsigned int); const char *(*get_version)(void); } base = { api, version };
const void *OrtGetApiBase(void) { return &base; }
"#;

#[test]
fn a_missing_or_too_old_library_ends_serve_before_anything_listens() {
    let sandbox = sandbox();
    sandbox.tidegate(&["apply"]).done();
    sandbox.write("old.c", TOO_OLD);
    let old = sandbox.project.join("old.so");
    let cc = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&old).arg(sandbox.project.join("old.c")).status();
    assert!(cc.expect("missing: cc (apt-get install gcc libc6-dev)").success());
    let missing = sandbox.project.join("nowhere.so");
    let cases = [
        (
            &missing,
            format!(
                "error: ONNX Runtime's library is at none of {}; `make runtime` installs it, or set ORT_DYLIB_PATH or \
                 inference.onnxruntime\n",
                missing.display()
            ),
        ),
        (
            &old,
            format!(
                "error: ONNX Runtime's library {} is too old: it is 1.20.1, needed is 1.24 or newer\n",
                old.display()
            ),
        ),
    ];
    for (library, words) in cases {
        // the port is taken: a server that went as far as to listen would speak of that
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = taken.local_addr().expect("it is bound").to_string();
        let mut command = sandbox.command(&["serve", "--listen", &address]);
        let output = command.env("ORT_DYLIB_PATH", library).stdin(Stdio::null()).output().expect("the binary starts");
        let said = said(&output);
        assert_eq!((said.code, said.out.as_str(), said.err), (1, "", words));
    }
}

#[test]
fn onnx_runtime_reports_nothing_about_us() {
    let sandbox = sandbox();
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let mut command = sandbox.command(&["validate"]);
    // what would keep the library from reporting by itself is taken away
    command.env_remove("ORT_DISABLE_TELEMETRY").env_remove("CI").env("HOME", home.path());
    command.env("XDG_CACHE_HOME", home.path().join("cache"));
    assert!(said(&command.output().expect("the binary starts")).done().contains("0 errors"));
    let left = std::fs::read_dir(home.path()).expect("the folder is there").count();
    assert_eq!(left, 0, "the library keeps a device's id in {}", home.path().display());
}
