//! The catalog that the predict benches serve, and its data: three views of ten float32 under one int64 key, a service
//! of all thirty and an endpoint `score` of the boosted trees.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tidegate_catalog::{
    EntityKey, FeatureType, FieldNumber, KeySetNumber, KeyValue, Micros, ProjectNumber, RowLayout, ScalarType,
    Snapshot, Stamp, Value,
    definitions::{
        Definitions, Described, Endpoint, Feature, FeatureService, FeatureView, JoinKey, KeyType, MissingRule,
        ModelRef, ServiceFeature, Variant, ViewQuery,
    },
    snapshot::{FORMAT, Generation, GenerationFeature, GenerationState},
};
use tidegate_store::Put;

use crate::load::Requests;

/// Views of the service.
pub const VIEWS: usize = 3;
/// Features of a view.
pub const FEATURES: usize = 10;
/// The endpoint.
pub const ENDPOINT: &str = "score";
/// The join key.
pub const JOIN_KEY: &str = "id";
/// The model's file below [`models_folder`].
pub const MODEL: &str = "gbt_100x5.onnx";

const PROJECT: ProjectNumber = ProjectNumber(1);
const KEY_SET: KeySetNumber = KeySetNumber(1);
const FLOAT: FeatureType = FeatureType::Scalar(ScalarType::Float32);
/// Event time of every row; they were created a second later.
pub const EVENT: Micros = Micros(1_700_000_000_000_000);

/// Where the benches' models lie.
pub fn models_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// Field numbers of the views, in the service's order.
pub fn fields() -> [FieldNumber; VIEWS] {
    [FieldNumber(1), FieldNumber(2), FieldNumber(3)]
}

/// The stored key of `id`.
/// # Errors
/// Never for an int64; the encoding's own.
pub fn entity_key(id: i64, buffer: &mut BytesMut) -> Result<EntityKey> {
    Ok(EntityKey::encode(PROJECT, KEY_SET, [KeyValue::Int64(id)], buffer)?)
}

/// The features of `id`, view by view: they follow from `seed` and `id` alone.
pub fn values(id: i64, seed: u64) -> [[f32; FEATURES]; VIEWS] {
    let mut random = StdRng::seed_from_u64(seed ^ id.cast_unsigned());
    std::array::from_fn(|_| std::array::from_fn(|_| random.random_range(-2.0..2.0)))
}

/// All rows of `id` as of `event`.
/// # Errors
/// Never for values of these types; the codec's own.
pub fn rows(id: i64, seed: u64, event: Micros) -> Result<Vec<Put>> {
    let layout = RowLayout::new(&[FLOAT; FEATURES]);
    let key = entity_key(id, &mut BytesMut::new())?;
    let stamp = Stamp { event, created: Some(Micros(event.0 + 1_000_000)) };
    let row = |(field, values): (FieldNumber, [f32; FEATURES])| {
        let values = values.map(Value::Float32);
        let mut row = BytesMut::new();
        layout.encode(stamp, layout.cell_check(field).of(&key), &values, &mut row)?;
        Ok(Put { key: key.clone(), field, row: row.freeze() })
    };
    fields().into_iter().zip(values(id, seed)).map(row).collect()
}

/// `count` requests for all features of `size` keys each, drawn below `keys`, as Feast's clients write them.
pub fn feature_requests(keys: i64, size: usize, count: usize, seed: u64) -> Requests {
    let mut random = StdRng::seed_from_u64(seed);
    let mut body = || {
        let ids = (0..size).map(|_| random.random_range(0..keys).to_string()).collect::<Vec<_>>().join(", ");
        let service = format!("\"feature_service\": \"{ENDPOINT}\", \"full_feature_names\": true");
        Bytes::from(format!("{{\"entities\": {{\"{JOIN_KEY}\": [{ids}]}}, {service}}}"))
    };
    Requests { path: "/get-online-features".to_owned(), bodies: (0..count).map(|_| body()).collect() }
}

