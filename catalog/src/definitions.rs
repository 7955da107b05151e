//! Definitions after validation: plain values that cannot be wrong. Reading YAML into them is [`crate::yaml`].
//!
//! Everything here serialises canonically (struct order, sorted maps), for it is part of the snapshot's hashed bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{FeatureType, ScalarType, Ttl};

/// All definitions of a project, by kind and name. Names are unique per kind without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Definitions {
    /// The project's name.
    pub project: String,
    /// Entities by name.
    pub entities: BTreeMap<String, Entity>,
    /// Data sources by name.
    pub sources: BTreeMap<String, DataSource>,
    /// Feature views by name.
    pub views: BTreeMap<String, FeatureView>,
    /// Feature services by name.
    pub services: BTreeMap<String, FeatureService>,
    /// Endpoints by name.
    pub endpoints: BTreeMap<String, Endpoint>,
}

/// What every definition may carry and what changes nothing but itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Free labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// A thing that features describe, known by its join keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Its name.
    pub name: String,
    /// Its join keys as declared (at least one).
    pub join_keys: Vec<JoinKey>,
    /// Description, owner, tags.
    #[serde(flatten)]
    pub described: Described,
}

/// One column that, with its sisters, names an entity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JoinKey {
    /// The column.
    pub name: String,
    /// Its type; never a float.
    #[serde(rename = "type")]
    pub key_type: KeyType,
}

/// The type of a join key, by its name in definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// bool
    Bool,
    /// int32
    Int32,
    /// int64
    Int64,
    /// timestamp
    Timestamp,
    /// date
    Date,
    /// string
    String,
    /// bytes
    Bytes,
}

impl KeyType {
    /// The scalar type of the same name.
    pub const fn scalar(self) -> ScalarType {
        match self {
            Self::Bool => ScalarType::Bool,
            Self::Int32 => ScalarType::Int32,
            Self::Int64 => ScalarType::Int64,
            Self::Timestamp => ScalarType::Timestamp,
            Self::Date => ScalarType::Date,
            Self::String => ScalarType::String,
            Self::Bytes => ScalarType::Bytes,
        }
    }

    /// The key type of the same name; `None` for floats.
    pub const fn from_scalar(scalar: ScalarType) -> Option<Self> {
        Some(match scalar {
            ScalarType::Bool => Self::Bool,
            ScalarType::Int32 => Self::Int32,
            ScalarType::Int64 => Self::Int64,
            ScalarType::Timestamp => Self::Timestamp,
            ScalarType::Date => Self::Date,
            ScalarType::String => Self::String,
            ScalarType::Bytes => Self::Bytes,
            ScalarType::Float32 | ScalarType::Float64 => return None,
        })
    }
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSource {
    /// Its name: the table name in SQL.
    pub name: String,
    /// The Parquet files.
    pub parquet: ParquetSource,
    /// Description, owner, tags.
    #[serde(flatten)]
    pub described: Described,
}

/// Parquet files: one file, a glob, or a folder, with hive partitions (`key=value` folders become columns).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParquetSource {
    /// Relative to the project's folder, or absolute, or an object-store URL.
    pub path: String,
}

/// Features of one set of entities, computed by SQL or by a plain projection and filter of one source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureView {
    /// Its name.
    pub name: String,
    /// The entities, as declared; none for a view with one global timeline.
    pub entities: Vec<String>,
    /// Its join keys: all of its entities' keys, sorted by name. Derived at validation.
    pub join_keys: Vec<JoinKey>,
    /// What yields its rows.
    pub query: ViewQuery,
    /// The output column of the event time.
    pub timestamp_field: String,
    /// The output column of the created time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_timestamp_field: Option<String>,
    /// The output column (bool) that marks tombstones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_field: Option<String>,
    /// How long after its event a row may be served; `None` is for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// Its features in declared order, at least one.
    pub features: Vec<Feature>,
    /// Description, owner, tags.
    #[serde(flatten)]
    pub described: Described,
}

