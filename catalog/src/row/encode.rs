//! From values to canonical row bytes.

use bytes::{BufMut, BytesMut};

use super::{Check, RowHeader, RowLayout, Stamp};
use crate::{FeatureType, Micros, ScalarType};

/// The longest row in bytes; longer is a rejected row.
pub const MAX_ROW_BYTES: usize = 1024 * 1024;

/// The one float32 NaN that is stored.
pub const CANONICAL_NAN_32: u32 = 0x7fc0_0000;
/// The one float64 NaN that is stored.
pub const CANONICAL_NAN_64: u64 = 0x7ff8_0000_0000_0000;

/// One feature value. Strings and bytes are borrowed; only lists own memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A bool.
    Bool(bool),
    /// An int32.
    Int32(i32),
    /// An int64.
    Int64(i64),
    /// A float32.
    Float32(f32),
    /// A float64.
    Float64(f64),
    /// An instant.
    Timestamp(Micros),
    /// Days since 1970.
    Date(i32),
    /// A text.
    String(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Scalars of one type, or nulls.
    List(Vec<Value<'a>>),
}

/// A row that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Another number of values than the layout has features.
    #[error("{given} values for a row of {expected} features")]
    Count {
        /// How many came.
        given: usize,
        /// How many belong.
        expected: usize,
    },
    /// A value of another type than its feature.
    #[error("feature number {index} is {expected}, the value is not")]
    Type {
        /// Which feature, from 0.
        index: usize,
        /// Its type.
        expected: FeatureType,
    },
    /// Over [`MAX_ROW_BYTES`].
    #[error("the row has {size_bytes} bytes, the limit is {MAX_ROW_BYTES}; shorten its strings and lists")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
    },
}

