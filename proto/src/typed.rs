//! JSON values under a type: the reading and writing side of the catalog's type table.
//!
//! | type | JSON | notes |
//! |---|---|---|
//! | bool | `true`, `false` | |
//! | int32, int64 | number | exact over the whole range; `3.0` and `3e0` are 3, `3.5` is refused |
//! | float32, float64 | number | the nearest value of that type, read from the decimal itself; out of range is refused |
//! | timestamp | RFC 3339 string | on the Feast face integer seconds, written so and read as either |
//! | date | `"YYYY-MM-DD"` | |
//! | string | string | never normalised |
//! | bytes | base64 string | |
//! | list | list | elements may be null |
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tidegate_catalog::{FeatureType, KeyValue, Micros, ScalarType, Value};

use crate::json::{JsonValue, Writer};

/// How instants look on a face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// RFC 3339 strings.
    Rfc3339,
    /// Integer seconds since 1970, rounded down when written; RFC 3339 strings are read too.
    Seconds,
}

/// A value that was read under a type.
#[derive(Clone, Debug, PartialEq)]
pub enum Typed<'v> {
    /// null
    Null,
    /// bool
    Bool(bool),
    /// int32
    Int32(i32),
    /// int64
    Int64(i64),
    /// float32
    Float32(f32),
    /// float64
    Float64(f64),
    /// timestamp
    Timestamp(Micros),
    /// date
    Date(i32),
    /// string
    String(&'v str),
    /// bytes, decoded
    Bytes(Vec<u8>),
    /// list
    List(Vec<Typed<'v>>),
}

/// A value that is not of its column's type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct Mismatch {
    /// The type, with its JSON form where the name alone does not say it.
    pub expected: String,
    /// What the caller wrote, cut.
    pub found: String,
}

impl<'v> Typed<'v> {
    /// Reads `value` as a `wanted`; null is null under every type.
    /// # Errors
    /// [`Mismatch`] says what was expected and what was found.
    /// # Cost
    /// No allocation but for bytes and lists.
    pub fn read(value: &'v JsonValue<'_>, wanted: FeatureType, form: TimeForm) -> Result<Self, Mismatch> {
        let read = match (wanted, value) {
            (_, JsonValue::Null) => Some(Self::Null),
            (FeatureType::Scalar(scalar), _) => read_scalar(value, scalar, form),
            (FeatureType::List(scalar), JsonValue::List(elements)) => {
                let element = FeatureType::Scalar(scalar);
                let read = elements.iter().map(|value| Self::read(value, element, form));
                return Ok(Self::List(read.collect::<Result<_, _>>()?));
            }
            (FeatureType::List(_), _) => None,
        };
        read.ok_or_else(|| Mismatch { expected: described(wanted, form), found: value.shown() })
    }

    /// The value as part of an entity key; `None` for null, floats and lists.
    pub fn as_key(&self) -> Option<KeyValue<'_>> {
        Some(match self {
            Self::Bool(value) => KeyValue::Bool(*value),
            Self::Int32(value) => KeyValue::Int64(i64::from(*value)),
            Self::Int64(value) => KeyValue::Int64(*value),
            Self::Timestamp(value) => KeyValue::Timestamp(*value),
            Self::Date(value) => KeyValue::Date(*value),
            Self::String(value) => KeyValue::String(value),
            Self::Bytes(value) => KeyValue::Bytes(value),
            Self::Null | Self::Float32(_) | Self::Float64(_) | Self::List(_) => return None,
        })
    }

    /// The value as the catalog knows it.
    pub fn as_value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int32(value) => Value::Int32(*value),
            Self::Int64(value) => Value::Int64(*value),
            Self::Float32(value) => Value::Float32(*value),
            Self::Float64(value) => Value::Float64(*value),
            Self::Timestamp(value) => Value::Timestamp(*value),
            Self::Date(value) => Value::Date(*value),
            Self::String(value) => Value::String(value),
            Self::Bytes(value) => Value::Bytes(value),
            Self::List(elements) => Value::List(elements.iter().map(Self::as_value).collect()),
        }
    }
}

