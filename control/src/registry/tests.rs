//! The registry on a real file: applies, generations, the ledger, and what else may lie where its file should be.

use std::{path::Path, sync::Arc, time::Duration};

use tempfile::TempDir;
use tidegate_catalog::{
    Definitions, ErrorCode, FeatureType, FieldNumber, Generation, GenerationState, Micros, ScalarType, Snapshot,
    clock::ManualClock,
    definitions::{DataSource, Described, Feature, FeatureView, JoinKey, KeyType, ParquetSource, ViewQuery},
};

use super::*;
use crate::{
    Facts, Interval, Plan, Reproducibility, RunEnd, RunFilter, RunId, RunOutcome, RunStart, RunState, SourceFile, plan,
};

struct Bench {
    folder: TempDir,
    clock: Arc<ManualClock>,
    registry: Registry,
}

async fn bench() -> Bench {
    let folder = TempDir::new().unwrap();
    let clock = Arc::new(ManualClock::at(Micros::parse("2013-11-15T12:00:00Z").unwrap()));
    let registry = open(&folder.path().join("registry.db"), &clock).await.unwrap();
    Bench { folder, clock, registry }
}

async fn open(file: &Path, clock: &Arc<ManualClock>) -> Result<Registry, Error> {
    let clock = Arc::clone(clock);
    Registry::open(file, clock).await
}

/// A project with one source and the views named, each with the features named.
fn project(views: &[(&str, &[&str])]) -> Definitions {
    let mut definitions = Definitions { project: "flights".to_owned(), ..Definitions::default() };
    let parquet = ParquetSource { path: "data/flights.parquet".to_owned() };
    let source = DataSource { name: "flights".to_owned(), parquet, described: Described::default() };
    definitions.sources.insert("flights".to_owned(), source);
    for (name, features) in views {
        definitions.views.insert((*name).to_owned(), view(name, features));
    }
    definitions
}

fn view(name: &str, features: &[&str]) -> FeatureView {
    let feature = |name: &&str| Feature {
        name: (*name).to_owned(),
        feature_type: FeatureType::Scalar(ScalarType::Float32),
        default: None,
        described: Described::default(),
    };
    FeatureView {
        name: name.to_owned(),
        entities: vec!["carrier".to_owned()],
        join_keys: vec![JoinKey { name: "carrier".to_owned(), key_type: KeyType::String }],
        query: ViewQuery::Sql(format!("SELECT * FROM flights -- {name}")),
        timestamp_field: "t".to_owned(),
        created_timestamp_field: None,
        deleted_field: None,
        ttl: None,
        features: features.iter().map(feature).collect(),
        described: Described::default(),
    }
}

impl Bench {
    async fn plan(&self, definitions: &Definitions) -> Plan {
        plan(self.registry.newest().await.unwrap().as_ref(), definitions, &Facts::default())
    }

    async fn apply(&self, definitions: &Definitions) -> Applied {
        let plan = self.plan(definitions).await;
        self.registry.apply(&plan, definitions, Breaking::Allowed).await.unwrap()
    }

    async fn newest(&self) -> Snapshot {
        self.registry.newest().await.unwrap().unwrap()
    }

    async fn begin(&self, view: &str, interval: Interval) -> RunId {
        self.registry.begin_run(&self.run_of(view, interval).await).await.unwrap()
    }

    async fn run_of(&self, view: &str, interval: Interval) -> RunStart {
        let newest = self.newest().await;
        let generation = newest.writing(view).unwrap();
        RunStart {
            view: view.to_owned(),
            field: generation.field,
            fingerprint: generation.fingerprint.clone(),
            interval,
            sources: vec![file("b.parquet"), file("a.parquet")],
            snapshot_version: newest.version,
            definitions_hash: newest.definitions_hash,
        }
    }

    /// A whole acknowledged run with this content, and the snapshot that readers move to, if they do.
    async fn materialize(&self, view: &str, interval: Interval, content: &str) -> Option<Snapshot> {
        let run = self.begin(view, interval).await;
        self.registry.finish_run(run, &acknowledged(content)).await.unwrap();
        move_of(self.registry.settle(view).await.unwrap())
    }
}

