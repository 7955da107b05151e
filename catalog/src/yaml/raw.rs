//! Definitions as they may be written. Each comment is the reference text and goes into the JSON Schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// A thing that features describe, known by its join keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Entity {
    /// Its name: `[A-Za-z_][A-Za-z0-9_]*`.
    pub(super) name: String,
    /// The columns that name one entity; at least one.
    pub(super) join_keys: Vec<TypedField>,
    /// For people.
    pub(super) description: Option<String>,
    /// Who answers for it.
    pub(super) owner: Option<String>,
    /// Free labels.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

/// A name and a type.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TypedField {
    /// The name.
    pub(super) name: String,
    /// bool, int32, int64, float32, float64, timestamp, date, string, bytes, or `list<T>` of them. A join key is no float and no list.
    #[serde(rename = "type")]
    pub(super) type_name: String,
}

/// Where rows come from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DataSource {
    /// Its name: the table name in SQL.
    pub(super) name: String,
    /// Parquet files.
    pub(super) parquet: Parquet,
    /// For people.
    pub(super) description: Option<String>,
    /// Who answers for it.
    pub(super) owner: Option<String>,
    /// Free labels.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

/// Parquet files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Parquet {
    /// A file, a glob or a folder, relative to the project's folder. `key=value` folders become columns.
    pub(super) path: String,
}

/// Features of one set of entities.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FeatureView {
    /// Its name.
    pub(super) name: String,
    /// The entities that it describes; none for one global timeline.
    #[serde(default)]
    pub(super) entities: Vec<String>,
    /// SQL over the project's sources that yields join keys, times and features. Either this or `source`.
    pub(super) sql: Option<String>,
    /// One source whose rows are the view's rows. Either this or `sql`.
    pub(super) source: Option<String>,
    /// With `source`: output column -> the source's column, where they differ.
    #[serde(default)]
    pub(super) columns: BTreeMap<String, String>,
    /// With `source`: an SQL predicate over the source's columns.
    pub(super) filter: Option<String>,
    /// The output column of the event time.
    pub(super) timestamp_field: String,
    /// The output column of the created time: when a row was known.
    pub(super) created_timestamp_field: Option<String>,
    /// The output column (bool) whose true rows are tombstones.
    pub(super) deleted_field: Option<String>,
    /// How long after its event a row may be served, like `24h`, `3h`, `7d`, `500ms`. Leave it out for no limit.
    pub(super) ttl: Option<String>,
    /// The features in row order; at least one.
    pub(super) features: Vec<Feature>,
    /// For people.
    pub(super) description: Option<String>,
    /// Who answers for it.
    pub(super) owner: Option<String>,
    /// Free labels.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

/// One feature.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Feature {
    /// Its name: the output column.
    pub(super) name: String,
    /// bool, int32, int64, float32, float64, timestamp, date, string, bytes, or `list<T>` of them.
    #[serde(rename = "type")]
    pub(super) type_name: String,
    /// What a model gets when the feature is not present, in prediction and in training alike. A value of the feature's type;
    /// `.nan` and `.inf` for floats, base64 for bytes, RFC 3339 for timestamps.
    #[serde(default)]
    pub(super) default: Value,
    /// For people.
    pub(super) description: Option<String>,
    /// Who answers for it.
    pub(super) owner: Option<String>,
    /// Free labels.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

/// A named, ordered choice of features and request values: what a model sees.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FeatureService {
    /// Its name.
    pub(super) name: String,
    /// Values that the caller brings.
    #[serde(default)]
    pub(super) request: Vec<TypedField>,
    /// `view:feature`, `view:*`, or a mapping with an alias.
    pub(super) features: Vec<FeatureRef>,
    /// For people.
    pub(super) description: Option<String>,
    /// Who answers for it.
    pub(super) owner: Option<String>,
    /// Free labels.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

/// One entry of a service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum FeatureRef {
    /// `view:feature` or `view:*`.
    Short(String),
    /// A view under another name.
    Aliased(Aliased),
}

/// A view under another name, looked up by other columns of the caller.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Aliased {
    /// The view.
    pub(super) view: String,
    /// The name under which its features appear.
    #[serde(rename = "as")]
    pub(super) alias: Option<String>,
    /// The view's join key -> the caller's column, where they differ.
    #[serde(default)]
    pub(super) join_keys: BTreeMap<String, String>,
    /// The features; all of them unless given.
    #[serde(default)]
    pub(super) features: Vec<String>,
}

/// What a caller asks for a prediction.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoint {
    /// Its name.
    pub(super) name: String,
    /// Shorthand for one variant, with `model`.
    pub(super) feature_service: Option<String>,
    /// Shorthand for one variant, with `feature_service`.
    pub(super) model: Option<Model>,
    /// The variants in full.
    #[serde(default)]
    pub(super) variants: Vec<Variant>,
    /// What a missing feature without a default does: `null` (it reaches the model as null) or `error` (its row fails). Default `null`.
    #[serde(default)]
    pub(super) missing: Missing,
    /// Milliseconds that a call has when the caller names none, at most 10000. Default 500.
    pub(super) deadline_ms: Option<u32>,
    /// For people.
    pub(super) description: Option<String>,
    /// Who answers for it.
    pub(super) owner: Option<String>,
    /// Free labels.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

/// What a missing feature without a default does. A bare `null` is YAML's own null and means the same.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Missing {
    /// YAML's null.
    #[default]
    Unset,
    /// The rule by name.
    Named(MissingName),
}

/// The rule by name.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum MissingName {
    /// It reaches the model as null.
    Null,
    /// It fails its row.
    Error,
}

/// A feature service and a model behind an endpoint.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Variant {
    /// Its name, unique in the endpoint.
    pub(super) name: String,
    /// The feature service.
    pub(super) feature_service: String,
    /// The model.
    pub(super) model: Model,
}

/// A model file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    /// The ONNX file, relative to the project's folder.
    pub(super) path: String,
    /// The name answered to callers. Default: the file's name without its ending.
    pub(super) name: Option<String>,
    /// The version answered to callers. Default `1`.
    pub(super) version: Option<String>,
    /// Sessions that run side by side, at most 64. Default 1.
    pub(super) replicas: Option<u32>,
    /// Most rows in one run, at most 10000. Default 64.
    pub(super) max_batch_size: Option<u32>,
}
