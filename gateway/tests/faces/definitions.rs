//! The catalog that the tests serve: drivers and routes.

use std::collections::BTreeMap;

use tidegate_catalog::{
    FieldNumber, KeySetNumber, Micros, ProjectNumber, Snapshot, Ttl,
    definitions::{
        DefaultValue, Definitions, Described, Endpoint, Feature, FeatureService, FeatureView, JoinKey, KeyType,
        MissingRule, ModelRef, RequestField, ServiceFeature, Variant, ViewQuery,
    },
    snapshot::{FORMAT, Generation, GenerationFeature, GenerationState},
};

pub(crate) const NOON: &str = "2013-11-15T12:00:00Z";
pub(crate) const HOUR_US: i64 = 3_600_000_000;

/// Views, their join keys and features: `name:type`, `=` a float32 default.
pub(crate) const VIEWS: [(&str, &str, &str); 4] = [
    ("stats", "driver_id:int64", "rate:float32=0.25 trips:int64 city:string ok:bool seen:timestamp"),
    ("profile", "driver_id:int64", "score:float32"),
    ("route_stats", "dest:string origin:string", "delay:float32"),
    ("everything", "day:date flag:bool raw:bytes", "whole:float64 small:int32 blob:bytes born:date tags:list<string>"),
];

pub(crate) fn snapshot(version: u64) -> Snapshot {
    let mut definitions = Definitions { project: "test".to_owned(), ..Definitions::default() };
    let mut generations = BTreeMap::new();
    let mut key_sets = BTreeMap::new();
    for (index, (name, keys, features)) in VIEWS.into_iter().enumerate() {
        let view = view(name, keys, features);
        let next = KeySetNumber(key_sets.len() as u32 + 1);
        let key_set = *key_sets.entry(view.key_set_name()).or_insert(next);
        generations.insert(name.to_owned(), vec![generation(&view, index as u32 + 1, key_set)]);
        definitions.views.insert(name.to_owned(), view);
    }
    add_services(&mut definitions);
    add_endpoints(&mut definitions);
    Snapshot {
        format: FORMAT,
        registry_id: "registry-1".to_owned(),
        version,
        made_at: Micros::parse(NOON).unwrap(),
        project: ProjectNumber(1),
        definitions_hash: "d".to_owned(),
        definitions,
        model_hashes: BTreeMap::new(),
        key_sets,
        generations,
    }
}

fn view(name: &str, keys: &str, features: &str) -> FeatureView {
    let pairs = |text: &str| {
        text.split(' ')
            .map(|pair| pair.split_once(':').map(|(name, rest)| (name.to_owned(), rest.to_owned())).unwrap())
            .collect::<Vec<_>>()
    };
    let key_type = |name: &str| serde_json::from_value::<KeyType>(name.into()).unwrap();
    FeatureView {
        name: name.to_owned(),
        entities: Vec::new(),
        join_keys: pairs(keys).into_iter().map(|(name, kind)| JoinKey { name, key_type: key_type(&kind) }).collect(),
        query: ViewQuery::Sql(String::new()),
        timestamp_field: "t".to_owned(),
        created_timestamp_field: None,
        deleted_field: None,
        ttl: Ttl::from_micros(HOUR_US),
        features: pairs(features).into_iter().map(feature).collect(),
        described: Described::default(),
    }
}

fn feature((name, rest): (String, String)) -> Feature {
    let (kind, default) = rest.split_once('=').map_or((rest.as_str(), None), |(kind, default)| (kind, Some(default)));
    let default = default.map(|text| DefaultValue::Float32(text.parse::<f32>().unwrap().to_bits()));
    Feature { name, feature_type: kind.parse().unwrap(), default, described: Described::default() }
}

fn generation(view: &FeatureView, field: u32, key_set: KeySetNumber) -> Generation {
    Generation {
        field: FieldNumber(field),
        fingerprint: String::new(),
        key_set,
        join_keys: view.join_keys.clone(),
        features: view
            .features
            .iter()
            .map(|feature| GenerationFeature { name: feature.name.clone(), feature_type: feature.feature_type })
            .collect(),
        state: GenerationState::Serving,
    }
}

fn add_services(definitions: &mut Definitions) {
    let mut add = |name: &str, request: &[(&str, &str)], features: &[&str]| {
        let service = FeatureService {
            name: name.to_owned(),
            request: request
                .iter()
                .map(|(name, kind)| RequestField { name: (*name).to_owned(), feature_type: kind.parse().unwrap() })
                .collect(),
            features: features.iter().map(|reference| service_feature(reference)).collect(),
            stars: Vec::new(),
            described: Described::default(),
        };
        definitions.services.insert(name.to_owned(), service);
    };
    add("numbers", &[("distance", "float32")], &["stats:rate", "profile:score"]);
    add("mixed", &[], &["stats:rate", "stats:trips", "stats:city", "stats:ok", "stats:seen", "route_stats:delay"]);
    add("both_ways", &[], &["route_stats:delay", "back=route_stats:delay"]);
    add("scores", &[], &["profile:score"]);
    add("notes", &[("note", "string")], &["stats:rate"]);
}

/// `view:feature`, or `alias=view:feature` which swaps origin and dest.
fn service_feature(reference: &str) -> ServiceFeature {
    let (alias, rest) = reference.split_once('=').map_or((None, reference), |(alias, rest)| (Some(alias), rest));
    let (view, feature) = rest.split_once(':').unwrap();
    let swapped = [("origin".to_owned(), "dest".to_owned()), ("dest".to_owned(), "origin".to_owned())];
    ServiceFeature {
        view: view.to_owned(),
        alias: alias.unwrap_or(view).to_owned(),
        feature: feature.to_owned(),
        join_keys: if alias.is_some() { BTreeMap::from(swapped) } else { BTreeMap::new() },
    }
}

fn add_endpoints(definitions: &mut Definitions) {
    let mut add = |name: &str, service: &str, path: &str, missing: MissingRule| {
        let variant = Variant {
            name: "main".to_owned(),
            feature_service: service.to_owned(),
            model: ModelRef {
                path: path.to_owned(),
                name: "model".to_owned(),
                version: "1".to_owned(),
                replicas: 1,
                max_batch_size: 64,
            },
        };
        let endpoint = Endpoint {
            name: name.to_owned(),
            variants: vec![variant],
            missing,
            deadline_ms: 1_000,
            described: Described::default(),
        };
        definitions.endpoints.insert(name.to_owned(), endpoint);
    };
    add("fare", "numbers", "packed", MissingRule::Null);
    add("strict", "numbers", "packed", MissingRule::Error);
    add("named", "mixed", "named", MissingRule::Null);
    add("slow", "numbers", "held", MissingRule::Null);
    add("score", "scores", "packed", MissingRule::Error);
    add("noted", "notes", "noted", MissingRule::Null);
}