fn move_of(settled: Settled) -> Option<Snapshot> {
    match settled {
        Settled::Moved(snapshot) => Some(*snapshot),
        Settled::Waiting { .. } | Settled::NothingToMove => None,
    }
}

fn file(path: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), size_bytes: 9, modified: Micros(1), rows: Some(3) }
}

fn acknowledged(content: &str) -> RunEnd {
    RunEnd {
        outcome: RunOutcome::Acknowledged,
        rows_read: 7,
        rows_written: 5,
        counts: serde_json::json!({"read": 7}),
        content_hash: Some(content.to_owned()),
        not_reproducible: false,
    }
}

fn until(end: i64) -> Interval {
    Interval { start: None, end: Micros(end) }
}

fn between(start: i64, end: i64) -> Interval {
    Interval { start: Some(Micros(start)), end: Micros(end) }
}

/// `(field, state)` of each generation of a view.
fn states(snapshot: &Snapshot, view: &str) -> Vec<(u32, GenerationState)> {
    let state = |generation: &Generation| (generation.field.0, generation.state);
    snapshot.generations.get(view).map_or_else(Vec::new, |generations| generations.iter().map(state).collect())
}

const BUILDING: GenerationState = GenerationState::Building;
const SERVING: GenerationState = GenerationState::Serving;

#[tokio::test]
async fn an_apply_publishes_a_snapshot_that_a_reopened_registry_still_has() {
    let bench = bench().await;
    assert_eq!(bench.registry.newest().await.unwrap(), None);
    assert_eq!(bench.registry.newest_version().await.unwrap(), None);
    let applied = bench.apply(&project(&[("a", &["x"]), ("b", &["y"])])).await;
    assert_eq!(applied.outcome, ApplyOutcome::NewVersion);
    let snapshot = applied.snapshot;
    assert_eq!((snapshot.version, snapshot.project.0), (1, 1));
    assert_eq!(snapshot.made_at, bench.clock.wall_now());
    assert_eq!(states(&snapshot, "a"), [(1, BUILDING)]);
    assert_eq!(states(&snapshot, "b"), [(2, BUILDING)]);
    assert_eq!(snapshot.key_sets.len(), 1, "both views are keyed by carrier");
    let id = bench.registry.id().await.unwrap();
    assert_eq!((id.len(), &snapshot.registry_id), (32, &id));

    bench.registry.close().await;
    let again = open(&bench.folder.path().join("registry.db"), &bench.clock).await.unwrap();
    assert_eq!(again.id().await.unwrap(), id);
    assert_eq!(again.newest().await.unwrap(), Some(snapshot.clone()));
    assert_eq!(again.bytes(1).await.unwrap(), snapshot.to_bytes());
    let versions = again.versions().await.unwrap();
    assert_eq!((versions.len(), versions[0].cause, &versions[0].hash), (1, Cause::Apply, &snapshot.hash()));
    let error = again.bytes(2).await.unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        (ErrorCode::NotFound, "the registry has no snapshot of version 2")
    );
}

