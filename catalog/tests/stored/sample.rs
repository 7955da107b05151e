//! A catalog with every kind of definition and every form of default, for tests of bytes and fingerprints.

use std::collections::BTreeMap;

use tidegate_catalog::{
    FieldNumber, Generation, GenerationState, KeySetNumber, Micros, ProjectNumber, Snapshot, Ttl,
    definitions::{
        DataSource, DefaultValue, Definitions, Described, Endpoint, Entity, Feature, FeatureService, FeatureView,
        JoinKey, KeyType, MissingRule, ModelRef, ParquetSource, RequestField, ServiceFeature, Variant, ViewQuery,
    },
    snapshot::{FORMAT, GenerationFeature},
};

fn described(text: &str) -> Described {
    Described {
        description: Some(text.to_owned()),
        owner: Some("harbour".to_owned()),
        tags: BTreeMap::from([("tier".to_owned(), "1".to_owned())]),
    }
}

fn named<T>(items: impl IntoIterator<Item = (&'static str, T)>) -> BTreeMap<String, T> {
    items.into_iter().map(|(name, item)| (name.to_owned(), item)).collect()
}

fn key(name: &str, key_type: KeyType) -> JoinKey {
    JoinKey { name: name.to_owned(), key_type }
}

fn feature(name: &str, type_name: &str, default: Option<DefaultValue>) -> Feature {
    Feature {
        name: name.to_owned(),
        feature_type: type_name.parse().unwrap(),
        default,
        described: Described::default(),
    }
}

fn source(name: &str) -> DataSource {
    let path = format!("data/{name}/*.parquet");
    DataSource { name: name.to_owned(), parquet: ParquetSource { path }, described: described("rows") }
}

fn features() -> Vec<Feature> {
    let nan = f32::NAN.to_bits();
    let list = DefaultValue::List(vec![Some(DefaultValue::String("a".to_owned())), None]);
    vec![
        feature("level", "float32", Some(DefaultValue::Float32(nan))),
        feature("flow", "float64", Some(DefaultValue::Float64(0.2_f64.to_bits()))),
        feature("open", "bool", Some(DefaultValue::Bool(true))),
        feature("count", "int32", Some(DefaultValue::Int32(-1))),
        feature("total", "int64", Some(DefaultValue::Int64(i64::MAX))),
        feature("seen", "timestamp", Some(DefaultValue::Timestamp(Micros(-1)))),
        feature("day", "date", Some(DefaultValue::Date(16_024))),
        feature("note", "string", Some(DefaultValue::String("é".to_owned()))),
        feature("raw", "bytes", Some(DefaultValue::Bytes(vec![0, 255]))),
        feature("words", "list<string>", Some(list)),
        feature("plain", "list<float32>", None),
    ]
}

/// The view by SQL: it reads `tides` and `gates`, not `boats`.
fn by_sql() -> FeatureView {
    FeatureView {
        name: "by_sql".to_owned(),
        entities: vec!["gate".to_owned()],
        join_keys: vec![key("bay", KeyType::Int64), key("gate", KeyType::String)],
        query: ViewQuery::Sql("SELECT * FROM tides JOIN Gates USING (bay, gate)".to_owned()),
        timestamp_field: "at".to_owned(),
        created_timestamp_field: Some("created".to_owned()),
        deleted_field: Some("gone".to_owned()),
        ttl: Ttl::from_micros(86_400_000_000),
        features: features(),
        described: described("by SQL"),
    }
}

fn by_source() -> FeatureView {
    FeatureView {
        name: "by_source".to_owned(),
        entities: Vec::new(),
        join_keys: Vec::new(),
        query: ViewQuery::Source {
            source: "boats".to_owned(),
            columns: BTreeMap::from([("count".to_owned(), "Boat Count".to_owned())]),
            filter: Some("count > 0".to_owned()),
        },
        timestamp_field: "at".to_owned(),
        created_timestamp_field: None,
        deleted_field: None,
        ttl: None,
        features: vec![feature("count", "int64", None)],
        described: Described::default(),
    }
}

fn definitions() -> Definitions {
    let chosen = |alias: &str, feature: &str, join_keys: &[(&str, &str)]| ServiceFeature {
        view: "by_sql".to_owned(),
        alias: alias.to_owned(),
        feature: feature.to_owned(),
        join_keys: join_keys.iter().map(|(key, column)| ((*key).to_owned(), (*column).to_owned())).collect(),
    };
    let service = FeatureService {
        name: "service".to_owned(),
        request: vec![RequestField { name: "wind".to_owned(), feature_type: "float32".parse().unwrap() }],
        features: vec![chosen("by_sql", "level", &[]), chosen("other", "level", &[("gate", "other_gate")])],
        stars: vec!["other".to_owned()],
        described: described("what the model sees"),
    };
    let model = ModelRef {
        path: "models/a.onnx".to_owned(),
        name: "a".to_owned(),
        version: "1".to_owned(),
        replicas: 2,
        max_batch_size: 64,
    };
    let endpoint = Endpoint {
        name: "endpoint".to_owned(),
        variants: vec![Variant { name: "main".to_owned(), feature_service: "service".to_owned(), model }],
        missing: MissingRule::Error,
        deadline_ms: 500,
        described: described("what a caller asks"),
    };
    let join_keys = vec![key("gate", KeyType::String), key("bay", KeyType::Int64)];
    let entity = Entity { name: "gate".to_owned(), join_keys, described: described("a gate") };
    Definitions {
        project: "harbour".to_owned(),
        entities: named([("gate", entity)]),
        sources: named([("boats", source("boats")), ("gates", source("gates")), ("tides", source("tides"))]),
        views: named([("by_source", by_source()), ("by_sql", by_sql())]),
        services: named([("service", service)]),
        endpoints: named([("endpoint", endpoint)]),
    }
}

/// The whole catalog as one version.
pub(crate) fn snapshot() -> Snapshot {
    let definitions = definitions();
    let generation = |view: &FeatureView, field, key_set, state| Generation {
        field: FieldNumber(field),
        fingerprint: format!("{field:064x}"),
        key_set: KeySetNumber(key_set),
        join_keys: view.join_keys.clone(),
        features: view
            .features
            .iter()
            .map(|feature| GenerationFeature { name: feature.name.clone(), feature_type: feature.feature_type })
            .collect(),
        state,
    };
    let (by_source, by_sql) = (by_source(), by_sql());
    let generations = named([
        ("by_source", vec![generation(&by_source, 4, 2, GenerationState::Building)]),
        (
            "by_sql",
            vec![
                generation(&by_sql, 1, 1, GenerationState::Retired { since: Micros(1_384_516_800_000_000) }),
                generation(&by_sql, 2, 1, GenerationState::Serving),
                generation(&by_sql, 3, 1, GenerationState::Building),
            ],
        ),
    ]);
    Snapshot {
        format: FORMAT,
        registry_id: "5f1d".to_owned(),
        version: 7,
        made_at: Micros(1_384_516_800_000_000),
        project: ProjectNumber(1),
        definitions_hash: "00ff".to_owned(),
        definitions,
        model_hashes: named([("models/a.onnx", "aa55".to_owned())]),
        key_sets: named([("", KeySetNumber(2)), ("bay,gate", KeySetNumber(1))]),
        generations,
    }
}