/// How a view's rows are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewQuery {
    /// Any SQL over the project's sources.
    Sql(String),
    /// The rows of one source: columns by their own names, or renamed, and an optional filter.
    Source {
        /// The source's name.
        source: String,
        /// Output column -> source column; columns not named here keep their names.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        columns: BTreeMap<String, String>,
        /// An SQL predicate over the source's columns.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filter: Option<String>,
    },
}

/// One feature of a view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Its name: the output column.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub feature_type: FeatureType,
    /// What a reader gets when the status is not PRESENT. A JSON value of the feature's type, checked at validation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<DefaultValue>,
    /// Description, owner, tags.
    #[serde(flatten)]
    pub described: Described,
}

/// A declared default, in the form of its feature's type. Floats may be NaN; they are kept as bits, so that equality is exact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultValue {
    /// bool
    Bool(bool),
    /// int32
    Int32(i32),
    /// int64
    Int64(i64),
    /// float32, its bits
    Float32(u32),
    /// float64, its bits
    Float64(u64),
    /// timestamp
    Timestamp(crate::Micros),
    /// date, days since 1970
    Date(i32),
    /// string
    String(String),
    /// bytes
    Bytes(Vec<u8>),
    /// list; `None` is a null element
    List(Vec<Option<DefaultValue>>),
}

/// A named, ordered choice of features and request values: what a model sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureService {
    /// Its name.
    pub name: String,
    /// Values that the caller brings, in declared order.
    pub request: Vec<RequestField>,
    /// The chosen features in order; `*` is expanded and frozen.
    pub features: Vec<ServiceFeature>,
    /// The `view:*` references as written (view or alias), so that `plan` can say when one has grown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stars: Vec<String>,
    /// Description, owner, tags.
    #[serde(flatten)]
    pub described: Described,
}

/// A value that the caller brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestField {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub feature_type: FeatureType,
}

/// One feature of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFeature {
    /// The view it comes from.
    pub view: String,
    /// The name under which the view is looked up here; the view's own unless `as:` gives another.
    pub alias: String,
    /// The feature.
    pub feature: String,
    /// View join key -> the caller's column, where they differ.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub join_keys: BTreeMap<String, String>,
}

impl ServiceFeature {
    /// The column in datasets and by-name model inputs: `alias__feature`.
    pub fn column(&self) -> String {
        format!("{}__{}", self.alias, self.feature)
    }

    /// The reference in responses: `alias:feature`.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.alias, self.feature)
    }
}

/// What a caller asks for a prediction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Its variants; the shorthand form has one, named `main`.
    pub variants: Vec<Variant>,
    /// What a missing feature without a default does to its row.
    pub missing: MissingRule,
    /// The call's time when the caller names none, in milliseconds.
    pub deadline_ms: u32,
    /// Description, owner, tags.
    #[serde(flatten)]
    pub described: Described,
}

/// A feature service and a model behind an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Its name, unique in the endpoint.
    pub name: String,
    /// The feature service.
    pub feature_service: String,
    /// The model.
    pub model: ModelRef,
}

/// The most [`ModelRef::replicas`]: each is a thread and a whole session's memory.
pub const MAX_REPLICAS: u32 = 64;
/// The most [`ModelRef::max_batch_size`]: no request has more rows, and every size is run once before the model is ready.
pub const MAX_BATCH_SIZE: u32 = 10_000;
/// The most [`Endpoint::deadline_ms`]: no server lets a call take longer.
pub const MAX_DEADLINE_MS: u32 = 10_000;

/// Which model file a variant runs, and how its inputs are fed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRef {
    /// Relative to the project's folder.
    pub path: String,
    /// The name answered to callers; the file's stem unless given.
    pub name: String,
    /// The version answered to callers.
    pub version: String,
    /// Sessions that run side by side, at most [`MAX_REPLICAS`].
    pub replicas: u32,
    /// Most rows in one run, at most [`MAX_BATCH_SIZE`].
    pub max_batch_size: u32,
}

/// What a missing feature without a default does to its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingRule {
    /// It reaches the model as null: NaN for floats, the empty string for strings; other types fail the row.
    #[default]
    Null,
    /// It fails the row, naming the feature.
    Error,
}
