//! The input tensors of one batch: typed buffers that a caller writes cell by cell, once, where the model reads them.
//!
//! ```text
//!  packed:   one tensor [rows, n]            by name:  one tensor a column, [rows] or [rows, 1]
//!            row 0: c0 c1 c2                           c0: r0 r1 ..   c1: r0 r1 ..   c2: r0 r1 ..
//!            row 1: c0 c1 c2
//! ```
//!
//! A value that has no exact place is converted as `fit` announced when the model was loaded: integers and bools into
//! floats, float64 into float32. A null is the quiet NaN in a float tensor and the empty string in a string tensor; the
//! other tensors have no place for it, and the cell is refused.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::{ops::Range, sync::Arc};

use tidegate_catalog::Value;

use crate::signature::ElementType;

/// The tensors that a batch has, in the model's input order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputLayout {
    pub(crate) tensors: Vec<TensorLayout>,
}

/// One tensor of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TensorLayout {
    pub(crate) name: String,
    pub(crate) element: ElementType,
    /// Values a row.
    pub(crate) width: usize,
    /// Whether the tensor is `[rows, width]`; else it is `[rows]`.
    pub(crate) has_columns: bool,
}

/// Where one column's value goes. Made by `fit`, valid for batches of the same plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub(crate) tensor: usize,
    pub(crate) column: usize,
}

/// A value that a cell cannot take; the row it belongs to cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CellError {
    /// A null for a tensor that has no place for one.
    #[error(
        "it is missing, and the model's input {input:?} is {element}, which has no null; give the feature a default"
    )]
    Null {
        /// The model's input.
        input: String,
        /// Its elements.
        element: ElementType,
    },
    /// A string with a NUL character, which ONNX Runtime cannot take.
    #[error("it has a NUL character, which the model's input {input:?} cannot take")]
    NulCharacter {
        /// The model's input.
        input: String,
    },
    /// A value of a type that the plan did not foresee.
    #[error("its type does not fit the model's input {input:?} of {element}")]
    Type {
        /// The model's input.
        input: String,
        /// Its elements.
        element: ElementType,
    },
    /// A row or slot that this batch does not have.
    #[error("the batch has no such cell")]
    Outside,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Buffer {
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Bool(Vec<bool>),
    String(Vec<String>),
}

/// One batch's input. Its memory is kept by [`Self::reset`] and may be used for the next batch of the same plan.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchInput {
    layout: Arc<InputLayout>,
    buffers: Vec<Buffer>,
    rows: usize,
}

impl Buffer {
    const fn empty(element: ElementType) -> Self {
        match element {
            ElementType::Float32 => Self::Float32(Vec::new()),
            ElementType::Float64 => Self::Float64(Vec::new()),
            ElementType::Int32 => Self::Int32(Vec::new()),
            ElementType::Int64 => Self::Int64(Vec::new()),
            ElementType::Bool => Self::Bool(Vec::new()),
            ElementType::String => Self::String(Vec::new()),
        }
    }

    /// Zeros, false and empty strings in every cell; strings keep their memory.
    fn clear_to(&mut self, length: usize) {
        match self {
            Self::Float32(values) => refill(values, length, 0.0),
            Self::Float64(values) => refill(values, length, 0.0),
            Self::Int32(values) => refill(values, length, 0),
            Self::Int64(values) => refill(values, length, 0),
            Self::Bool(values) => refill(values, length, false),
            Self::String(values) => {
                values.iter_mut().for_each(String::clear);
                values.resize_with(length, String::new);
            }
        }
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

    /// Repeats the last `width` values until there are `length`.
    fn pad(&mut self, width: usize, length: usize) {
        match self {
            Self::Float32(values) => repeat_last(values, width, length),
            Self::Float64(values) => repeat_last(values, width, length),
            Self::Int32(values) => repeat_last(values, width, length),
            Self::Int64(values) => repeat_last(values, width, length),
            Self::Bool(values) => repeat_last(values, width, length),
            Self::String(values) => repeat_last(values, width, length),
        }
    }

    fn feed(&self, range: Range<usize>, sink: &mut impl FnMut(&[u8])) {
        match self {
            Self::Float32(values) => cells(values, range).for_each(|value| sink(&value.to_le_bytes())),
            Self::Float64(values) => cells(values, range).for_each(|value| sink(&value.to_le_bytes())),
            Self::Int32(values) => cells(values, range).for_each(|value| sink(&value.to_le_bytes())),
            Self::Int64(values) => cells(values, range).for_each(|value| sink(&value.to_le_bytes())),
            Self::Bool(values) => cells(values, range).for_each(|value| sink(&[u8::from(*value)])),
            Self::String(values) => cells(values, range).for_each(|value| {
                sink(&(value.len() as u64).to_le_bytes());
                sink(value.as_bytes());
            }),
        }
    }
}

fn refill<T: Clone>(values: &mut Vec<T>, length: usize, zero: T) {
    values.clear();
    values.resize(length, zero);
}

fn repeat_last<T: Clone>(values: &mut Vec<T>, width: usize, length: usize) {
    while values.len() < length && values.len() >= width && width > 0 {
        values.extend_from_within(values.len().saturating_sub(width)..);
    }
}

fn cells<T>(values: &[T], range: Range<usize>) -> impl Iterator<Item = &T> {
    values.get(range).unwrap_or_default().iter()
}

impl BatchInput {
    /// `rows` rows of zeros, false and empty strings.
    pub(crate) fn new(layout: &Arc<InputLayout>, rows: usize) -> Self {
        let buffers = layout.tensors.iter().map(|tensor| Buffer::empty(tensor.element)).collect();
        let mut made = Self { layout: Arc::clone(layout), buffers, rows: 0 };
        made.reset(rows);
        made
    }

