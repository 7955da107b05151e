//! Whether a feature service's columns fit a model's inputs, and where each column's value goes. Pure.
//!
//! Inputs by name: each is fed by the column of the same name (`alias__feature`, or a request value's name), whatever the
//! order, and gets one value a row. So it is for a model with several inputs, and for one whose only input takes one value a
//! row and is named exactly as a column; columns that no input names are left out. Every other model with one input takes
//! it packed: column `i` of the service is column `i` of the tensor. All problems are reported at once.

use std::sync::Arc;

use tidegate_catalog::{FeatureType, ScalarType};

use crate::{
    batch_input::{BatchInput, InputLayout, Slot, TensorLayout},
    signature::{Dim, ElementType, Signature, TensorSpec, width},
};

/// One column of a feature service, in the service's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column<'a> {
    /// `alias__feature`, or the name of a request value.
    pub name: &'a str,
    /// What its values are.
    pub feature_type: FeatureType,
}

/// Where every column goes. A cheap clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPlan {
    layout: Arc<InputLayout>,
    slots: Arc<[Option<Slot>]>,
    warnings: Arc<[FitWarning]>,
}

/// Why columns and inputs do not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitProblem {
    /// A packed input of another width than there are columns.
    #[error("the model's input {input:?} takes {takes} values a row, the feature service has {columns} columns")]
    PackedWidth {
        /// The input.
        input: String,
        /// Values a row.
        takes: usize,
        /// Columns there are.
        columns: usize,
    },
    /// An input that no column feeds.
    #[error("the model's input {input:?} has no column of that name{}", did_you_mean(suggestion.as_deref()))]
    UnknownInput {
        /// The input.
        input: String,
        /// The column that may have been meant.
        suggestion: Option<String>,
    },
    /// A column whose values the input cannot take.
    #[error("column {column:?} is {feature_type}, the model's input {input:?} takes {element}; {advice}")]
    Type {
        /// The column.
        column: String,
        /// Its type.
        feature_type: FeatureType,
        /// The input.
        input: String,
        /// Its elements.
        element: ElementType,
        /// What to do.
        advice: &'static str,
    },
    /// An input of a shape that is not fed.
    #[error(
        "the model's input {input:?} is {shape}; fed are one packed input [rows, n], or several [rows] or [rows, 1], one a column"
    )]
    Shape {
        /// The input.
        input: String,
        /// Its type and dimensions.
        shape: String,
    },
    /// Inputs that fix different numbers of rows.
    #[error("the model's inputs fix different numbers of rows: {first} and {other}")]
    FixedRows {
        /// What the first one fixes.
        first: usize,
        /// What another fixes.
        other: usize,
    },
    /// A service without columns.
    #[error("the feature service has no columns")]
    NoColumns,
}

/// What fits and may surprise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitWarning {
    /// Whole numbers that the input's float type rounds.
    #[error(
        "column {column:?} is {feature_type}, the model's input {input:?} is {element}: whole numbers beyond {exact_to} are rounded"
    )]
    Rounded {
        /// The column.
        column: String,
        /// Its type.
        feature_type: FeatureType,
        /// The input.
        input: String,
        /// Its elements.
        element: ElementType,
        /// Up to which size every whole number is exact.
        exact_to: u64,
    },
    /// float64 into float32.
    #[error("column {column:?} is float64, the model's input {input:?} is float32: values are rounded to 24 bits")]
    Narrowed {
        /// The column.
        column: String,
        /// The input.
        input: String,
    },
    /// A column that the model does not take.
    #[error("column {column:?} feeds no input of the model{}", did_you_mean(suggestion.as_deref()))]
    UnusedColumn {
        /// The column.
        column: String,
        /// The input that may have been meant.
        suggestion: Option<String>,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default()
}

impl InputPlan {
    /// Where column number `column` of the service goes; `None` if the model does not take it.
    pub fn slot(&self, column: usize) -> Option<Slot> {
        self.slots.get(column).copied().flatten()
    }

    /// What fits and may surprise.
    pub fn warnings(&self) -> &[FitWarning] {
        &self.warnings
    }

    /// An empty batch of `rows` rows for this plan.
    pub fn batch(&self, rows: usize) -> BatchInput {
        BatchInput::new(&self.layout, rows)
    }

