//! Views with the rows of their sources, and what a reader is to be told of each cell: the winner function's answer.

use bytes::BytesMut;
use serde_json::{Value as Json, json};
use tidegate_catalog::{
    FeatureType, FieldStatus, Micros, RowLayout, ScalarType, Stamp, Ttl, Value,
    row::Check,
    winner::{CandidateRow, VisibilityMode, Winner, winner},
};

/// The present, of the materialization and of the server.
pub(crate) const AS_OF: &str = "2026-03-01T00:00:00Z";
/// In microseconds.
pub(crate) const HOUR: i64 = 3_600_000_000;
const TEXTS: [&str; 4] = ["Oslo", "São Paulo", "東京 🚕", ""];
/// Bytes and their base64.
const BLOBS: [(&[u8], &str); 4] = [(b"\x00\xff", "AP8="), (b"abc", "YWJj"), (b"", ""), (b"\xc3\x28?", "wyg/")];

/// One row of a view's source.
struct Row {
    key: Vec<Json>,
    stamp: Stamp,
    deleted: bool,
    values: Vec<Value<'static>>,
}

/// A view as defined in YAML here and in Python beside the client, with the rows of its source.
pub(crate) struct View {
    pub(crate) name: &'static str,
    entity: &'static str,
    keys: &'static [(&'static str, &'static str)],
    pub(crate) features: Vec<(String, FeatureType)>,
    ttl: Option<Ttl>,
    rows: Vec<Row>,
}

/// Where a value is written: into the source's file, or by the server.
#[derive(Clone, Copy)]
enum Form {
    File,
    Wire,
}

fn as_of() -> Micros {
    Micros::parse(AS_OF).unwrap()
}

/// Every pattern of rows a key can have: none visible, expired, ties, tombstones, nulls. Ages end on half an hour, because
/// a ready server's event time runs on from `AS_OF`.
fn rows(keys: &[Vec<Json>], features: &[(String, FeatureType)]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, key) in (0_i64..).zip(keys) {
        for version in 0..=index % 4 {
            let same_event = index % 5 == 0;
            let hours = if same_event { index % 30 } else { (index * 7 + version * 13) % 50 };
            let future = index % 6 == 5 && (version > 0 || index % 12 == 5);
            let event = as_of().saturating_sub(if future { -HOUR } else { hours * HOUR + HOUR / 2 });
            let created = if index % 10 == 0 { 1 } else { (index + version) % 3 };
            let created = (created > 0).then(|| event.saturating_sub(created * HOUR / 60));
            let seed = |feature: i64| index * 31 + version * 17 + feature * 7;
            let values = (0..).zip(features).map(|(at, (_, kind))| value(*kind, seed(at))).collect();
            let deleted = (index * 3 + version) % 7 == 0;
            rows.push(Row { key: key.clone(), stamp: Stamp { event, created }, deleted, values });
        }
    }
    rows
}

fn value(kind: FeatureType, seed: i64) -> Value<'static> {
    match kind {
        _ if seed % 5 == 0 => Value::Null,
        FeatureType::Scalar(ScalarType::Float64) if seed % 11 == 3 => Value::Float64(f64::NAN),
        FeatureType::Scalar(scalar) => one(scalar, seed),
        // the client takes neither empty lists nor nulls in lists, whoever serves them
        FeatureType::List(scalar) => Value::List((0..=seed % 3).map(|more| one(scalar, seed + more)).collect()),
    }
}

fn one(scalar: ScalarType, seed: i64) -> Value<'static> {
    let place = usize::try_from(seed).unwrap() % 4;
    match scalar {
        ScalarType::Bool => Value::Bool(seed % 2 == 0),
        ScalarType::Int32 => Value::Int32(i32::MIN + i32::try_from(seed).unwrap()),
        ScalarType::Int64 => Value::Int64(i64::MAX - seed),
        ScalarType::Float32 => Value::Float32(f32::from(i16::try_from(seed).unwrap()) * 0.1),
        ScalarType::Float64 => Value::Float64(f64::from(i32::try_from(seed).unwrap()) / 3.0),
        ScalarType::Timestamp => Value::Timestamp(as_of().saturating_sub(seed * 1_000_003)),
        ScalarType::Date => Value::Date(i32::try_from(seed).unwrap()),
        ScalarType::String => Value::String(TEXTS[place]),
        ScalarType::Bytes => Value::Bytes(BLOBS[place].0),
    }
}

fn written(value: &Value<'_>, form: Form) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int32(value) | Value::Date(value) => json!(value),
        Value::Int64(value) => json!(value),
        // the shortest decimal that reads back as the same float32
        Value::Float32(value) => json!(value.to_string().parse::<f64>().unwrap()),
        Value::Float64(value) if value.is_nan() && matches!(form, Form::File) => json!("NaN"),
        Value::Float64(value) => json!(value),
        Value::Timestamp(value) => match form {
            Form::File => json!(value.0),
            Form::Wire => json!(value.0.div_euclid(1_000_000)),
        },
        Value::String(value) => json!(value),
        Value::Bytes(value) => json!(BLOBS.iter().find(|(bytes, _)| bytes == value).unwrap().1),
        Value::List(elements) => elements.iter().map(|element| written(element, form)).collect(),
    }
}