    /// Makes it `rows` rows of zeros, false and empty strings again.
    /// # Cost
    /// One fill of the memory; allocates only to grow beyond the largest batch so far.
    pub fn reset(&mut self, rows: usize) {
        self.rows = rows;
        for (tensor, buffer) in self.layout.tensors.iter().zip(&mut self.buffers) {
            buffer.clear_to(tensor.width.saturating_mul(rows));
        }
    }

    /// Drops the rows from `rows` on: those that were refused while the batch was written.
    pub fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
        for (tensor, buffer) in self.layout.tensors.iter().zip(&mut self.buffers) {
            buffer.truncate(tensor.width.saturating_mul(rows));
        }
    }

    /// Rows it has.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Writes a float32 value: the one copy that a float feature makes between its stored row and the model.
    /// # Errors
    /// [`CellError::Type`] for a tensor that is not of floats, [`CellError::Outside`].
    /// # Cost
    /// Two bounds checks and one store.
    pub fn put_f32(&mut self, row: usize, slot: Slot, value: f32) -> Result<(), CellError> {
        let index = self.cell_index(row, slot)?;
        match self.buffers.get_mut(slot.tensor) {
            Some(Buffer::Float32(values)) => set(values, index, value),
            Some(Buffer::Float64(values)) => set(values, index, f64::from(value)),
            _ => Err(self.wrong_type(slot)),
        }
    }

    /// Writes any value, converted as the plan announced.
    /// # Errors
    /// Why the cell cannot hold it; its row cannot be run.
    /// # Cost
    /// No allocation, except for a string longer than the one that stood in the cell before.
    pub fn put(&mut self, row: usize, slot: Slot, value: &Value<'_>) -> Result<(), CellError> {
        let index = self.cell_index(row, slot)?;
        let Some(buffer) = self.buffers.get_mut(slot.tensor) else { return Err(CellError::Outside) };
        match write(buffer, index, value) {
            Ok(()) => Ok(()),
            Err(Refusal::Outside) => Err(CellError::Outside),
            Err(Refusal::Null) => Err(self.no_null(slot)),
            Err(Refusal::NulCharacter) => Err(CellError::NulCharacter { input: self.input_name(slot) }),
            Err(Refusal::Type) => Err(self.wrong_type(slot)),
        }
    }

    /// Hands the bytes of row `row` to `sink`, tensor after tensor in the model's input order: numbers as little endian,
    /// bools as 0 or 1, strings with their length before them. Equal rows give equal bytes: hash them to name the input.
    pub fn feed_row(&self, row: usize, mut sink: impl FnMut(&[u8])) {
        if row >= self.rows {
            return;
        }
        for (tensor, buffer) in self.layout.tensors.iter().zip(&self.buffers) {
            let start = row.saturating_mul(tensor.width);
            buffer.feed(start..start.saturating_add(tensor.width), &mut sink);
        }
    }

    /// Repeats the last row until there are `rows`: a repeated row cannot fail where the real one would not.
    pub(crate) fn pad_to(&mut self, rows: usize) {
        for (tensor, buffer) in self.layout.tensors.iter().zip(&mut self.buffers) {
            buffer.pad(tensor.width, tensor.width.saturating_mul(rows));
        }
        self.rows = self.rows.max(rows);
    }

    pub(crate) const fn layout(&self) -> &Arc<InputLayout> {
        &self.layout
    }