/// Writes a value in its JSON form; NaN and the infinities are null.
/// # Cost
/// No allocation while the buffer has room.
pub fn write(writer: &mut Writer<'_>, value: &Value<'_>, form: TimeForm) {
    match value {
        Value::Null => writer.null(),
        Value::Bool(value) => writer.boolean(*value),
        Value::Int32(value) => writer.int(i64::from(*value)),
        Value::Int64(value) => writer.int(*value),
        Value::Float32(value) => writer.float32(*value),
        Value::Float64(value) => writer.float64(*value),
        Value::Timestamp(value) => match form {
            TimeForm::Rfc3339 => writer.time(*value),
            TimeForm::Seconds => writer.int(value.0.div_euclid(1_000_000)),
        },
        Value::Date(value) => writer.date(*value),
        Value::String(value) => writer.string(value),
        Value::Bytes(value) => writer.base64(value),
        Value::List(elements) => {
            writer.begin_list();
            for element in elements {
                write(writer, element, form);
            }
            writer.end_list();
        }
    }
}

fn read_scalar<'v>(value: &'v JsonValue<'_>, scalar: ScalarType, form: TimeForm) -> Option<Typed<'v>> {
    match (scalar, value) {
        (ScalarType::Bool, JsonValue::Bool(value)) => Some(Typed::Bool(*value)),
        (ScalarType::Int32, JsonValue::Number(text)) => {
            integer(text).and_then(|value| i32::try_from(value).ok()).map(Typed::Int32)
        }
        (ScalarType::Int64, JsonValue::Number(text)) => integer(text).map(Typed::Int64),
        (ScalarType::Float32, JsonValue::Number(text)) => {
            text.parse::<f32>().ok().filter(|value| value.is_finite()).map(Typed::Float32)
        }
        (ScalarType::Float64, JsonValue::Number(text)) => {
            text.parse::<f64>().ok().filter(|value| value.is_finite()).map(Typed::Float64)
        }
        (ScalarType::Timestamp, JsonValue::String(text)) => Micros::parse(text).ok().map(Typed::Timestamp),
        (ScalarType::Timestamp, JsonValue::Number(text)) if form == TimeForm::Seconds => {
            integer(text).and_then(Micros::from_seconds).map(Typed::Timestamp)
        }
        (ScalarType::Date, JsonValue::String(text)) if text.len() == 10 => {
            let days = Micros::parse(text).ok()?.0.div_euclid(86_400_000_000);
            i32::try_from(days).ok().map(Typed::Date)
        }
        (ScalarType::String, JsonValue::String(text)) => Some(Typed::String(text)),
        (ScalarType::Bytes, JsonValue::String(text)) => STANDARD.decode(text.as_bytes()).ok().map(Typed::Bytes),
        _ => None,
    }
}

/// A JSON number as an integer: as written, or a fraction or exponent that says a whole number which a double holds
/// exactly. A larger one written with a point has gone through a double already and cannot be trusted.
fn integer(text: &str) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if let Ok(value) = text.parse::<i64>() {
        return Some(value);
    }
    if !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return None;
    }
    let value = text.parse::<f64>().ok()?;
    (value.fract() == 0.0 && value.abs() < EXACT).then_some(value as i64)
}

fn described(wanted: FeatureType, form: TimeForm) -> String {
    let hint = match (wanted, form) {
        (FeatureType::List(_), _) => " (a list)",
        (FeatureType::Scalar(ScalarType::Timestamp), TimeForm::Rfc3339) => " (like \"2013-11-15T12:00:00Z\")",
        (FeatureType::Scalar(ScalarType::Timestamp), TimeForm::Seconds) => {
            " (seconds since 1970, or like \"2013-11-15T12:00:00Z\")"
        }
        (FeatureType::Scalar(ScalarType::Date), _) => " (like \"2013-11-15\")",
        (FeatureType::Scalar(ScalarType::Bytes), _) => " (a base64 string)",
        _ => "",
    };
    format!("{wanted}{hint}")
}

#[cfg(test)]
mod tests;