    pub(crate) const fn layout(&self) -> &Arc<InputLayout> {
        &self.layout
    }
}

/// Fits `columns`, in the service's order, to the model's inputs.
/// # Errors
/// Every problem, in the order of the model's inputs.
pub fn fit(signature: &Signature, columns: &[Column<'_>]) -> Result<InputPlan, Vec<FitProblem>> {
    let mut fitting = Fitting { columns, slots: vec![None; columns.len()], problems: Vec::new(), warnings: Vec::new() };
    if columns.is_empty() {
        fitting.problems.push(FitProblem::NoColumns);
    }
    fitting.check_rows(signature);
    let tensors = match &*signature.inputs {
        [only] if !fitting.is_by_name(only) => fitting.packed(only),
        inputs => fitting.by_name(inputs),
    };
    if !fitting.problems.is_empty() {
        return Err(fitting.problems);
    }
    Ok(InputPlan {
        layout: Arc::new(InputLayout { tensors }),
        slots: fitting.slots.into(),
        warnings: fitting.warnings.into(),
    })
}

struct Fitting<'a> {
    columns: &'a [Column<'a>],
    slots: Vec<Option<Slot>>,
    problems: Vec<FitProblem>,
    warnings: Vec<FitWarning>,
}

impl Fitting<'_> {
    fn check_rows(&mut self, signature: &Signature) {
        let mut fixed = signature.inputs.iter().filter_map(|input| match input.dims.first() {
            Some(Dim::Fixed(rows)) => Some(*rows),
            Some(Dim::Free) | None => None,
        });
        let Some(first) = fixed.next() else { return };
        if let Some(other) = fixed.find(|rows| *rows != first) {
            self.problems.push(FitProblem::FixedRows { first, other });
        }
    }

    /// Whether the only input of a model is a column's rather than all of them packed.
    fn is_by_name(&self, only: &TensorSpec) -> bool {
        let one_value_a_row = matches!(only.dims.as_slice(), [_] | [_, Dim::Fixed(1) | Dim::Free]);
        one_value_a_row && self.columns.iter().any(|column| column.name == only.name)
    }

    fn packed(&mut self, input: &TensorSpec) -> Vec<TensorLayout> {
        let count = self.columns.len();
        let takes = match input.dims.as_slice() {
            [_row] => 1,
            [_row, Dim::Fixed(width)] => *width,
            [_row, Dim::Free] => count,
            _ => {
                self.problems.push(shape_problem(input));
                return Vec::new();
            }
        };
        if takes != count {
            self.problems.push(FitProblem::PackedWidth { input: input.name.clone(), takes, columns: count });
        }
        for (index, column) in self.columns.iter().enumerate() {
            self.check_type(column, input);
            self.place(index, Slot { tensor: 0, column: index });
        }
        vec![layout(input, takes)]
    }

    fn by_name(&mut self, inputs: &[TensorSpec]) -> Vec<TensorLayout> {
        let columns = self.columns;
        let names = || columns.iter().map(|column| column.name);
        for (tensor, input) in inputs.iter().enumerate() {
            if width(input).is_none_or(|width| width != 1) && !matches!(input.dims.as_slice(), [_, Dim::Free]) {
                self.problems.push(shape_problem(input));
            }
            match columns.iter().position(|column| column.name == input.name) {
                None => self.problems.push(FitProblem::UnknownInput {
                    input: input.name.clone(),
                    suggestion: closest(&input.name, names().filter(|name| !has_input(inputs, name))),
                }),
                Some(index) => {
                    if let Some(column) = columns.get(index) {
                        self.check_type(column, input);
                    }
                    self.place(index, Slot { tensor, column: 0 });
                }
            }
        }
        for column in columns.iter().filter(|column| !has_input(inputs, column.name)) {
            let free =
                inputs.iter().map(|input| input.name.as_str()).filter(|input| names().all(|name| name != *input));
            let suggestion = closest(column.name, free);
            self.warnings.push(FitWarning::UnusedColumn { column: column.name.to_owned(), suggestion });
        }
        inputs.iter().map(|input| layout(input, 1)).collect()
    }

    fn place(&mut self, column: usize, slot: Slot) {
        if let Some(place) = self.slots.get_mut(column) {
            *place = Some(slot);
        }
    }

    fn check_type(&mut self, column: &Column<'_>, input: &TensorSpec) {
        let exactness = match column.feature_type {
            FeatureType::Scalar(scalar) => exactness(scalar, input.element),
            FeatureType::List(_) => Exactness::No("lists cannot be fed to a model; choose elements in the view's SQL"),
        };
        let (name, input_name) = (column.name.to_owned(), input.name.clone());
        match exactness {
            Exactness::Exact => {}
            Exactness::UpTo(exact_to) => self.warnings.push(FitWarning::Rounded {
                column: name,
                feature_type: column.feature_type,
                input: input_name,
                element: input.element,
                exact_to,
            }),
            Exactness::Narrowed => self.warnings.push(FitWarning::Narrowed { column: name, input: input_name }),
            Exactness::No(advice) => self.problems.push(FitProblem::Type {
                column: name,
                feature_type: column.feature_type,
                input: input_name,
                element: input.element,
                advice,
            }),
        }
    }
}

