//! Plans over small projects, and the golden text and JSON of one that shows everything.

use tidegate_catalog::{
    FeatureType, FieldNumber, Generation, GenerationState, KeySetNumber, Micros, ProjectNumber, ScalarType, Ttl,
    definitions::{
        DataSource, DefaultValue, Described, Endpoint, Entity, Feature, JoinKey, KeyType, MissingRule, ModelRef,
        ParquetSource, RequestField, Variant, ViewQuery,
    },
};

use super::*;

fn feature(name: &str, scalar: ScalarType) -> Feature {
    let feature_type = FeatureType::Scalar(scalar);
    Feature { name: name.to_owned(), feature_type, default: None, described: Described::default() }
}

fn chosen(view: &str, feature: &str) -> ServiceFeature {
    let (view, feature) = (view.to_owned(), feature.to_owned());
    ServiceFeature { alias: view.clone(), view, feature, join_keys: BTreeMap::new() }
}

/// One of each kind: the smallest project that a plan can say everything about.
fn project() -> Definitions {
    let keys = vec![JoinKey { name: "carrier".to_owned(), key_type: KeyType::String }];
    let entity = Entity { name: "carrier".to_owned(), join_keys: keys.clone(), described: Described::default() };
    let parquet = ParquetSource { path: "data/flights.parquet".to_owned() };
    let source = DataSource { name: "flights".to_owned(), parquet, described: Described::default() };
    let view = FeatureView {
        name: "delay".to_owned(),
        entities: vec!["carrier".to_owned()],
        join_keys: keys,
        query: ViewQuery::Sql("SELECT carrier,\n  arr_time AS t,\n  mean, late\nFROM flights".to_owned()),
        timestamp_field: "t".to_owned(),
        created_timestamp_field: None,
        deleted_field: None,
        ttl: Ttl::from_micros(86_400_000_000),
        features: vec![feature("mean", ScalarType::Float32), feature("late", ScalarType::Float32)],
        described: Described::default(),
    };
    let service = FeatureService {
        name: "arrival".to_owned(),
        request: vec![RequestField { name: "hour".to_owned(), feature_type: FeatureType::Scalar(ScalarType::Int32) }],
        features: vec![chosen("delay", "mean"), chosen("delay", "late")],
        stars: vec!["delay".to_owned()],
        described: Described::default(),
    };
    let model = ModelRef {
        path: "models/m.onnx".to_owned(),
        name: "m".to_owned(),
        version: "1".to_owned(),
        replicas: 1,
        max_batch_size: 64,
    };
    let endpoint = Endpoint {
        name: "arrival".to_owned(),
        variants: vec![Variant { name: "main".to_owned(), feature_service: "arrival".to_owned(), model }],
        missing: MissingRule::Null,
        deadline_ms: 1000,
        described: Described::default(),
    };
    Definitions {
        project: "flights".to_owned(),
        entities: [(entity.name.clone(), entity)].into(),
        sources: [(source.name.clone(), source)].into(),
        views: [(view.name.clone(), view)].into(),
        services: [(service.name.clone(), service)].into(),
        endpoints: [(endpoint.name.clone(), endpoint)].into(),
    }
}

/// `definitions` as applied, every view serving.
fn snapshot(definitions: Definitions) -> Snapshot {
    let generation = |(index, view): (usize, &FeatureView)| {
        let generation = Generation {
            field: FieldNumber(index as u32 + 1),
            fingerprint: view.fingerprint(&definitions),
            key_set: KeySetNumber(1),
            join_keys: view.join_keys.clone(),
            features: vec![],
            state: GenerationState::Serving,
        };
        (view.name.clone(), vec![generation])
    };
    Snapshot {
        format: 1,
        registry_id: "00".to_owned(),
        version: 3,
        made_at: Micros(0),
        project: ProjectNumber(1),
        definitions_hash: definitions_hash(&definitions),
        model_hashes: [("models/m.onnx".to_owned(), "aa".repeat(32))].into(),
        key_sets: [("carrier".to_owned(), KeySetNumber(1))].into(),
        generations: definitions.views.values().enumerate().map(generation).collect(),
        definitions,
    }
}

fn facts() -> Facts {
    Facts {
        model_hashes: [("models/m.onnx".to_owned(), "aa".repeat(32))].into(),
        last_rows: [("delay".to_owned(), 336_776)].into(),
        ..Facts::default()
    }
}

