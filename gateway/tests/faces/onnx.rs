//! Real models on the real ONNX Runtime: from row bytes to the answer's numbers.

use std::path::{Path, PathBuf};

use serde_json::json;
use tidegate_catalog::{KeyValue, Snapshot, Value, definitions::ServiceFeature};
use tidegate_gateway::ModelLoader;
use tidegate_inference::{Runtime, content_hash, find_library, library_candidates};

use crate::{
    definitions::snapshot,
    kit::{Client, Sandbox, Setup, until},
};

const DRIVER: [KeyValue<'static>; 1] = [KeyValue::Int64(7)];

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../inference/tests/models")
}

/// Fails where the library is missing: nothing is skipped.
fn loader() -> ModelLoader {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let named = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
    let library = named.map_or_else(|| find_library(&library_candidates(&root)), Ok);
    let runtime = library.and_then(|library| Runtime::load(&library));
    ModelLoader::onnx(runtime.unwrap_or_else(|error| panic!("run `make deps` first: {error}")), models())
}

/// The catalog with one endpoint, `score`, over `references` and the model `name`.
fn catalog(version: u64, name: &str, references: &[&str]) -> Snapshot {
    let mut snapshot = snapshot(version);
    let path = format!("{name}.onnx");
    let bytes = std::fs::read(models().join(&path)).unwrap();
    snapshot.definitions.endpoints.retain(|name, _| name == "score");
    let endpoint = snapshot.definitions.endpoints.get_mut("score").unwrap();
    endpoint.variants[0].model.path.clone_from(&path);
    endpoint.missing = tidegate_catalog::definitions::MissingRule::Null;
    snapshot.definitions.services.get_mut("scores").unwrap().features = references
        .iter()
        .map(|reference| {
            let (view, feature) = reference.split_once(':').unwrap();
            ServiceFeature {
                view: view.to_owned(),
                alias: view.to_owned(),
                feature: feature.to_owned(),
                join_keys: std::collections::BTreeMap::new(),
            }
        })
        .collect();
    snapshot.model_hashes.insert(path, content_hash(&bytes));
    snapshot
}

async fn serving(snapshot: Snapshot) -> Sandbox {
    let sandbox = Sandbox::with(Setup { snapshot: Some(snapshot), models: Some(loader()), ..Setup::default() }).await;
    let ready = sandbox.get("/ready").await;
    assert_eq!(ready.status, 200, "{} {}", ready.body, sandbox.get("/health").await.body);
    sandbox
}

const FOUR: [&str; 4] = ["stats:rate", "stats:trips", "profile:score", "stats:ok"];