/// `count` single-row predict requests for keys drawn below `keys`.
pub fn requests(keys: i64, count: usize, seed: u64) -> Requests {
    let mut random = StdRng::seed_from_u64(seed);
    let body = |id: i64| Bytes::from(format!("{{\"entities\": {{\"{JOIN_KEY}\": {id}}}}}"));
    Requests {
        path: format!("/v1/predict/{ENDPOINT}"),
        bodies: (0..count).map(|_| body(random.random_range(0..keys))).collect(),
    }
}

/// The catalog; the endpoint runs `replicas` sessions.
pub fn snapshot(replicas: u32) -> Snapshot {
    let names = (1..=VIEWS).map(|number| format!("view_{number}")).collect::<Vec<_>>();
    let views = names.iter().map(|name| (name.clone(), view(name)));
    let definitions = Definitions {
        project: "bench".to_owned(),
        views: views.collect(),
        services: BTreeMap::from([(ENDPOINT.to_owned(), service(&names))]),
        endpoints: BTreeMap::from([(ENDPOINT.to_owned(), endpoint(replicas))]),
        ..Definitions::default()
    };
    let generations = names.iter().zip(fields()).map(|(name, field)| (name.clone(), vec![generation(field)]));
    Snapshot {
        format: FORMAT,
        registry_id: "bench".to_owned(),
        version: 1,
        made_at: EVENT,
        project: PROJECT,
        definitions_hash: String::new(),
        model_hashes: BTreeMap::new(),
        key_sets: BTreeMap::from([(JOIN_KEY.to_owned(), KEY_SET)]),
        generations: generations.collect(),
        definitions,
    }
}

fn join_keys() -> Vec<JoinKey> {
    vec![JoinKey { name: JOIN_KEY.to_owned(), key_type: KeyType::Int64 }]
}

fn feature_names() -> impl Iterator<Item = String> {
    (0..FEATURES).map(|number| format!("f{number}"))
}

fn view(name: &str) -> FeatureView {
    let feature = |name| Feature { name, feature_type: FLOAT, default: None, described: Described::default() };
    FeatureView {
        name: name.to_owned(),
        entities: Vec::new(),
        join_keys: join_keys(),
        query: ViewQuery::Sql(String::new()),
        timestamp_field: "event".to_owned(),
        created_timestamp_field: Some("created".to_owned()),
        deleted_field: None,
        ttl: None,
        features: feature_names().map(feature).collect(),
        described: Described::default(),
    }
}

fn generation(field: FieldNumber) -> Generation {
    Generation {
        field,
        fingerprint: String::new(),
        key_set: KEY_SET,
        join_keys: join_keys(),
        features: feature_names().map(|name| GenerationFeature { name, feature_type: FLOAT }).collect(),
        state: GenerationState::Serving,
    }
}

fn service(views: &[String]) -> FeatureService {
    let feature = |view: &String, feature| ServiceFeature {
        view: view.clone(),
        alias: view.clone(),
        feature,
        join_keys: BTreeMap::new(),
    };
    FeatureService {
        name: ENDPOINT.to_owned(),
        request: Vec::new(),
        features: views.iter().flat_map(|view| feature_names().map(move |name| feature(view, name))).collect(),
        stars: Vec::new(),
        described: Described::default(),
    }
}

fn endpoint(replicas: u32) -> Endpoint {
    let model = ModelRef {
        path: MODEL.to_owned(),
        name: "gbt".to_owned(),
        version: "1".to_owned(),
        replicas,
        max_batch_size: 32,
    };
    Endpoint {
        name: ENDPOINT.to_owned(),
        variants: vec![Variant { name: "main".to_owned(), feature_service: ENDPOINT.to_owned(), model }],
        missing: MissingRule::Error,
        deadline_ms: 10_000,
        described: Described::default(),
    }
}