impl RowLayout {
    /// Appends the canonical bytes of a row to `out`; on an error `out` is as before.
    /// # Errors
    /// A wrong number or type of values, or a row over [`MAX_ROW_BYTES`].
    /// # Cost
    /// One pass over the fixed part and one over the variable values; no allocation while `out` has room.
    pub fn encode(
        &self,
        stamp: Stamp,
        check: Check,
        values: &[Value<'_>],
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        if values.len() != self.len() {
            return Err(EncodeError::Count { given: values.len(), expected: self.len() });
        }
        let start = out.len();
        RowHeader { stamp, tombstone: false, check }.put(out);
        put_null_bitmap(values, out);
        let written = self.put_values(values, out);
        let size_bytes = out.len().saturating_sub(start);
        if let Err(error) = written {
            out.truncate(start);
            return Err(error);
        }
        if size_bytes > MAX_ROW_BYTES {
            out.truncate(start);
            return Err(EncodeError::TooLarge { size_bytes });
        }
        Ok(())
    }

    /// Appends the bytes of a tombstone.
    pub fn encode_tombstone(stamp: Stamp, check: Check, out: &mut BytesMut) {
        RowHeader { stamp, tombstone: true, check }.put(out);
    }

    fn put_values(&self, values: &[Value<'_>], out: &mut BytesMut) -> Result<(), EncodeError> {
        let mut end = 0_usize;
        for (index, (slot, value)) in self.slots().iter().zip(values).enumerate() {
            put_slot(slot.feature_type, value, &mut end, out)
                .ok_or(EncodeError::Type { index, expected: slot.feature_type })?;
            if end > MAX_ROW_BYTES {
                return Err(EncodeError::TooLarge { size_bytes: end });
            }
        }
        for (slot, value) in self.slots().iter().zip(values) {
            put_variable(slot.feature_type, value, out);
        }
        Ok(())
    }
}

fn put_null_bitmap(values: &[Value<'_>], out: &mut BytesMut) {
    for eight in values.chunks(8) {
        let bits = eight
            .iter()
            .enumerate()
            .fold(0_u8, |bits, (bit, value)| bits | (u8::from(matches!(value, Value::Null)) << bit));
        out.put_u8(bits);
    }
}

/// Writes the fixed slot; `end` is the running end of the variable part. `None` when the value is of another type.
fn put_slot(feature_type: FeatureType, value: &Value<'_>, end: &mut usize, out: &mut BytesMut) -> Option<()> {
    match (feature_type, value) {
        (_, Value::Null) if feature_type.is_variable() => put_end(*end, out),
        (_, Value::Null) => out.put_bytes(0, feature_type.slot_bytes()),
        (FeatureType::Scalar(scalar), _) => put_scalar(scalar, value, end, out)?,
        (FeatureType::List(scalar), Value::List(elements)) => {
            *end = end.saturating_add(list_bytes(scalar, elements)?);
            put_end(*end, out);
        }
        (FeatureType::List(_), _) => return None,
    }
    Some(())
}

fn put_scalar(scalar: ScalarType, value: &Value<'_>, end: &mut usize, out: &mut BytesMut) -> Option<()> {
    match (scalar, value) {
        (ScalarType::Bool, Value::Bool(value)) => out.put_u8(u8::from(*value)),
        (ScalarType::Int32, Value::Int32(value)) | (ScalarType::Date, Value::Date(value)) => out.put_i32_le(*value),
        (ScalarType::Int64, Value::Int64(value)) => out.put_i64_le(*value),
        (ScalarType::Timestamp, Value::Timestamp(value)) => out.put_i64_le(value.0),
        (ScalarType::Float32, Value::Float32(value)) => {
            out.put_u32_le(if value.is_nan() { CANONICAL_NAN_32 } else { value.to_bits() });
        }
        (ScalarType::Float64, Value::Float64(value)) => {
            out.put_u64_le(if value.is_nan() { CANONICAL_NAN_64 } else { value.to_bits() });
        }
        (ScalarType::String, Value::String(text)) => {
            *end = end.saturating_add(text.len());
            put_end(*end, out);
        }
        (ScalarType::Bytes, Value::Bytes(bytes)) => {
            *end = end.saturating_add(bytes.len());
            put_end(*end, out);
        }
        _ => return None,
    }
    Some(())
}

/// Offsets past `u32` cannot be kept: the caller refuses the row by its size right after.
fn put_end(end: usize, out: &mut BytesMut) {
    out.put_u32_le(u32::try_from(end).unwrap_or(u32::MAX));
}

fn put_variable(feature_type: FeatureType, value: &Value<'_>, out: &mut BytesMut) {
    match (feature_type, value) {
        (_, Value::String(text)) => out.put_slice(text.as_bytes()),
        (_, Value::Bytes(bytes)) => out.put_slice(bytes),
        (FeatureType::List(scalar), Value::List(elements)) => put_list(scalar, elements, out),
        _ => {}
    }
}

/// A list's size in the variable part; `None` when an element is of another type.
fn list_bytes(scalar: ScalarType, elements: &[Value<'_>]) -> Option<usize> {
    let mut size = 4_usize.saturating_add(elements.len().div_ceil(8));
    for element in elements {
        let (slot, variable) = match (scalar, element) {
            (_, Value::Null) => (FeatureType::Scalar(scalar).slot_bytes(), 0),
            (ScalarType::String, Value::String(text)) => (4, text.len()),
            (ScalarType::Bytes, Value::Bytes(bytes)) => (4, bytes.len()),
            (ScalarType::Bool, Value::Bool(_)) => (1, 0),
            (ScalarType::Int32, Value::Int32(_))
            | (ScalarType::Date, Value::Date(_))
            | (ScalarType::Float32, Value::Float32(_)) => (4, 0),
            (ScalarType::Int64, Value::Int64(_))
            | (ScalarType::Timestamp, Value::Timestamp(_))
            | (ScalarType::Float64, Value::Float64(_)) => (8, 0),
            _ => return None,
        };
        size = size.saturating_add(slot).saturating_add(variable);
    }
    Some(size)
}

fn put_list(scalar: ScalarType, elements: &[Value<'_>], out: &mut BytesMut) {
    out.put_u32_le(u32::try_from(elements.len()).unwrap_or(u32::MAX));
    put_null_bitmap(elements, out);
    let mut end = 0_usize;
    for element in elements {
        put_slot(FeatureType::Scalar(scalar), element, &mut end, out)
            .expect("list_bytes refused elements of another type");
    }
    for element in elements {
        put_variable(FeatureType::Scalar(scalar), element, out);
    }
}