#[tokio::test]
async fn two_registries_have_two_ids() {
    let (one, other) = (bench().await, bench().await);
    assert_ne!(one.registry.id().await.unwrap(), other.registry.id().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a test's tasks end with it")]
async fn many_may_open_a_new_registry_at_once_and_find_one_id() {
    let folder = TempDir::new().unwrap();
    let clock = Arc::new(ManualClock::at(Micros(0)));
    async fn open_one(file: std::path::PathBuf, clock: Arc<ManualClock>) -> String {
        Registry::open(&file, clock).await.unwrap().id().await.unwrap()
    }
    let file = folder.path().join("registry.db");
    let mut opening = Vec::new();
    for _ in 0..8 {
        opening.push(tokio::spawn(open_one(file.clone(), Arc::clone(&clock))));
    }
    let mut ids = std::collections::BTreeSet::new();
    for opened in opening {
        ids.insert(opened.await.unwrap());
    }
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn applying_the_same_again_publishes_nothing() {
    let bench = bench().await;
    let definitions = project(&[("a", &["x"])]);
    bench.apply(&definitions).await;
    let again = bench.apply(&definitions).await;
    assert_eq!((again.outcome, again.snapshot.version), (ApplyOutcome::Unchanged, 1));
}

#[tokio::test]
async fn a_changed_description_default_or_ttl_keeps_the_generation() {
    let bench = bench().await;
    let mut definitions = project(&[("a", &["x"])]);
    bench.apply(&definitions).await;
    let view = definitions.views.get_mut("a").unwrap();
    view.described.owner = Some("us".to_owned());
    view.ttl = tidegate_catalog::Ttl::from_micros(1);
    view.features[0].default = Some(tidegate_catalog::definitions::DefaultValue::Float32(0));
    let applied = bench.apply(&definitions).await;
    assert_eq!((applied.outcome, applied.snapshot.version), (ApplyOutcome::NewVersion, 2));
    assert_eq!(states(&applied.snapshot, "a"), [(1, BUILDING)]);
}

#[tokio::test]
async fn a_changed_model_file_alone_is_a_new_version() {
    let bench = bench().await;
    let definitions = project(&[]);
    bench.apply(&definitions).await;
    let mut plan = bench.plan(&definitions).await;
    plan.model_hashes.insert("m.onnx".to_owned(), "ab".to_owned());
    let applied = bench.registry.apply(&plan, &definitions, Breaking::Refused).await.unwrap();
    assert_eq!((applied.outcome, applied.snapshot.model_hashes), (ApplyOutcome::NewVersion, plan.model_hashes));
}

#[tokio::test]
async fn a_changed_view_is_built_beside_the_serving_one_and_an_unfinished_one_is_replaced() {
    let bench = bench().await;
    bench.apply(&project(&[("a", &["x"])])).await;
    bench.materialize("a", until(10), "c").await.unwrap();
    bench.apply(&project(&[("a", &["x", "y"])])).await;
    assert_eq!(states(&bench.newest().await, "a"), [(1, SERVING), (2, BUILDING)]);
    bench.apply(&project(&[("a", &["x", "y", "z"])])).await;
    let retired = GenerationState::Retired { since: bench.clock.wall_now() };
    assert_eq!(states(&bench.newest().await, "a"), [(1, SERVING), (2, retired), (3, BUILDING)]);
    // back to what is served: nothing needs to be built
    bench.apply(&project(&[("a", &["x"])])).await;
    assert_eq!(states(&bench.newest().await, "a"), [(1, SERVING), (2, retired), (3, retired)]);
}

#[tokio::test]
async fn a_removed_view_is_retired_and_its_numbers_are_never_given_again() {
    let bench = bench().await;
    bench.apply(&project(&[("a", &["x"])])).await;
    bench.apply(&project(&[])).await;
    let retired = GenerationState::Retired { since: bench.clock.wall_now() };
    assert_eq!(states(&bench.newest().await, "a"), [(1, retired)]);
    assert!(bench.registry.reclaimed(FieldNumber(1)).await.unwrap().is_some());
    assert_eq!(bench.registry.reclaimed(FieldNumber(1)).await.unwrap(), None);
    let back = bench.apply(&project(&[("a", &["x"])])).await.snapshot;
    assert_eq!(states(&back, "a"), [(2, BUILDING)]);
    assert_eq!(back.generations["a"][0].key_set.0, 1, "a key set is its names, and its number stays with them");
}

#[tokio::test]
async fn a_stale_plan_is_refused_naming_both_states() {
    let bench = bench().await;
    let (one, two) = (project(&[("a", &["x"])]), project(&[("a", &["x"]), ("b", &["y"])]));
    let stale = bench.plan(&one).await;
    bench.apply(&two).await;
    let error = bench.registry.apply(&stale, &one, Breaking::Allowed).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Aborted);
    let words = error.to_string();
    assert!(
        words.starts_with("the plan was made against an empty registry but the registry is now at version 1"),
        "{words}"
    );
    let error = bench.registry.apply(&stale, &two, Breaking::Allowed).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Aborted, "other definitions than planned: {error}");
}

#[tokio::test]
async fn a_move_between_plan_and_apply_does_not_make_the_plan_stale() {
    let bench = bench().await;
    bench.apply(&project(&[("a", &["x"])])).await;
    let next = project(&[("a", &["x"]), ("b", &["y"])]);
    let plan = bench.plan(&next).await;
    bench.materialize("a", until(10), "c").await.unwrap();
    let applied = bench.registry.apply(&plan, &next, Breaking::Refused).await.unwrap();
    assert_eq!(applied.snapshot.version, 3);
    assert_eq!(states(&applied.snapshot, "a"), [(1, SERVING)]);
}

#[tokio::test]
async fn breaking_changes_need_to_be_allowed() {
    let bench = bench().await;
    bench.apply(&project(&[("a", &["x"])])).await;
    let mut next = project(&[("a", &["x"])]);
    next.views.get_mut("a").unwrap().features[0].feature_type = FeatureType::Scalar(ScalarType::String);
    let plan = bench.plan(&next).await;
    let error = bench.registry.apply(&plan, &next, Breaking::Refused).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::FailedPrecondition);
    assert_eq!(
        error.to_string(),
        "the plan has breaking changes: FeatureView a: feature x changes from float32 to string; check who reads them, \
         then apply with --allow-breaking"
    );
    assert_eq!(bench.newest().await.version, 1);
    bench.registry.apply(&plan, &next, Breaking::Allowed).await.unwrap();
}

