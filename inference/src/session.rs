//! One run of a part of a batch: the only place where tensors meet ONNX Runtime.
//!
//! [`Engine`] is what a replica's thread needs of it; tests put fakes in its place to hold, fail and panic at will.

use std::{borrow::Cow, ops::Range};

use ort::{
    ErrorCode,
    session::{Session, SessionInputValue},
    value::{DynValue, PrimitiveTensorElementType, Tensor, TensorElementType, TensorRef, ValueType},
};

use crate::{
    batch_input::{BatchInput, Buffer, TensorLayout},
    model_file::ModelFile,
    outputs::{OutputTensor, OutputValues, Outputs},
    signature::Signature,
};

/// What runs batches. One thread owns it.
pub(crate) trait Engine: Send {
    /// Runs the rows `rows` of `input`; the answer has one row for each.
    fn run(&mut self, input: &BatchInput, rows: Range<usize>) -> Result<Outputs, RunError>;
}

/// Makes the engine of a replica, at start and after a run that lost it.
pub(crate) trait EngineSource: Send + Sync {
    /// A new engine, cold.
    fn engine(&self) -> Result<Box<dyn Engine>, String>;
}

/// Why a run gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunError {
    /// ONNX Runtime takes one of the batch's values, shapes or types for invalid; its words. The engine is as before.
    Refused(String),
    /// ONNX Runtime's words; in which state it left the engine is not known.
    Failed(String),
    /// An output whose first dimension is not the row.
    OutputShape { output: String, shape: Vec<i64> },
}

impl From<ort::Error> for RunError {
    fn from(error: ort::Error) -> Self {
        let reason = error.message().to_owned();
        match error.code() {
            ErrorCode::InvalidArgument => Self::Refused(reason),
            _ => Self::Failed(reason),
        }
    }
}

impl EngineSource for ModelFile {
    fn engine(&self) -> Result<Box<dyn Engine>, String> {
        Ok(Box::new(OrtEngine { session: self.session()?, signature: self.signature().clone() }))
    }
}

struct OrtEngine {
    session: Session,
    signature: Signature,
}

impl Engine for OrtEngine {
    fn run(&mut self, input: &BatchInput, rows: Range<usize>) -> Result<Outputs, RunError> {
        let count = rows.len();
        let inputs = input
            .tensors()
            .map(|(layout, buffer)| Ok((Cow::Borrowed(layout.name.as_str()), view(layout, buffer, &rows)?)))
            .collect::<Result<Vec<(Cow<'_, str>, SessionInputValue<'_>)>, RunError>>()?;
        let answer = self.session.run(inputs)?;
        let tensors = self
            .signature
            .outputs
            .iter()
            .map(|spec| {
                let value = answer.get(&spec.name).ok_or_else(|| no_output(&spec.name))?;
                copy_out(&spec.name, value, count)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Outputs::new(self.signature.clone(), tensors, count))
    }
}

fn no_output(name: &str) -> RunError {
    RunError::Failed(format!("it gave no output {name:?}"))
}

/// The rows as a tensor: numbers borrowed from the batch, strings copied, for ONNX Runtime keeps its own.
fn view<'a>(layout: &TensorLayout, buffer: &'a Buffer, rows: &Range<usize>) -> Result<SessionInputValue<'a>, RunError> {
    Ok(match buffer {
        Buffer::Float32(values) => borrowed(layout, values, rows)?,
        Buffer::Float64(values) => borrowed(layout, values, rows)?,
        Buffer::Int32(values) => borrowed(layout, values, rows)?,
        Buffer::Int64(values) => borrowed(layout, values, rows)?,
        Buffer::Bool(values) => borrowed(layout, values, rows)?,
        Buffer::String(values) => {
            let part = part(layout, values, rows)?;
            match layout.has_columns {
                true => Tensor::from_string_array(([rows.len(), layout.width], part))?.into(),
                false => Tensor::from_string_array(([rows.len()], part))?.into(),
            }
        }
    })
}

fn borrowed<'a, T>(
    layout: &TensorLayout,
    values: &'a [T],
    rows: &Range<usize>,
) -> Result<SessionInputValue<'a>, RunError>
where
    T: PrimitiveTensorElementType + Clone + std::fmt::Debug + 'static,
{
    let part = part(layout, values, rows)?;
    Ok(match layout.has_columns {
        true => TensorRef::from_array_view(([rows.len(), layout.width], part))?.into(),
        false => TensorRef::from_array_view(([rows.len()], part))?.into(),
    })
}

fn part<'a, T>(layout: &TensorLayout, values: &'a [T], rows: &Range<usize>) -> Result<&'a [T], RunError> {
    let range = rows.start.saturating_mul(layout.width)..rows.end.saturating_mul(layout.width);
    values.get(range).ok_or_else(|| RunError::Failed(format!("the batch is shorter than {} rows", rows.end)))
}

fn copy_out(name: &str, value: &DynValue, rows: usize) -> Result<OutputTensor, RunError> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(RunError::Failed(format!("output {name:?} came as {:?}", value.dtype())));
    };
    if shape.first().is_none_or(|first| usize::try_from(*first) != Ok(rows)) {
        return Err(RunError::OutputShape { output: name.to_owned(), shape: shape.to_vec() });
    }
    let row_shape = shape.iter().skip(1).map(|length| usize::try_from(*length).unwrap_or(0)).collect();
    let values = match ty {
        TensorElementType::Float32 => OutputValues::Float32(value.try_extract_tensor::<f32>()?.1.to_vec()),
        TensorElementType::Float64 => OutputValues::Float64(value.try_extract_tensor::<f64>()?.1.to_vec()),
        TensorElementType::Int32 => OutputValues::Int32(value.try_extract_tensor::<i32>()?.1.to_vec()),
        TensorElementType::Int64 => OutputValues::Int64(value.try_extract_tensor::<i64>()?.1.to_vec()),
        TensorElementType::Bool => OutputValues::Bool(value.try_extract_tensor::<bool>()?.1.to_vec()),
        TensorElementType::String => OutputValues::String(value.try_extract_strings()?.1),
        other => return Err(RunError::Failed(format!("output {name:?} came as {other:?}"))),
    };
    Ok(OutputTensor::new(row_shape, values))
}
