//! What a run gave: owned tensors by name, read row by row.

use crate::signature::{Classifier, Signature};

/// The outputs of one batch, in the model's order; every tensor's first dimension is the batch's row.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    signature: Signature,
    tensors: Vec<OutputTensor>,
    rows: usize,
}

/// One output: `rows` times [`Self::row_shape`] values.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputTensor {
    row_shape: Vec<usize>,
    values: OutputValues,
}

/// The values of an output, row after row.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputValues {
    /// float32
    Float32(Vec<f32>),
    /// float64
    Float64(Vec<f64>),
    /// int32
    Int32(Vec<i32>),
    /// int64
    Int64(Vec<i64>),
    /// bool
    Bool(Vec<bool>),
    /// string
    String(Vec<String>),
}

/// One row's values of one output, in the order of the dimensions after the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OutputRow<'a> {
    /// float32
    Float32(&'a [f32]),
    /// float64
    Float64(&'a [f64]),
    /// int32
    Int32(&'a [i32]),
    /// int64
    Int64(&'a [i64]),
    /// bool
    Bool(&'a [bool]),
    /// string
    String(&'a [String]),
}

/// One row of a classifier's answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Classified<'a> {
    /// The label.
    pub label: OutputRow<'a>,
    /// One probability a class in the model's class order, or a single one.
    pub probabilities: OutputRow<'a>,
}

impl OutputTensor {
    pub(crate) const fn new(row_shape: Vec<usize>, values: OutputValues) -> Self {
        Self { row_shape, values }
    }

    /// The dimensions after the first; empty for one value a row.
    pub fn row_shape(&self) -> &[usize] {
        &self.row_shape
    }

    /// All values.
    pub const fn values(&self) -> &OutputValues {
        &self.values
    }

    /// Values a row.
    pub fn width(&self) -> usize {
        self.row_shape.iter().product()
    }

    /// The values of row `row`; `None` beyond the last row.
    /// # Cost
    /// No allocation, no copy.
    pub fn row(&self, row: usize) -> Option<OutputRow<'_>> {
        let width = self.width();
        let start = row.checked_mul(width)?;
        let range = start..start.checked_add(width)?;
        Some(match &self.values {
            OutputValues::Float32(values) => OutputRow::Float32(values.get(range)?),
            OutputValues::Float64(values) => OutputRow::Float64(values.get(range)?),
            OutputValues::Int32(values) => OutputRow::Int32(values.get(range)?),
            OutputValues::Int64(values) => OutputRow::Int64(values.get(range)?),
            OutputValues::Bool(values) => OutputRow::Bool(values.get(range)?),
            OutputValues::String(values) => OutputRow::String(values.get(range)?),
        })
    }
}

impl OutputValues {
    /// Appends the values of a later part of the same batch; `false` if they are of another type.
    fn append(&mut self, later: Self) -> bool {
        match (self, later) {
            (Self::Float32(values), Self::Float32(mut later)) => values.append(&mut later),
            (Self::Float64(values), Self::Float64(mut later)) => values.append(&mut later),
            (Self::Int32(values), Self::Int32(mut later)) => values.append(&mut later),
            (Self::Int64(values), Self::Int64(mut later)) => values.append(&mut later),
            (Self::Bool(values), Self::Bool(mut later)) => values.append(&mut later),
            (Self::String(values), Self::String(mut later)) => values.append(&mut later),
            _ => return false,
        }
        true
    }

    fn truncate(&mut self, length: usize) {
        match self {
            Self::Float32(values) => values.truncate(length),
            Self::Float64(values) => values.truncate(length),
            Self::Int32(values) => values.truncate(length),
            Self::Int64(values) => values.truncate(length),
            Self::Bool(values) => values.truncate(length),
            Self::String(values) => values.truncate(length),
        }
    }
}

impl Outputs {
    /// `tensors` stand in the order of the signature's outputs and have `rows` rows each.
    pub(crate) const fn new(signature: Signature, tensors: Vec<OutputTensor>, rows: usize) -> Self {
        Self { signature, tensors, rows }
    }

    /// Rows that were answered.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// How many outputs.
    pub const fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether the model has no output at all.
    pub const fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The output number `index`.
    pub fn output(&self, index: usize) -> Option<&OutputTensor> {
        self.tensors.get(index)
    }

    /// The output named `name`. Look the index up once, when the model is loaded, where it matters.
    pub fn named(&self, name: &str) -> Option<&OutputTensor> {
        self.output(self.signature.outputs.iter().position(|spec| spec.name == name)?)
    }

    /// Every output with its name, in the model's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OutputTensor)> {
        self.signature.outputs.iter().map(|spec| spec.name.as_str()).zip(&self.tensors)
    }

    /// Row `row` as a classifier's answer; `which` comes from [`Signature::classifier`].
    pub fn classified(&self, which: Classifier, row: usize) -> Option<Classified<'_>> {
        Some(Classified {
            label: self.output(which.label)?.row(row)?,
            probabilities: self.output(which.probability)?.row(row)?,
        })
    }

    /// Appends a later part of the same batch; `false` if an output changed its type or its row's shape.
    pub(crate) fn append(&mut self, later: Self) -> bool {
        let mut fits = self.tensors.len() == later.tensors.len();
        for (tensor, later) in self.tensors.iter_mut().zip(later.tensors) {
            fits &= tensor.row_shape == later.row_shape && tensor.values.append(later.values);
        }
        self.rows = self.rows.saturating_add(later.rows);
        fits
    }

    /// Drops the answers of padding rows.
    pub(crate) fn truncate(&mut self, rows: usize) {
        for tensor in &mut self.tensors {
            let length = tensor.width().saturating_mul(rows);
            tensor.values.truncate(length);
        }
        self.rows = self.rows.min(rows);
    }
}