#[tokio::test]
async fn another_project_is_refused() {
    let bench = bench().await;
    bench.apply(&project(&[])).await;
    let other = Definitions { project: "other".to_owned(), ..project(&[]) };
    let plan = bench.plan(&other).await;
    let error = bench.registry.apply(&plan, &other, Breaking::Allowed).await.unwrap_err();
    assert!(
        error.to_string().contains("holds project \"flights\", the definitions are of project \"other\""),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a test's tasks end with it")]
async fn of_many_applies_at_once_one_wins_and_the_others_are_aborted() {
    let bench = bench().await;
    let definitions = (0..8).map(|n| project(&[(format!("v{n}").as_str(), &["x"])])).collect::<Vec<_>>();
    let mut ready = Vec::new();
    for wanted in definitions {
        // each with its own connections, as another process would have
        let registry = open(&bench.folder.path().join("registry.db"), &bench.clock).await.unwrap();
        ready.push((registry, bench.plan(&wanted).await, wanted));
    }
    let apply = async |(registry, plan, wanted): (Registry, Plan, Definitions)| {
        registry.apply(&plan, &wanted, Breaking::Refused).await
    };
    let mut running = Vec::new();
    for one in ready {
        running.push(tokio::spawn(apply(one)));
    }
    let mut won = 0;
    for apply in running {
        match apply.await.unwrap() {
            Ok(applied) => {
                won += 1;
                assert_eq!(applied.outcome, ApplyOutcome::NewVersion);
            }
            Err(error) => assert_eq!(error.code(), ErrorCode::Aborted, "{error}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(bench.registry.marks().await.unwrap().field, 1, "who lost gave no number");
}

#[tokio::test]
async fn a_first_generation_serves_from_its_first_acknowledged_run() {
    let bench = bench().await;
    bench.apply(&project(&[("a", &["x"])])).await;
    assert_eq!(move_of(bench.registry.settle("a").await.unwrap()), None, "nothing ran");
    let run = bench.begin("a", until(10)).await;
    assert_eq!(move_of(bench.registry.settle("a").await.unwrap()), None, "the run is not over");
    let failed = RunEnd { outcome: RunOutcome::Failed { error: "disk".to_owned() }, ..acknowledged("c") };
    bench.registry.finish_run(run, &failed).await.unwrap();
    assert_eq!(move_of(bench.registry.settle("a").await.unwrap()), None, "the run failed");
    assert_eq!(bench.materialize("a", between(5, 5), "c").await, None, "the run covered no instant");
    let moved = bench.materialize("a", between(4, 5), "c").await.unwrap();
    assert_eq!((moved.version, states(&moved, "a")), (2, vec![(1, SERVING)]));
    assert_eq!(move_of(bench.registry.settle("a").await.unwrap()), None, "it serves already");
}

#[tokio::test]
async fn readers_move_when_the_new_generation_covers_the_intervals_of_the_old_one() {
    let bench = bench().await;
    bench.apply(&project(&[("a", &["x"])])).await;
    bench.materialize("a", until(10), "c").await.unwrap();
    assert_eq!(bench.materialize("a", between(10, 20), "c").await, None);
    bench.apply(&project(&[("a", &["x", "y"])])).await;
    assert_eq!(bench.materialize("a", until(10), "c").await, None, "(10, 20] is missing");
    assert_eq!(bench.materialize("a", between(11, 20), "c").await, None, "the instant 11 is missing");
    let settled = bench.registry.settle("a").await.unwrap();
    assert_eq!(settled, Settled::Waiting { uncovered: vec![between(10, 11)] });
    assert_eq!(bench.newest().await.serving("a").unwrap().field, FieldNumber(1));
    bench.clock.advance(Duration::from_secs(1));
    let moved = bench.materialize("a", between(10, 11), "c").await.unwrap();
    let retired = GenerationState::Retired { since: bench.clock.wall_now() };
    assert_eq!(states(&moved, "a"), [(1, retired), (2, SERVING)]);
    assert_eq!(bench.registry.versions().await.unwrap().last().unwrap().cause, Cause::Move);
}

#[tokio::test]
async fn a_rebuild_on_demand_builds_the_same_fingerprint_anew() {
    let bench = bench().await;
    let error = bench.registry.rebuild("a").await.unwrap_err();
    assert_eq!(error.to_string(), "nothing was applied to the registry yet; run tidegate apply");
    bench.apply(&project(&[("a", &["x"])])).await;
    bench.materialize("a", until(10), "c").await.unwrap();
    let snapshot = bench.registry.rebuild("a").await.unwrap();
    assert_eq!(states(&snapshot, "a"), [(1, SERVING), (2, BUILDING)]);
    assert_eq!(snapshot.generations["a"][0].fingerprint, snapshot.generations["a"][1].fingerprint);
    // an apply that leaves the view alone leaves its rebuild alone
    let next = bench.apply(&project(&[("a", &["x"]), ("b", &["y"])])).await.snapshot;
    assert_eq!(states(&next, "a"), [(1, SERVING), (2, BUILDING)]);
    let error = bench.registry.rebuild("c").await.unwrap_err();
    assert_eq!((error.code(), error.to_string().contains("it has: a, b")), (ErrorCode::NotFound, true), "{error}");
}

#[tokio::test]
async fn a_retired_generation_is_reclaimable_once_its_grace_is_over() {
    let bench = bench().await;
    bench.apply(&project(&[("a", &["x"])])).await;
    bench.materialize("a", until(10), "c").await.unwrap();
    bench.registry.rebuild("a").await.unwrap();
    bench.materialize("a", until(10), "c").await.unwrap();
    let grace = Duration::from_secs(3600);
    let since = bench.clock.wall_now();
    let ripe = async |now| bench.registry.reclaimable(now, grace).await.unwrap();
    assert_eq!(ripe(Micros(since.0 + 3_599_999_999)).await, []);
    let ripe = ripe(Micros(since.0 + 3_600_000_000)).await;
    assert_eq!((ripe.len(), ripe[0].view.as_str(), ripe[0].generation.field), (1, "a", FieldNumber(1)));
    assert_eq!(bench.registry.reclaimed(FieldNumber(2)).await.unwrap(), None, "a serving one is never reclaimed");
    let next = bench.registry.reclaimed(FieldNumber(1)).await.unwrap().unwrap();
    assert_eq!(states(&next, "a"), [(2, SERVING)]);
}

#[tokio::test]
async fn the_ledger_keeps_what_a_run_was_and_did() {
    let bench = bench().await;
    bench.apply(&project(&[("a", &["x"])])).await;
    let start = bench.run_of("a", between(1, 10)).await;
    let run = bench.registry.begin_run(&start).await.unwrap();
    bench.clock.advance(Duration::from_secs(5));
    let entered = bench.registry.finish_run(run, &acknowledged("c")).await.unwrap();
    let listed = bench.registry.runs(&RunFilter::default()).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&entered));
    assert_eq!((entered.id, entered.state, entered.start.interval), (RunId(1), RunState::Acknowledged, start.interval));
    assert_eq!(entered.start.sources, [file("a.parquet"), file("b.parquet")], "in one order");
    assert_eq!(entered.ended_at.unwrap().0 - entered.started_at.0, 5_000_000);
    assert_eq!((entered.rows_read, entered.rows_written, &entered.counts["read"]), (7, 5, &serde_json::json!(7)));
    assert_eq!(bench.registry.last_rows().await.unwrap()["a"], 7);
    let error = bench.registry.finish_run(run, &acknowledged("c")).await.unwrap_err();
    assert_eq!(error.to_string(), "run 1 is not running");
    let second = bench.begin("a", between(10, 20)).await;
    assert_eq!(second, RunId(2));
    let running = RunFilter { state: Some(RunState::Running), view: Some("a".to_owned()), ..RunFilter::default() };
    assert_eq!(bench.registry.runs(&running).await.unwrap()[0].id, second);
    let newest = RunFilter { limit: Some(1), field: Some(FieldNumber(1)), ..RunFilter::default() };
    assert_eq!(bench.registry.runs(&newest).await.unwrap()[0].id, second);
    assert_eq!(bench.registry.acknowledged("a", FieldNumber(1)).await.unwrap(), [between(1, 10)]);
    assert_eq!(bench.registry.acknowledged_end("a", FieldNumber(1)).await.unwrap(), Some(Micros(10)));
    assert_eq!(bench.registry.acknowledged_end("a", FieldNumber(2)).await.unwrap(), None);
}

#[tokio::test]
async fn a_run_of_a_generation_that_readers_left_is_refused() {
    let bench = bench().await;
    bench.apply(&project(&[("a", &["x"])])).await;
    let start = bench.run_of("a", until(10)).await;
    bench.registry.rebuild("a").await.unwrap();
    let error = bench.registry.begin_run(&start).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::FailedPrecondition);
    assert!(error.to_string().starts_with("field 1 is not a generation of feature view \"a\""), "{error}");
}

#[tokio::test]
async fn runs_of_a_process_that_is_gone_are_shown_as_abandoned() {
    let bench = bench().await;
    bench.apply(&project(&[("a", &["x"])])).await;
    let run = bench.begin("a", until(10)).await;
    bench.registry.close().await;
    let owner = open(&bench.folder.path().join("registry.db"), &bench.clock).await.unwrap();
    assert_eq!(owner.abandon_unfinished().await.unwrap(), [run]);
    assert_eq!(owner.abandon_unfinished().await.unwrap(), []);
    assert_eq!(owner.runs(&RunFilter::default()).await.unwrap()[0].state, RunState::Abandoned);
    assert_eq!(move_of(owner.settle("a").await.unwrap()), None, "an abandoned run acknowledges nothing");
}

#[tokio::test]
async fn other_content_over_the_same_sources_makes_a_view_not_reproducible_also_when_it_is_built_anew() {
    let bench = bench().await;
    bench.apply(&project(&[("a", &["x"])])).await;
    let judged = async || bench.registry.reproducibility("a").await.unwrap();
    assert_eq!(judged().await, Reproducibility::Unknown);
    bench.materialize("a", until(10), "c").await;
    bench.materialize("a", until(20), "d").await;
    assert_eq!(judged().await, Reproducibility::Unknown, "another interval is another content");
    bench.materialize("a", until(10), "c").await;
    assert_eq!(judged().await, Reproducibility::NoDifference);
    bench.materialize("a", until(10), "e").await;
    assert_eq!(judged().await, Reproducibility::Differs { run: RunId(4) });
    bench.registry.rebuild("a").await.unwrap();
    bench.materialize("a", until(20), "d").await.unwrap();
    assert_eq!(judged().await, Reproducibility::Unknown, "the new generation says what the old one said");
    bench.registry.rebuild("a").await.unwrap();
    bench.materialize("a", until(20), "f").await.unwrap();
    assert_eq!(judged().await, Reproducibility::Differs { run: RunId(6) }, "the same files, the same definition");
}

#[tokio::test]
async fn adopting_a_store_of_the_same_registry_moves_version_and_numbers_past_it() {
    let bench = bench().await;
    bench.apply(&project(&[("a", &["x"])])).await;
    let own = bench.registry.marks().await.unwrap();
    assert_eq!((own.version, own.project, own.key_set, own.field), (1, 1, 1, 1));
    assert_eq!(bench.registry.adopt(&own).await.unwrap(), None, "the store is not ahead");
    let store = Marks { version: 7, project: 1, key_set: 4, field: 12, ..own };
    let adopted = bench.registry.adopt(&store).await.unwrap().unwrap();
    assert_eq!((adopted.version, states(&adopted, "a")), (8, vec![(1, BUILDING)]));
    let next = bench.apply(&project(&[("a", &["x"]), ("b", &["y"])])).await.snapshot;
    assert_eq!((next.version, states(&next, "b")), (9, vec![(13, BUILDING)]));
}

#[tokio::test]
async fn adopting_a_store_before_the_first_apply_is_refused_and_changes_nothing() {
    let bench = bench().await;
    let own = bench.registry.marks().await.unwrap();
    let store = Marks { version: 7, project: 2, key_set: 4, field: 12, ..own.clone() };
    assert!(matches!(bench.registry.adopt(&store).await, Err(Error::NothingApplied)));
    assert_eq!(bench.registry.marks().await.unwrap(), own);
}

#[tokio::test]
async fn adopting_a_store_of_another_registry_keeps_its_own_id_and_renumbers_everything() {
    let bench = bench().await;
    bench.apply(&project(&[("a", &["x"])])).await;
    bench.materialize("a", until(10), "c").await.unwrap();
    let own = bench.registry.id().await.unwrap();
    let store = Marks { registry_id: "ff".repeat(16), version: 1, project: 3, key_set: 4, field: 12 };
    let adopted = bench.registry.adopt(&store).await.unwrap().unwrap();
    assert_eq!((adopted.version, adopted.project.0, &adopted.registry_id), (3, 4, &own));
    assert_eq!(states(&adopted, "a"), [(13, BUILDING)]);
    assert_eq!(adopted.generations["a"][0].key_set.0, 5);
    assert_eq!(bench.registry.id().await.unwrap(), own);
}

#[tokio::test]
async fn a_store_whose_numbers_leave_no_room_is_refused_and_changes_nothing() {
    let bench = bench().await;
    bench.apply(&project(&[("a", &["x"])])).await;
    let own = bench.registry.marks().await.unwrap();
    for store in [
        Marks { version: u64::MAX, ..own.clone() },
        Marks { registry_id: "other".to_owned(), field: u32::MAX, ..own.clone() },
    ] {
        let error = bench.registry.adopt(&store).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::ResourceExhausted, "{error}");
    }
    assert_eq!(bench.registry.marks().await.unwrap(), own);
}

#[tokio::test]
async fn a_registry_of_a_newer_version_is_refused_naming_both_versions() {
    let bench = bench().await;
    let mut write = bench.registry.storage.write().await.unwrap();
    meta::set(&mut write, meta::SCHEMA_VERSION, "99").await.unwrap();
    bench.registry.storage.commit(write).await.unwrap();
    bench.registry.close().await;
    let error = open(&bench.folder.path().join("registry.db"), &bench.clock).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::FailedPrecondition);
    assert!(
        error.to_string().contains("has schema version 99, this tidegate knows up to 1; upgrade tidegate"),
        "{error}"
    );
    assert!(!error.client_message().contains("registry.db"));
}

