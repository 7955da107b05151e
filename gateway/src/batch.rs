//! From rows to the model's tensors: the rows that can be given, packed side by side; the others with their reason.

use std::hash::Hasher as _;

use tidegate_proto::predict::RowFailure;
use xxhash_rust::xxh3::Xxh3;

use crate::{
    convert::Element,
    gather::{Gather, Lacking, RowAt},
    plan::{GatherPlan, gather::NamedInput},
};

/// The rows of one model run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Batch {
    pub(crate) rows: usize,
    pub(crate) tensors: Tensors,
}

/// Their elements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tensors {
    /// One tensor, row after row.
    Packed { width: usize, values: Vec<f32> },
    /// One column per input, in the model's order.
    Named(Vec<Column>),
}

/// One input's elements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Column {
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Int64(Vec<i64>),
    Int32(Vec<i32>),
    Bool(Vec<bool>),
    String(Vec<String>),
}

/// A filled batch and what became of each row.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) batch: Batch,
    /// For each row of the request its place in the batch.
    pub(crate) slots: Vec<Option<u32>>,
    /// The rows that were looked up and cannot be given.
    pub(crate) failures: Vec<RowFailure>,
}

impl Batch {
    /// Gathers the rows that have keys (`looked_up` says which of the request's rows those are, and where).
    /// # Cost
    /// One allocation per tensor and one for the slots, whatever the number of features.
    pub(crate) fn fill(plan: &GatherPlan, gather: &Gather<'_>, looked_up: &[Option<u32>]) -> Filled {
        let mut batch = Self { rows: 0, tensors: Tensors::with_room(plan, looked_up.len()) };
        let mut slots = Vec::with_capacity(looked_up.len());
        let mut failures = Vec::new();
        for (row, slot) in looked_up.iter().enumerate() {
            let Some(slot) = *slot else {
                slots.push(None);
                continue;
            };
            match batch.tensors.push_row(plan, gather, RowAt { row, slot: slot as usize }) {
                Ok(()) => {
                    slots.push(u32::try_from(batch.rows).ok());
                    batch.rows += 1;
                }
                Err(lacking) => {
                    batch.tensors.truncate(batch.rows);
                    slots.push(None);
                    failures.push(RowFailure { row, code: lacking.code(), message: lacking.to_string() });
                }
            }
        }
        Filled { batch, slots, failures }
    }

    /// A hash of each row's elements, in the model's input order: what a record says the model saw.
    pub(crate) fn row_hashes(&self) -> Vec<u64> {
        (0..self.rows).map(|row| self.tensors.row_hash(row)).collect()
    }
}

impl Tensors {
    fn with_room(plan: &GatherPlan, rows: usize) -> Self {
        match plan {
            GatherPlan::Packed(sources) => {
                Self::Packed { width: sources.len(), values: Vec::with_capacity(rows * sources.len()) }
            }
            GatherPlan::ByName(inputs) => {
                Self::Named(inputs.iter().map(|input| Column::with_room(input.element, rows)).collect())
            }
        }
    }

    fn push_row(&mut self, plan: &GatherPlan, gather: &Gather<'_>, at: RowAt) -> Result<(), Lacking> {
        match (self, plan) {
            (Self::Packed { values, .. }, GatherPlan::Packed(sources)) => {
                for &source in sources {
                    values.push(gather.float32(at, source)?);
                }
            }
            (Self::Named(columns), GatherPlan::ByName(inputs)) => {
                for (column, input) in columns.iter_mut().zip(inputs) {
                    column.push(gather, at, *input)?;
                }
            }
            (Self::Packed { .. }, GatherPlan::ByName(_)) | (Self::Named(_), GatherPlan::Packed(_)) => {}
        }
        Ok(())
    }

    /// Drops what a failed row left behind.
    fn truncate(&mut self, rows: usize) {
        match self {
            Self::Packed { width, values } => values.truncate(rows * *width),
            Self::Named(columns) => columns.iter_mut().for_each(|column| column.truncate(rows)),
        }
    }

    fn row_hash(&self, row: usize) -> u64 {
        let mut hash = Xxh3::new();
        match self {
            Self::Packed { width, values } => {
                let values = values.get(row * width..(row + 1) * width).unwrap_or(&[]);
                values.iter().for_each(|value| hash.write_u32(value.to_bits()));
            }
            Self::Named(columns) => columns.iter().for_each(|column| column.hash(row, &mut hash)),
        }
        hash.digest()
    }
}

impl Column {
    fn with_room(element: Element, rows: usize) -> Self {
        match element {
            Element::Float32 => Self::Float32(Vec::with_capacity(rows)),
            Element::Float64 => Self::Float64(Vec::with_capacity(rows)),
            Element::Int64 => Self::Int64(Vec::with_capacity(rows)),
            Element::Int32 => Self::Int32(Vec::with_capacity(rows)),
            Element::Bool => Self::Bool(Vec::with_capacity(rows)),
            Element::String => Self::String(Vec::with_capacity(rows)),
        }
    }

    fn push(&mut self, gather: &Gather<'_>, at: RowAt, input: NamedInput) -> Result<(), Lacking> {
        match self {
            Self::Float32(values) => values.push(gather.float32(at, input.source)?),
            Self::Float64(values) => values.push(gather.float64(at, input.source)?),
            Self::Int64(values) => values.push(gather.int64(at, input.source)?),
            Self::Int32(values) => values.push(gather.int32(at, input.source)?),
            Self::Bool(values) => values.push(gather.boolean(at, input.source)?),
            Self::String(values) => values.push(gather.string(at, input.source)?.into_owned()),
        }
        Ok(())
    }

    fn truncate(&mut self, rows: usize) {
        match self {
            Self::Float32(values) => values.truncate(rows),
            Self::Float64(values) => values.truncate(rows),
            Self::Int64(values) => values.truncate(rows),
            Self::Int32(values) => values.truncate(rows),
            Self::Bool(values) => values.truncate(rows),
            Self::String(values) => values.truncate(rows),
        }
    }

    fn hash(&self, row: usize, hash: &mut Xxh3) {
        match self {
            Self::Float32(values) => hash.write_u32(values.get(row).map_or(0, |value| value.to_bits())),
            Self::Float64(values) => hash.write_u64(values.get(row).map_or(0, |value| value.to_bits())),
            Self::Int64(values) => hash.write_i64(values.get(row).copied().unwrap_or(0)),
            Self::Int32(values) => hash.write_i32(values.get(row).copied().unwrap_or(0)),
            Self::Bool(values) => hash.write_u8(u8::from(values.get(row).copied().unwrap_or(false))),
            Self::String(values) => {
                let text = values.get(row).map_or("", String::as_str);
                hash.write_usize(text.len());
                hash.write(text.as_bytes());
            }
        }
    }
}