fn has_input(inputs: &[TensorSpec], name: &str) -> bool {
    inputs.iter().any(|input| input.name == name)
}

fn shape_problem(input: &TensorSpec) -> FitProblem {
    FitProblem::Shape { input: input.name.clone(), shape: input.shape_text() }
}

fn layout(input: &TensorSpec, width: usize) -> TensorLayout {
    TensorLayout { name: input.name.clone(), element: input.element, width, has_columns: input.dims.len() > 1 }
}

/// How well values of a feature type go into a tensor.
enum Exactness {
    Exact,
    /// Whole numbers up to this size.
    UpTo(u64),
    Narrowed,
    No(&'static str),
}

const FLOAT32_WHOLE: u64 = 1 << 24;
const FLOAT64_WHOLE: u64 = 1 << 53;
const CAST: &str = "cast it in the view's SQL, or export the model with another input type";

/// The table behind `BatchInput::put`. Dates are days and timestamps microseconds since 1970; bools are 0 and 1.
const fn exactness(from: ScalarType, to: ElementType) -> Exactness {
    use ElementType as To;
    use ScalarType as From;
    match (from, to) {
        (From::Float32, To::Float32 | To::Float64) | (From::Float64, To::Float64) => Exactness::Exact,
        (From::Float64, To::Float32) => Exactness::Narrowed,
        (From::Int32, To::Int32 | To::Int64 | To::Float64) | (From::Int64, To::Int64) => Exactness::Exact,
        (From::Int32 | From::Int64 | From::Timestamp, To::Float32) => Exactness::UpTo(FLOAT32_WHOLE),
        (From::Int64 | From::Timestamp, To::Float64) => Exactness::UpTo(FLOAT64_WHOLE),
        (From::Timestamp, To::Int64) => Exactness::Exact,
        (From::Date, To::Int32 | To::Int64 | To::Float64) => Exactness::Exact,
        (From::Date, To::Float32) => Exactness::UpTo(FLOAT32_WHOLE),
        (From::Bool, To::Bool | To::Int32 | To::Int64 | To::Float32 | To::Float64) => Exactness::Exact,
        (From::String, To::String) => Exactness::Exact,
        (From::Bytes, _) => Exactness::No("bytes cannot be fed to a model"),
        _ => Exactness::No(CAST),
    }
}

/// The candidate that `name` was probably meant to be: the same after a `view__` prefix, or a few letters away.
fn closest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let tail = |text: &str| text.rsplit("__").next().unwrap_or_default().to_ascii_lowercase();
    let distance = |candidate: &str| {
        let whole = strsim::damerau_levenshtein(&name.to_ascii_lowercase(), &candidate.to_ascii_lowercase());
        if tail(name) == tail(candidate) { whole.min(1) } else { whole }
    };
    let nearest = candidates.map(|candidate| (distance(candidate), candidate)).min()?;
    let allowed = name.chars().count().div_ceil(4).clamp(1, 4);
    (nearest.0 <= allowed).then(|| nearest.1.to_owned())
}

#[cfg(test)]
mod tests;