fn change(next: impl FnOnce(&mut Definitions)) -> Plan {
    let mut wanted = project();
    next(&mut wanted);
    plan(Some(&snapshot(project())), &wanted, &facts())
}

fn delay(definitions: &mut Definitions) -> &mut FeatureView {
    definitions.views.get_mut("delay").unwrap()
}

fn paths(plan: &Plan) -> Vec<&str> {
    plan.changes.iter().flat_map(|change| &change.fields).map(|field| field.path.as_str()).collect()
}

#[test]
fn the_same_definitions_are_an_empty_plan() {
    let plan = change(|_| {});
    assert!(plan.is_empty() && !plan.is_breaking());
    assert_eq!(plan.generations, []);
    assert!(plan.to_string().ends_with("\nNo changes.\n"));
}

#[test]
fn a_changed_description_owner_tag_or_default_changes_nothing_else() {
    let plan = change(|wanted| {
        let view = delay(wanted);
        view.described.description = Some("d".to_owned());
        view.described.owner = Some("o".to_owned());
        view.described.tags.insert("a".to_owned(), "b".to_owned());
        view.features[0].default = Some(DefaultValue::Float32(0.2_f32.to_bits()));
    });
    assert_eq!(paths(&plan), ["features[mean].default", "description", "owner", "tags"]);
    assert_eq!((plan.generations.len(), plan.breaking.len(), plan.grown.len()), (0, 0, 0));
}

#[test]
fn a_changed_ttl_starts_no_generation_and_a_changed_query_does() {
    let plan = change(|wanted| delay(wanted).ttl = Ttl::from_micros(3_600_000_000));
    assert_eq!((paths(&plan), plan.generations.len()), (vec!["ttl"], 0));
    let plan = change(|wanted| delay(wanted).query = ViewQuery::Sql("SELECT 1".to_owned()));
    assert_eq!(paths(&plan), ["sql"]);
    let wanted =
        GenerationChange { view: "delay".to_owned(), action: GenerationAction::Rebuild, last_rows: Some(336_776) };
    assert_eq!(plan.generations, [wanted]);
}

#[test]
fn a_changed_source_starts_a_generation_of_each_view_that_reads_it() {
    let plan = change(|wanted| wanted.sources.get_mut("flights").unwrap().parquet.path.push('x'));
    assert_eq!((paths(&plan), plan.generations[0].view.as_str()), (vec!["parquet.path"], "delay"));
}

#[test]
fn the_order_of_features_is_a_change_of_its_own() {
    let plan = change(|wanted| delay(wanted).features.reverse());
    assert_eq!(paths(&plan), ["features (order)"]);
    assert_eq!(plan.generations[0].action, GenerationAction::Rebuild);
}

#[test]
fn a_view_first_seen_replaced_returned_or_gone_is_told_apart() {
    let mut wanted = project();
    let first = plan(None, &wanted, &facts());
    assert_eq!(first.generations[0].action, GenerationAction::First);
    assert!(!first.is_empty() && !first.is_breaking() && first.models.is_empty());

    let mut held = snapshot(project());
    let serving = held.generations["delay"][0].clone();
    let building = Generation { state: GenerationState::Building, fingerprint: "x".to_owned(), ..serving };
    held.generations.get_mut("delay").unwrap().push(building);
    assert_eq!(plan(Some(&held), &wanted, &facts()).generations[0].action, GenerationAction::Return);
    delay(&mut wanted).timestamp_field.push('2');
    assert_eq!(plan(Some(&held), &wanted, &facts()).generations[0].action, GenerationAction::Replace);
    wanted.views.clear();
    assert_eq!(plan(Some(&held), &wanted, &facts()).generations[0].action, GenerationAction::Retire);
}

#[test]
fn a_grown_star_names_the_service_the_endpoint_and_the_model() {
    let plan = change(|wanted| {
        delay(wanted).features.push(feature("flights", ScalarType::Int64));
        wanted.services.get_mut("arrival").unwrap().features.push(chosen("delay", "flights"));
    });
    let wanted = GrownStar {
        service: "arrival".to_owned(),
        star: "delay:*".to_owned(),
        features: vec!["delay:flights".to_owned()],
        endpoints: vec!["arrival".to_owned()],
        models: vec!["models/m.onnx".to_owned()],
    };
    assert_eq!(plan.grown, [wanted]);
    assert!(!plan.is_breaking());
}

