//! What the binary found out about a project's sources, views and models, for [`crate::validate()`] and [`crate::plan()`] to judge.

use std::collections::BTreeMap;

use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

/// All facts, each possibly an error or not looked for. A name that is not in a map counts as not looked for.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Each source's schema, by source.
    pub sources: BTreeMap<String, Fact<SourceSchema>>,
    /// Each view's planned output, by view.
    pub views: BTreeMap<String, Fact<PlannedView>>,
    /// Each model's inputs and outputs, by path.
    pub models: BTreeMap<String, Fact<ModelSignature>>,
    /// Each model file's content hash (hex blake3), by path.
    pub model_hashes: BTreeMap<String, String>,
    /// Rows that each view's last acknowledged run read, by view: what a re-materialization is likely to cost.
    pub last_rows: BTreeMap<String, u64>,
}

/// One thing that was looked for.
#[derive(Clone, Debug)]
pub enum Fact<T> {
    /// Found.
    Known(T),
    /// Looked for, and it is broken.
    Failed(Failure),
    /// Not looked for.
    NotMade {
        /// Why not, and what would make it possible.
        why: String,
    },
}

impl<T> Fact<T> {
    /// The thing itself, if it was found.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(thing) => Some(thing),
            Self::Failed(_) | Self::NotMade { .. } => None,
        }
    }
}

/// Why a thing is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In words that say what to do.
    pub message: String,
    /// Where, inside the text that was read (a view's SQL).
    pub position: Option<Position>,
}

/// A place inside a text, both counted from 1; columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

/// A column as a planner or a file names it; names are compared exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
}

/// The columns of a source: files' and hive partitions'.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceSchema {
    /// In order.
    pub columns: Vec<Column>,
}

/// What a view's query yields, as the planner sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedView {
    /// The output columns.
    pub columns: Vec<Column>,
    /// Names of the functions that the plan calls whose results their arguments do not decide: clocks and chance.
    pub volatile: Vec<String>,
    /// What in the query depends on the order of rows, each in words that say what would settle it.
    pub order_warnings: Vec<String>,
}

/// A model's inputs and outputs, in the model's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelSignature {
    /// What it takes.
    pub inputs: Vec<Tensor>,
    /// What it gives.
    pub outputs: Vec<Tensor>,
}

/// One tensor of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its elements' type.
    pub element: Element,
    /// Its dimensions; `None` where a size is free, such as the batch.
    pub dims: Vec<Option<u64>>,
}

/// The type of a tensor's elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    /// bool
    Bool,
    /// int32
    Int32,
    /// int64
    Int64,
    /// float32
    Float32,
    /// float64
    Float64,
    /// string
    String,
    /// Any other, by its name; no feature can feed it.
    Other(String),
}

impl Element {
    /// The name in messages.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Bool => "bool",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::String => "string",
            Self::Other(name) => name,
        }
    }
}
