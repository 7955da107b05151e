//! From a value to an element of a model's input: the number conversions of the gather plan, the same for every reader.
//!
//! bool is 0 or 1, a timestamp its microseconds, a date its days. Integers become floats by rounding to the nearest
//! (a large int64 loses its last digits, which validation warns of). Nothing becomes an integer but integers, and
//! nothing becomes a string but strings.

use tidegate_catalog::{FeatureType, ScalarType, Value};

/// What a model's input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Float32,
    Float64,
    Int64,
    Int32,
    Bool,
    String,
}

impl Element {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Int64 => "int64",
            Self::Int32 => "int32",
            Self::Bool => "bool",
            Self::String => "string",
        }
    }

    /// Whether values of `feature_type` can become this.
    pub(crate) const fn accepts(self, feature_type: FeatureType) -> bool {
        let FeatureType::Scalar(scalar) = feature_type else { return false };
        match self {
            Self::Float32 | Self::Float64 => !matches!(scalar, ScalarType::String | ScalarType::Bytes),
            Self::Int64 => matches!(
                scalar,
                ScalarType::Bool | ScalarType::Int32 | ScalarType::Int64 | ScalarType::Timestamp | ScalarType::Date
            ),
            Self::Int32 => matches!(scalar, ScalarType::Bool | ScalarType::Int32 | ScalarType::Date),
            Self::Bool => matches!(scalar, ScalarType::Bool),
            Self::String => matches!(scalar, ScalarType::String),
        }
    }
}

/// `None` for null and for what [`Element::accepts`] refuses.
pub(crate) fn float32(value: &Value<'_>) -> Option<f32> {
    match value {
        Value::Float32(value) => Some(*value),
        // one rounding, not two: an int64 must not go through a double
        Value::Int64(value) => Some(*value as f32),
        Value::Timestamp(value) => Some(value.0 as f32),
        other => float64(other).map(|value| value as f32),
    }
}

/// `None` for null and for what [`Element::accepts`] refuses.
pub(crate) fn float64(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        Value::Int32(value) | Value::Date(value) => Some(f64::from(*value)),
        Value::Int64(value) => Some(*value as f64),
        Value::Timestamp(value) => Some(value.0 as f64),
        Value::Float32(value) => Some(f64::from(*value)),
        Value::Float64(value) => Some(*value),
        Value::Null | Value::String(_) | Value::Bytes(_) | Value::List(_) => None,
    }
}

/// `None` for null and for what [`Element::accepts`] refuses.
pub(crate) fn int64(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Bool(value) => Some(i64::from(*value)),
        Value::Int32(value) | Value::Date(value) => Some(i64::from(*value)),
        Value::Int64(value) => Some(*value),
        Value::Timestamp(value) => Some(value.0),
        Value::Null
        | Value::Float32(_)
        | Value::Float64(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::List(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_catalog::Micros;

    use super::*;

    #[test]
    fn numbers_become_floats_by_one_rounding() {
        // through a double this would round twice and end one step lower
        let big = 9_007_199_791_611_905_i64;
        assert_eq!(float32(&Value::Int64(big)), Some(big as f32));
        assert_eq!(float32(&Value::Bool(true)), Some(1.0));
        assert_eq!(float32(&Value::Float64(0.1)), Some(0.1));
        assert_eq!(float64(&Value::Float32(0.5)), Some(0.5));
        assert_eq!(float32(&Value::Null), None);
    }

    #[test]
    fn a_timestamp_reaches_a_model_as_its_microseconds() {
        assert_eq!(int64(&Value::Timestamp(Micros(1_500_000))), Some(1_500_000));
        assert_eq!(int64(&Value::Float32(1.0)), None);
    }
}