#[test]
fn what_breaks_readers_is_marked() {
    type Edit = fn(&mut Definitions);
    let table: [(Edit, &str); 10] = [
        (
            |d| d.entities.get_mut("carrier").unwrap().join_keys[0].key_type = KeyType::Int64,
            "Entity carrier: its key changes from (carrier string) to (carrier int64)",
        ),
        (
            |d| delay(d).join_keys[0].name = "airline".to_owned(),
            "FeatureView delay: its join keys change from (carrier string) to (airline string)",
        ),
        (
            |d| delay(d).features[0].feature_type = FeatureType::Scalar(ScalarType::Float64),
            "FeatureView delay: feature mean changes from float32 to float64; feature service arrival uses it",
        ),
        (
            |d| {
                delay(d).features.remove(0);
                d.services.get_mut("arrival").unwrap().features.remove(0);
            },
            "FeatureView delay: feature mean is removed; feature service arrival uses it",
        ),
        (
            |d| {
                d.views.clear();
                d.services.get_mut("arrival").unwrap().features.clear();
            },
            "FeatureView delay: it is removed; feature service arrival uses it",
        ),
        (
            |d| drop(d.services.get_mut("arrival").unwrap().features.remove(0)),
            "FeatureService arrival: feature delay:mean is no longer in it",
        ),
        (
            |d| d.services.get_mut("arrival").unwrap().request[0].name = "day".to_owned(),
            "FeatureService arrival: request value hour is removed; callers who send it are refused",
        ),
        (
            |d| d.services.get_mut("arrival").unwrap().request[0].feature_type = FeatureType::Scalar(ScalarType::Int64),
            "FeatureService arrival: request value hour changes from int32 to int64",
        ),
        (|d| d.services.clear(), "FeatureService arrival: it is removed; who asks for it gets NotFound"),
        (|d| d.endpoints.clear(), "Endpoint arrival: it is removed; who calls it gets NotFound"),
    ];
    for (edit, words) in table {
        let plan = change(edit);
        assert_eq!(plan.breaking.first().map(ToString::to_string).as_deref(), Some(words));
    }
}

#[test]
fn a_feature_that_nobody_uses_may_go() {
    let mut held = project();
    held.services.clear();
    held.endpoints.clear();
    let mut wanted = held.clone();
    delay(&mut wanted).features.pop();
    assert!(!plan(Some(&snapshot(held)), &wanted, &facts()).is_breaking());
}

#[test]
fn a_changed_model_file_is_a_change() {
    let facts = Facts { model_hashes: [("models/m.onnx".to_owned(), "bb".repeat(32))].into(), ..Facts::default() };
    let plan = plan(Some(&snapshot(project())), &project(), &facts);
    assert!(!plan.is_empty());
    assert!(plan.to_string().contains("models/m.onnx: aaaaaaaaaaaa -> bbbbbbbbbbbb"), "{plan}");
}

/// A plan with something to say in every section.
fn full() -> Plan {
    change(|wanted| {
        let view = delay(wanted);
        view.ttl = Ttl::from_micros(172_800_000_000);
        view.query =
            ViewQuery::Sql("SELECT carrier,\n  arr_time AS t,\n  mean, late, flights\nFROM flights".to_owned());
        view.features[1].default = Some(DefaultValue::Float32(0.2_f32.to_bits()));
        view.features[1].feature_type = FeatureType::Scalar(ScalarType::Float64);
        view.features.push(feature("flights", ScalarType::Int64));
        wanted.services.get_mut("arrival").unwrap().features.push(chosen("delay", "flights"));
        let other = FeatureView { name: "other".to_owned(), ..view_of(wanted) };
        wanted.views.insert("other".to_owned(), other);
        wanted.endpoints.clear();
    })
}

fn view_of(definitions: &Definitions) -> FeatureView {
    definitions.views["delay"].clone()
}

#[test]
fn a_plan_reads_like_this() {
    insta::assert_snapshot!(full());
}

#[test]
fn a_plan_is_this_json_and_comes_back_from_it() {
    let plan = full();
    let json = serde_json::to_string_pretty(&plan).unwrap();
    insta::assert_snapshot!(json);
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
}
