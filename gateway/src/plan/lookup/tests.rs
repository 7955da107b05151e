//! Which keys and cells a choice of features needs.

use std::collections::BTreeMap;

use tidegate_catalog::{
    FieldNumber, KeySetNumber, Micros, ProjectNumber, Snapshot,
    definitions::{Definitions, Described, Feature, FeatureView, JoinKey, KeyType, ViewQuery},
    snapshot::{FORMAT, Generation, GenerationFeature, GenerationState},
};

use super::{LookupPlan, Place, PlanError, Read, Wanted};
use crate::plan::Views;

fn key(name: &str, key_type: KeyType) -> JoinKey {
    JoinKey { name: name.to_owned(), key_type }
}

fn view(name: &str, join_keys: &[JoinKey], features: &[(&str, &str)]) -> FeatureView {
    FeatureView {
        name: name.to_owned(),
        entities: Vec::new(),
        join_keys: join_keys.to_vec(),
        query: ViewQuery::Sql(String::new()),
        timestamp_field: "t".to_owned(),
        created_timestamp_field: None,
        deleted_field: None,
        ttl: None,
        features: features
            .iter()
            .map(|(name, type_name)| Feature {
                name: (*name).to_owned(),
                feature_type: type_name.parse().unwrap(),
                default: None,
                described: Described::default(),
            })
            .collect(),
        described: Described::default(),
    }
}

/// The generation of `view` as it would be if its features were `held`.
fn generation(view: &FeatureView, field: u32, key_set: u32, held: &[(&str, &str)]) -> Generation {
    let held = held.iter().map(|(name, type_name)| GenerationFeature {
        name: (*name).to_owned(),
        feature_type: type_name.parse().unwrap(),
    });
    Generation {
        field: FieldNumber(field),
        fingerprint: String::new(),
        key_set: KeySetNumber(key_set),
        join_keys: view.join_keys.clone(),
        features: held.collect(),
        state: GenerationState::Serving,
    }
}

fn views(all: &[(FeatureView, Option<Generation>)]) -> Views {
    let mut definitions = Definitions::default();
    let mut generations = BTreeMap::new();
    for (view, generation) in all {
        definitions.views.insert(view.name.clone(), view.clone());
        generations.insert(view.name.clone(), generation.iter().cloned().collect());
    }
    Views::compile(&Snapshot {
        format: FORMAT,
        registry_id: "r".to_owned(),
        version: 3,
        made_at: Micros(0),
        project: ProjectNumber(1),
        definitions_hash: String::new(),
        definitions,
        model_hashes: BTreeMap::new(),
        key_sets: BTreeMap::new(),
        generations,
    })
}

fn wanted<'a>(view: &'a str, feature: &'a str) -> Wanted<'a> {
    Wanted { view, alias: view, feature, join_keys: None, read: Read::Yes }
}

fn flights() -> Views {
    let origin = [key("origin", KeyType::String)];
    let weather = view("weather", &origin, &[("temp", "float32"), ("wind", "float32")]);
    let delay = view("delay", &origin, &[("mean", "float32")]);
    let route = view("route", &[key("dest", KeyType::String), key("origin", KeyType::String)], &[("late", "float32")]);
    let generations = [
        generation(&weather, 1, 1, &[("temp", "float32"), ("wind", "float32")]),
        generation(&delay, 2, 1, &[("mean", "float32")]),
        generation(&route, 3, 2, &[("late", "float32")]),
    ];
    let [first, second, third] = generations;
    views(&[(weather, Some(first)), (delay, Some(second)), (route, Some(third))])
}

