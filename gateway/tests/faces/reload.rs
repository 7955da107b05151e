//! New catalogs while calls run: swapped whole, refused whole, kept for a start without the registry.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use serde_json::json;
use tidegate_catalog::Snapshot;

use tidegate_gateway::{FakeModel, FakeModels, ModelLoader};

use crate::{
    definitions::snapshot,
    kit::{Client, FeedState, Sandbox, Setup, until},
};

/// A catalog whose endpoint `score` says its version three times: its variant, its model's version, itself.
fn marked(version: u64) -> Snapshot {
    let mut snapshot = snapshot(version);
    let variant = &mut snapshot.definitions.endpoints.get_mut("score").unwrap().variants[0];
    variant.name = format!("variant_{version}");
    variant.model.version = version.to_string();
    snapshot
}

async fn version_served(sandbox: &Sandbox) -> u64 {
    sandbox.get("/health").await.json()["catalog"]["version"].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "a test's tasks end with it")]
async fn case_40_each_answer_sees_exactly_one_version_of_the_catalog() {
    let sandbox = Sandbox::with(Setup { snapshot: Some(marked(1)), ..Setup::default() }).await;
    let over = Arc::new(AtomicBool::new(false));
    let newest = [(); 4].map(|()| Arc::new(AtomicU64::new(0)));
    let callers = newest.each_ref().map(|newest| {
        let (over, newest, addr) = (Arc::clone(&over), Arc::clone(newest), sandbox.addr);
        tokio::spawn(async move {
            let mut client = Client::connect(addr).await;
            while !over.load(Ordering::Relaxed) {
                let json = client.post("/v1/predict/score", r#"{"entities": {"driver_id": []}}"#).await.json();
                let version = json["catalog_version"].as_u64().unwrap();
                assert_eq!(json["variant"], json!(format!("variant_{version}")));
                assert_eq!(json["model"]["version"], json!(version.to_string()));
                let before = newest.swap(version, Ordering::Relaxed);
                assert!(before <= version, "a connection went back to an older version");
            }
        })
    });
    for version in 2..=12 {
        sandbox.feed.publish(&marked(version));
        until("the new version", async || newest.iter().all(|seen| seen.load(Ordering::Relaxed) == version)).await;
    }
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn a_catalog_that_cannot_be_loaded_leaves_the_old_one_and_is_shown() {
    let sandbox = Sandbox::start().await;
    let mut broken = snapshot(2);
    broken.definitions.endpoints.get_mut("score").unwrap().variants[0].model.path = "gone".to_owned();
    sandbox.feed.publish(&broken);
    until("the refusal", async || !sandbox.get("/health").await.json()["catalog"]["refused"].is_null()).await;
    let health = sandbox.get("/health").await.json();
    assert_eq!(health["catalog"]["version"], json!(1));
    assert_eq!(
        health["catalog"]["refused"],
        json!({"version": 2, "why": "endpoint \"score\": model gone: no such file"})
    );
    assert_eq!(sandbox.get("/ready").await.status, 200);
    let still = sandbox.post("/v1/predict/score", r#"{"entities": {"driver_id": []}}"#).await;
    assert_eq!(still.json()["catalog_version"], json!(1));

    sandbox.feed.publish(&snapshot(3));
    until("version 3", async || version_served(&sandbox).await == 3).await;
    assert!(sandbox.get("/health").await.json()["catalog"]["refused"].is_null());
}

#[tokio::test]
async fn bytes_that_are_no_catalog_or_a_newer_format_are_refused() {
    let sandbox = Sandbox::start().await;
    sandbox.feed.publish_bytes(2, br#"{"format": 99}"#);
    until("the refusal", async || !sandbox.get("/health").await.json()["catalog"]["refused"].is_null()).await;
    let why = sandbox.get("/health").await.json()["catalog"]["refused"]["why"].clone();
    assert_eq!(why, json!("snapshot has format 99, this version reads up to 1; upgrade tidegate"));
    assert_eq!(version_served(&sandbox).await, 1);
}

#[tokio::test]
async fn a_gateway_starts_from_the_last_good_catalog_while_the_registry_is_down_and_says_so() {
    let mut first = Sandbox::with(Setup { snapshot: Some(snapshot(5)), ..Setup::default() }).await;
    until("version 5", async || version_served(&first).await == 5).await;
    first.stop();
    let folder = first.stopped().await;

    let second = Sandbox::with(Setup { snapshot: None, folder, ..Setup::default() }).await;
    second.clock.advance(std::time::Duration::from_secs(90));
    let catalog = second.get("/health").await.json()["catalog"].clone();
    assert_eq!(catalog["version"], json!(5));
    assert_eq!(catalog["from"], json!("last_good"));
    assert_eq!(catalog["age_seconds"], json!(90));
    assert_eq!(catalog["registry_error"], json!("the registry cannot be read"));
    assert_eq!(second.get("/ready").await.status, 200);

    second.feed.publish(&snapshot(6));
    until("version 6", async || version_served(&second).await == 6).await;
    assert_eq!(second.get("/health").await.json()["catalog"]["from"], json!("registry"));
}

#[tokio::test]
async fn a_copy_from_disk_gives_way_to_whatever_the_registry_has_also_under_the_same_number() {
    let mut first = Sandbox::with(Setup { snapshot: Some(snapshot(5)), ..Setup::default() }).await;
    until("version 5", async || version_served(&first).await == 5).await;
    first.stop();
    let folder = first.stopped().await;

    let second = Sandbox::with(Setup { snapshot: None, folder, ..Setup::default() }).await;
    assert_eq!(second.get("/health").await.json()["catalog"]["from"], json!("last_good"));
    // a registry that was made again, and has come to the same version with other definitions
    let mut other = marked(5);
    other.registry_id = "registry-2".to_owned();
    second.feed.publish(&other);
    let from = async || second.get("/health").await.json()["catalog"]["from"].clone();
    until("the registry's version", async || from().await == json!("registry")).await;
    let answer = second.post("/v1/predict/score", r#"{"entities": {"driver_id": []}}"#).await;
    assert_eq!(answer.json()["variant"], json!("variant_5"));
}

#[tokio::test]
async fn a_registry_without_anything_is_believed_before_a_copy_on_disk() {
    let mut first = Sandbox::start().await;
    first.stop();
    let folder = first.stopped().await;
    let second = Sandbox::with(Setup { snapshot: None, feed: FeedState::Empty, folder, ..Setup::default() }).await;
    let catalog = second.get("/health").await.json()["catalog"].clone();
    assert_eq!(catalog, json!({"version": null, "registry_error": null, "refused": null}));
    assert_eq!(second.get("/ready").await.json()["not_ready"][0]["why"], json!("no catalog is loaded"));
}

#[tokio::test]
async fn a_model_whose_file_is_the_same_is_not_opened_again_by_a_new_catalog() {
    let models = Arc::new(FakeModels::default().with("packed", FakeModel::packed()));
    let only_score = |version, hash: &str| {
        let mut snapshot = marked(version);
        snapshot.definitions.endpoints.retain(|name, _| name == "score");
        // another version of the model would be another model
        snapshot.definitions.endpoints.get_mut("score").unwrap().variants[0].model.version = "1".to_owned();
        snapshot.model_hashes.insert("packed".to_owned(), hash.to_owned());
        snapshot
    };
    let loader = Some(ModelLoader::fake(Arc::clone(&models)));
    let sandbox = Sandbox::with(Setup { snapshot: Some(only_score(1, "a")), models: loader, ..Setup::default() }).await;
    assert_eq!(models.opens(), 1);
    sandbox.feed.publish(&only_score(2, "a"));
    until("version 2", async || version_served(&sandbox).await == 2).await;
    assert_eq!(models.opens(), 1, "the file is the same");
    sandbox.feed.publish(&only_score(3, "b"));
    until("version 3", async || version_served(&sandbox).await == 3).await;
    assert_eq!(models.opens(), 2, "the file is another");

    // the same file under another plan: it is opened to be run anew
    let mut other_plan = only_score(4, "b");
    let numbers = other_plan.definitions.services["numbers"].features.clone();
    let scores = other_plan.definitions.services.get_mut("scores").unwrap();
    scores.features = numbers;
    sandbox.feed.publish(&other_plan);
    until("version 4", async || version_served(&sandbox).await == 4).await;
    assert_eq!(models.opens(), 3);
    let answer = sandbox.post("/v1/predict/score", r#"{"entities": {"driver_id": []}}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn health_names_what_is_refused_and_no_folder_or_library() {
    let sandbox = Sandbox::start().await;
    sandbox.feed.fail("registry /srv/secret/registry.sqlite: disk I/O error");
    let catalog = async || sandbox.get("/health").await.json()["catalog"].clone();
    until("the feed's failure", async || !catalog().await["registry_error"].is_null()).await;
    assert_eq!(catalog().await["registry_error"], json!("the registry cannot be read"));

    let mut broken = snapshot(2);
    let long = "x".repeat(2_000);
    let endpoint = broken.definitions.endpoints.get_mut("score").unwrap();
    endpoint.variants[0].feature_service.clone_from(&long);
    sandbox.feed.publish(&broken);
    until("the refusal", async || !catalog().await["refused"].is_null()).await;
    let why = catalog().await["refused"]["why"].as_str().unwrap().to_owned();
    assert!(why.starts_with("endpoint \"score\": feature service \"xxx"), "{why}");
    assert_eq!(why.len(), 1_024);
}