#[tokio::test]
async fn a_damaged_number_is_an_error_and_not_given_twice() {
    let bench = bench().await;
    let mut write = bench.registry.storage.write().await.unwrap();
    meta::set(&mut write, meta::FIELD, "many").await.unwrap();
    bench.registry.storage.commit(write).await.unwrap();
    let definitions = project(&[("a", &["x"])]);
    let plan = bench.plan(&definitions).await;
    let error = bench.registry.apply(&plan, &definitions, Breaking::Refused).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Internal);
    assert!(error.to_string().contains("field_number is \"many\", not a number"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_or_of_something_else_is_left_alone() {
    let bench = bench().await;
    let text = bench.folder.path().join("text.db");
    let words = "not a database, but long enough to have a header: ".repeat(40);
    std::fs::write(&text, &words).unwrap();
    let error = open(&text, &bench.clock).await.unwrap_err();
    assert!(error.to_string().contains("text.db is not a registry of tidegate (not an SQLite database)"), "{error}");
    assert_eq!(std::fs::read_to_string(&text).unwrap(), words);

    let foreign = bench.folder.path().join("foreign.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&foreign).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("CREATE TABLE recipes (name TEXT)").execute(&pool).await.unwrap();
    pool.close().await;
    let error = open(&foreign, &bench.clock).await.unwrap_err();
    assert!(error.to_string().contains("(an SQLite database of something else)"), "{error}");
}

#[tokio::test]
async fn a_folder_that_is_not_there_or_not_writable_is_named() {
    let bench = bench().await;
    // /proc refuses new files from everybody, root too
    for file in [bench.folder.path().join("missing/registry.db"), Path::new("/proc/registry.db").to_owned()] {
        let error = open(&file, &bench.clock).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::FailedPrecondition);
        let words = error.to_string();
        assert!(words.contains(&file.display().to_string()) && words.contains("writable"), "{words}");
    }
}

#[tokio::test]
async fn a_write_that_is_not_committed_never_was() {
    let bench = bench().await;
    bench.apply(&project(&[("a", &["x"])])).await;
    let mut write = bench.registry.storage.write().await.unwrap();
    meta::set(&mut write, meta::FIELD, "77").await.unwrap();
    drop(write);
    assert_eq!(bench.registry.marks().await.unwrap().field, 1);
}

#[tokio::test]
async fn every_call_can_be_spawned() {
    fn sent<T>(future: impl Future<Output = T> + Send) -> impl Future<Output = T> + Send {
        future
    }
    let bench = bench().await;
    let (registry, definitions) = (&bench.registry, project(&[("a", &["x"])]));
    let plan = bench.plan(&definitions).await;
    sent(registry.apply(&plan, &definitions, Breaking::Refused)).await.unwrap();
    let start = bench.run_of("a", until(10)).await;
    let run = sent(registry.begin_run(&start)).await.unwrap();
    sent(registry.finish_run(run, &acknowledged("c"))).await.unwrap();
    sent(registry.settle("a")).await.unwrap();
    sent(registry.rebuild("a")).await.unwrap();
    sent(registry.reclaimable(Micros(0), Duration::ZERO)).await.unwrap();
    sent(registry.reclaimed(FieldNumber(9))).await.unwrap();
    sent(registry.reproducibility("a")).await.unwrap();
    sent(registry.abandon_unfinished()).await.unwrap();
    sent(registry.adopt(&sent(registry.marks()).await.unwrap())).await.unwrap();
    sent(registry.versions()).await.unwrap();
}