#[tokio::test]
async fn a_packed_model_gets_every_column_in_the_services_order() {
    let sandbox = serving(catalog(1, "affine", &FOUR)).await;
    let values = [Value::Float32(0.5), Value::Int64(3), Value::Null, Value::Bool(true), Value::Null];
    sandbox.put("stats", &DRIVER, 0, &values).await;
    sandbox.put("profile", &DRIVER, 0, &[Value::Float32(2.0)]).await;
    let answer = sandbox.post("/v1/predict/score", r#"{"entities": {"driver_id": [7, 7, 8]}}"#).await;
    let json = answer.json();
    // 1 x 0.5 + 2 x 3 + 3 x 2 + 4 x 1 + 0.5; the unknown driver's integer is missing: NaN in a float tensor, null in JSON
    assert_eq!(json["outputs"], json!({"y": [17.0, 17.0, null]}), "{}", answer.body);
    assert_eq!(json["errors"], json!([]));
    assert_eq!(json["model"]["hash"], json!(content_hash(&std::fs::read(models().join("affine.onnx")).unwrap())));
    let empty = sandbox.post("/v1/predict/score", r#"{"entities": {"driver_id": []}}"#).await;
    assert_eq!(empty.json()["outputs"], json!({"y": []}));
}

#[tokio::test]
async fn labels_and_probabilities_are_outputs_like_others() {
    let sandbox = serving(catalog(1, "classifier_string", &["stats:rate", "profile:score"])).await;
    sandbox.put("profile", &DRIVER, 0, &[Value::Float32(2.0)]).await;
    let json = sandbox.post("/v1/predict/score", r#"{"entities": {"driver_id": [7]}}"#).await.json();
    let outputs = json["outputs"].as_object().unwrap();
    let texts = outputs.values().filter(|rows| rows[0].is_string()).count();
    let lists = outputs.values().filter(|rows| rows[0].is_array()).count();
    assert_eq!((texts, lists), (1, 1), "{json}");
}

#[tokio::test]
async fn a_model_that_does_not_fit_or_has_changed_since_apply_leaves_the_old_catalog() {
    let sandbox = serving(catalog(1, "affine", &FOUR)).await;
    let why = async |version: u64| {
        let refused = async || sandbox.get("/health").await.json()["catalog"]["refused"].clone();
        until("the refusal", async || refused().await["version"] == json!(version)).await;
        refused().await["why"].as_str().unwrap().to_owned()
    };
    sandbox.feed.publish(&catalog(2, "affine", &["stats:rate", "profile:score"]));
    assert_eq!(
        why(2).await,
        "endpoint \"score\": the model's input \"x\" takes 4 values a row, the feature service has 2 columns"
    );
    sandbox.feed.publish(&catalog(3, "affine", &["stats:rate", "stats:city", "profile:score", "stats:ok"]));
    let message = why(3).await;
    assert!(message.contains("column \"stats__city\" is string, the model's input \"x\" takes float32"), "{message}");
    let mut changed = catalog(4, "affine", &FOUR);
    changed.model_hashes.insert("affine.onnx".to_owned(), "00".to_owned());
    sandbox.feed.publish(&changed);
    let message = why(4).await;
    assert!(message.contains("model affine.onnx: the file has changed since apply"), "{message}");
    let mut zipmap = catalog(5, "classifier_zipmap", &["stats:rate", "profile:score"]);
    zipmap.model_hashes.clear();
    sandbox.feed.publish(&zipmap);
    assert!(why(5).await.contains("'zipmap': False"));
    assert_eq!(sandbox.get("/health").await.json()["catalog"]["version"], json!(1));
}

#[tokio::test]
async fn infinity_into_and_out_of_a_real_model_is_null_in_valid_json() {
    let sandbox = serving(catalog(1, "affine", &FOUR)).await;
    for (driver, score) in [(1, f32::INFINITY), (2, f32::NEG_INFINITY), (3, f32::NAN), (4, f32::MAX)] {
        let values = [Value::Float32(0.5), Value::Int64(3), Value::Null, Value::Bool(true), Value::Null];
        sandbox.put("stats", &[KeyValue::Int64(driver)], 0, &values).await;
        sandbox.put("profile", &[KeyValue::Int64(driver)], 0, &[Value::Float32(score)]).await;
    }
    let answer = sandbox.post("/v1/predict/score", r#"{"entities": {"driver_id": [1, 2, 3, 4]}}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        answer.json()["outputs"],
        json!({"y": [null, null, null, null]}),
        "3 times the greatest float overflows"
    );
    assert_eq!(answer.json()["errors"], json!([]));
}

#[tokio::test]
async fn what_onnx_runtime_says_of_a_failed_run_stands_in_the_log_and_not_in_the_answer() {
    crate::logs::keep();
    let sandbox = serving(catalog(1, "fails_beyond_3", &["stats:trips"])).await;
    sandbox.put("stats", &DRIVER, 0, &[Value::Null, Value::Int64(4), Value::Null, Value::Null, Value::Null]).await;
    let body = r#"{"entities": {"driver_id": [7]}}"#;
    let headers = ["x-request-id: log-model"];
    let answer = Client::connect(sandbox.addr).await.send("POST", "/v1/predict/score", &headers, body.as_bytes()).await;
    let lines = crate::logs::lines_of("log-model");
    let [failed, call] = lines.as_slice() else { panic!("{lines:?} {}", answer.body) };
    assert!(failed.starts_with("WARN ") && failed.contains("message=the model failed"), "{failed}");
    assert!(call.contains("message=call failed"), "{call}");
    assert_eq!(answer.error(), "500 Internal model fails_beyond_3 failed this batch");
}