    /// Each tensor with its buffer, in the model's input order.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&TensorLayout, &Buffer)> {
        self.layout.tensors.iter().zip(&self.buffers)
    }

    fn cell_index(&self, row: usize, slot: Slot) -> Result<usize, CellError> {
        let tensor = self.layout.tensors.get(slot.tensor).ok_or(CellError::Outside)?;
        if row >= self.rows || slot.column >= tensor.width {
            return Err(CellError::Outside);
        }
        Ok(row.saturating_mul(tensor.width).saturating_add(slot.column))
    }

    fn input_name(&self, slot: Slot) -> String {
        self.layout.tensors.get(slot.tensor).map(|tensor| tensor.name.clone()).unwrap_or_default()
    }

    fn no_null(&self, slot: Slot) -> CellError {
        match self.layout.tensors.get(slot.tensor) {
            Some(tensor) => CellError::Null { input: tensor.name.clone(), element: tensor.element },
            None => CellError::Outside,
        }
    }

    fn wrong_type(&self, slot: Slot) -> CellError {
        match self.layout.tensors.get(slot.tensor) {
            Some(tensor) => CellError::Type { input: tensor.name.clone(), element: tensor.element },
            None => CellError::Outside,
        }
    }
}

enum Refusal {
    Outside,
    Null,
    NulCharacter,
    Type,
}

impl From<CellError> for Refusal {
    fn from(_: CellError) -> Self {
        Self::Outside
    }
}

fn set<T>(values: &mut [T], index: usize, value: T) -> Result<(), CellError> {
    *values.get_mut(index).ok_or(CellError::Outside)? = value;
    Ok(())
}

/// The conversions; `fit` warns about those that may lose something and refuses what is not here.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "announced by `fit` as warnings")]
fn write(buffer: &mut Buffer, index: usize, value: &Value<'_>) -> Result<(), Refusal> {
    match (buffer, value) {
        (Buffer::Float32(values), Value::Float32(value)) => set(values, index, *value)?,
        (Buffer::Float32(values), Value::Float64(value)) => set(values, index, *value as f32)?,
        (Buffer::Float32(values), Value::Int32(value) | Value::Date(value)) => set(values, index, *value as f32)?,
        (Buffer::Float32(values), Value::Int64(value)) => set(values, index, *value as f32)?,
        (Buffer::Float32(values), Value::Timestamp(value)) => set(values, index, value.0 as f32)?,
        (Buffer::Float32(values), Value::Bool(value)) => set(values, index, f32::from(u8::from(*value)))?,
        (Buffer::Float32(values), Value::Null) => set(values, index, f32::NAN)?,
        (Buffer::Float64(values), Value::Float32(value)) => set(values, index, f64::from(*value))?,
        (Buffer::Float64(values), Value::Float64(value)) => set(values, index, *value)?,
        (Buffer::Float64(values), Value::Int32(value) | Value::Date(value)) => set(values, index, f64::from(*value))?,
        (Buffer::Float64(values), Value::Int64(value)) => set(values, index, *value as f64)?,
        (Buffer::Float64(values), Value::Timestamp(value)) => set(values, index, value.0 as f64)?,
        (Buffer::Float64(values), Value::Bool(value)) => set(values, index, f64::from(u8::from(*value)))?,
        (Buffer::Float64(values), Value::Null) => set(values, index, f64::NAN)?,
        (Buffer::Int32(values), Value::Int32(value) | Value::Date(value)) => set(values, index, *value)?,
        (Buffer::Int32(values), Value::Bool(value)) => set(values, index, i32::from(*value))?,
        (Buffer::Int64(values), Value::Int32(value) | Value::Date(value)) => set(values, index, i64::from(*value))?,
        (Buffer::Int64(values), Value::Int64(value)) => set(values, index, *value)?,
        (Buffer::Int64(values), Value::Timestamp(value)) => set(values, index, value.0)?,
        (Buffer::Int64(values), Value::Bool(value)) => set(values, index, i64::from(*value))?,
        (Buffer::Bool(values), Value::Bool(value)) => set(values, index, *value)?,
        (Buffer::String(values), Value::String(value)) => {
            if value.contains('\0') {
                return Err(Refusal::NulCharacter);
            }
            let cell = values.get_mut(index).ok_or(Refusal::Outside)?;
            cell.clear();
            cell.push_str(value);
        }
        (Buffer::String(values), Value::Null) => values.get_mut(index).ok_or(Refusal::Outside)?.clear(),
        (Buffer::Int32(_) | Buffer::Int64(_) | Buffer::Bool(_), Value::Null) => return Err(Refusal::Null),
        _ => return Err(Refusal::Type),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