#[test]
fn views_on_one_key_set_under_one_mapping_share_a_key() {
    let asked =
        [wanted("weather", "wind"), wanted("route", "late"), wanted("delay", "mean"), wanted("weather", "temp")];
    let plan = LookupPlan::compile(asked, &flights(), 3).unwrap();
    assert_eq!(plan.groups.len(), 2);
    assert_eq!(plan.groups[0].fields, [FieldNumber(1), FieldNumber(2)]);
    assert_eq!(plan.groups[1].fields, [FieldNumber(3)]);
    let places = plan.features.iter().map(|feature| feature.place.unwrap()).collect::<Vec<_>>();
    let place = |cell, index| Place { cell, index };
    assert_eq!(places, [place(0, 1), place(2, 0), place(1, 0), place(0, 0)]);
    assert!(plan.features.iter().zip(&places).all(|(_, place)| place.cell < plan.cells.len()));
    assert_eq!(plan.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["origin", "dest"]);
    assert_eq!(plan.groups[1].parts, [1, 0], "components stand in join-key-name order");
}

#[test]
fn an_alias_with_its_own_mapping_is_another_key() {
    let mapped = BTreeMap::from([("origin".to_owned(), "dest".to_owned())]);
    let alias = Wanted { alias: "dest_weather", join_keys: Some(&mapped), ..wanted("weather", "temp") };
    let plan = LookupPlan::compile([wanted("weather", "temp"), alias], &flights(), 3).unwrap();
    assert_eq!(plan.groups.len(), 2);
    assert_eq!(plan.features[1].reference, "dest_weather:temp");
    assert_eq!(plan.features[1].column, "dest_weather__temp");
    assert_ne!(plan.features[0].place.unwrap().cell, plan.features[1].place.unwrap().cell);
}

#[test]
fn a_feature_that_the_serving_generation_does_not_hold_has_no_place() {
    let now = view("v", &[key("k", KeyType::Int64)], &[("a", "float32"), ("b", "int64"), ("c", "string")]);
    let old = generation(&now, 1, 1, &[("b", "int32"), ("a", "float32")]);
    let views = views(&[(now, Some(old))]);
    let plan = LookupPlan::compile([wanted("v", "a"), wanted("v", "b"), wanted("v", "c")], &views, 3).unwrap();
    let places = plan.features.iter().map(|feature| feature.place.map(|place| place.index)).collect::<Vec<_>>();
    assert_eq!(places, [Some(1), None, None], "b had another type, c was not there");
    assert!(plan.columns.iter().all(|column| column.needed));
}

#[test]
fn a_generation_under_other_join_keys_is_not_read() {
    let now = view("v", &[key("k", KeyType::Int64)], &[("a", "float32")]);
    let mut old = generation(&now, 1, 1, &[("a", "float32")]);
    old.join_keys = vec![key("k", KeyType::String)];
    let plan = LookupPlan::compile([wanted("v", "a")], &views(&[(now, Some(old))]), 3).unwrap();
    assert!(plan.cells.is_empty());
    assert_eq!(plan.features[0].place, None);
}

#[test]
fn case_39_unknown_names_are_named() {
    let unknown = LookupPlan::compile([wanted("nope", "x")], &flights(), 3).unwrap_err();
    assert_eq!(unknown.to_string(), "feature view \"nope\" is not in catalog version 3");
    let unknown = LookupPlan::compile([wanted("weather", "humid")], &flights(), 3).unwrap_err();
    assert_eq!(unknown.to_string(), "feature view \"weather\" has no feature \"humid\" in catalog version 3");
}

#[test]
fn a_column_that_would_need_two_types_is_refused_and_two_integer_widths_meet() {
    let one = view("one", &[key("k", KeyType::Int32)], &[("a", "float32")]);
    let two = view("two", &[key("k", KeyType::Int64)], &[("a", "float32")]);
    let three = view("three", &[key("k", KeyType::String)], &[("a", "float32")]);
    let all = views(&[(one, None), (two, None), (three, None)]);
    let plan = LookupPlan::compile([wanted("one", "a"), wanted("two", "a")], &all, 3).unwrap();
    assert_eq!(plan.columns[0].key_type, KeyType::Int64);
    let error = LookupPlan::compile([wanted("one", "a"), wanted("three", "a")], &all, 3).unwrap_err();
    assert!(matches!(error, PlanError::KeyTypes { .. }));
}