impl View {
    /// A view over rows of the known keys.
    pub(crate) fn new(
        name: &'static str,
        entity: &'static str,
        keys: &'static [(&'static str, &'static str)],
        features: &[(&str, &str)],
        ttl: Option<Ttl>,
        known: &[Vec<Json>],
    ) -> Self {
        let features =
            features.iter().map(|(name, kind)| ((*name).to_owned(), kind.parse().unwrap())).collect::<Vec<_>>();
        Self { name, entity, keys, rows: rows(known, &features), features, ttl }
    }

    /// Entity, source and view.
    pub(crate) fn yaml(&self) -> String {
        let (name, entity) = (self.name, self.entity);
        let keys = self.keys.iter().map(|(name, kind)| format!("{{name: {name}, type: {kind}}}")).collect::<Vec<_>>();
        let features = self.features.iter().map(|(name, kind)| format!("  - {{name: {name}, type: \"{kind}\"}}\n"));
        let ttl = self.ttl.map_or(String::new(), |ttl| format!("ttl: {}us\n", ttl.micros()));
        format!(
            "kind: Entity\nname: {entity}\njoin_keys: [{}]\n---\n\
             kind: DataSource\nname: {name}_file\nparquet: {{path: data/{name}.parquet}}\n---\n\
             kind: FeatureView\nname: {name}\nentities: [{entity}]\nsource: {name}_file\ntimestamp_field: event\n\
             created_timestamp_field: created\ndeleted_field: gone\n{ttl}features:\n{}---\n",
            keys.join(", "),
            features.collect::<String>(),
        )
    }

    /// What `make_parquet.py` writes as the source.
    pub(crate) fn table(&self) -> Json {
        let keys = self.keys.iter().map(|(name, kind)| json!([name, kind]));
        let times = [json!(["event", "timestamp"]), json!(["created", "timestamp"]), json!(["gone", "bool"])];
        let features = self.features.iter().map(|(name, kind)| json!([name, kind.to_string()]));
        let rows = self.rows.iter().map(|row| {
            let times = [json!(row.stamp.event.0), json!(row.stamp.created.map(|time| time.0)), json!(row.deleted)];
            let values = row.values.iter().map(|value| written(value, Form::File));
            row.key.iter().cloned().chain(times).chain(values).collect::<Json>()
        });
        json!({"columns": keys.chain(times).chain(features).collect::<Json>(), "rows": rows.collect::<Json>()})
    }

    /// What a reader is to be told of a feature of a key: value, status, and the event time of the row it is from.
    fn expected(&self, key: &[Json], feature: &str) -> (Json, FieldStatus, Micros) {
        let layout = RowLayout::new(&self.features.iter().map(|(_, kind)| *kind).collect::<Vec<_>>());
        let rows = self.rows.iter().filter(|row| row.key == key).collect::<Vec<_>>();
        let candidates = rows.iter().map(|row| {
            let mut bytes = BytesMut::new();
            if row.deleted {
                RowLayout::encode_tombstone(row.stamp, Check::new(0), &mut bytes);
            } else {
                layout.encode(row.stamp, Check::new(0), &row.values, &mut bytes).unwrap();
            }
            CandidateRow { bytes: bytes.freeze() }
        });
        let candidates = candidates.collect::<Vec<_>>();
        let won = winner(&candidates, as_of(), self.ttl, VisibilityMode::EventTime);
        let row = |best| rows[candidates.iter().position(|candidate| candidate == best).unwrap()];
        let at = self.features.iter().position(|(name, _)| name == feature).unwrap();
        match won {
            Winner::Row(best) => match &row(best).values[at] {
                Value::Null => (Json::Null, FieldStatus::NullValue, row(best).stamp.event),
                value => (written(value, Form::Wire), FieldStatus::Present, row(best).stamp.event),
            },
            Winner::Expired(best) => (Json::Null, won.status(), row(best).stamp.event),
            Winner::Deleted(_) | Winner::Absent => (Json::Null, won.status(), Micros::EPOCH),
        }
    }

    /// A whole column of answers.
    pub(crate) fn column(&self, keys: &[Vec<Json>], feature: &str) -> (Vec<Json>, Vec<&'static str>, Vec<Micros>) {
        let cells = keys.iter().map(|key| self.expected(key, feature));
        let (mut values, mut statuses, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for (value, status, time) in cells {
            values.push(value);
            statuses.push(status.as_str());
            times.push(time);
        }
        (values, statuses, times)
    }
}
