//! A default as written to a value of its feature's type.

use base64::Engine as _;
use serde_json::Value;

use crate::{FeatureType, Micros, ScalarType, definitions::DefaultValue};

/// Reads `value` as a default of `feature_type`.
/// # Errors
/// What a value of that type looks like.
pub(super) fn read(feature_type: FeatureType, value: &Value) -> Result<DefaultValue, String> {
    match (feature_type, value) {
        (FeatureType::Scalar(scalar), _) => {
            read_scalar(scalar, value).ok_or_else(|| format!("{value} is no {feature_type}{}", how(scalar)))
        }
        (FeatureType::List(scalar), Value::Array(items)) => {
            let element = |item: &Value| match item {
                Value::Null => Some(None),
                _ => read_scalar(scalar, item).map(Some),
            };
            let elements = items.iter().map(element).collect::<Option<Vec<_>>>();
            elements.map(DefaultValue::List).ok_or_else(|| format!("{value} is no {feature_type}{}", how(scalar)))
        }
        (FeatureType::List(_), _) => Err(format!("{value} is no {feature_type}; write a list")),
    }
}

fn how(scalar: ScalarType) -> &'static str {
    match scalar {
        ScalarType::Timestamp => "; write it like 2013-11-15T12:00:00Z",
        ScalarType::Date => "; write it like 2013-11-15",
        ScalarType::Bytes => "; write it in base64",
        ScalarType::Int32 | ScalarType::Int64 => "; write a whole number in its range",
        ScalarType::Bool => "; write true or false",
        ScalarType::String => "; put it in quotes",
        ScalarType::Float32 | ScalarType::Float64 => "; write a number, .nan or .inf",
    }
}

fn read_scalar(scalar: ScalarType, value: &Value) -> Option<DefaultValue> {
    Some(match scalar {
        ScalarType::Bool => DefaultValue::Bool(value.as_bool()?),
        ScalarType::Int32 => DefaultValue::Int32(value.as_i64()?.try_into().ok()?),
        ScalarType::Int64 => DefaultValue::Int64(value.as_i64()?),
        ScalarType::Float32 => {
            let wide = float(value)?;
            let narrow = wide as f32;
            // a finite number beyond float32 is no float32
            if wide.is_finite() && !narrow.is_finite() {
                return None;
            }
            DefaultValue::Float32(narrow.to_bits())
        }
        ScalarType::Float64 => DefaultValue::Float64(float(value)?.to_bits()),
        ScalarType::Timestamp => DefaultValue::Timestamp(Micros::parse(value.as_str()?).ok()?),
        ScalarType::Date => {
            let at = Micros::parse(value.as_str()?).ok()?;
            let day = 86_400_000_000;
            (at.0.rem_euclid(day) == 0).then(|| at.0.div_euclid(day))?.try_into().ok().map(DefaultValue::Date)?
        }
        ScalarType::String => DefaultValue::String(value.as_str()?.to_owned()),
        ScalarType::Bytes => {
            DefaultValue::Bytes(base64::engine::general_purpose::STANDARD.decode(value.as_str()?).ok()?)
        }
    })
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::String(word) => match word.as_str() {
            ".nan" => Some(f64::from_bits(crate::row::CANONICAL_NAN_64)),
            ".inf" => Some(f64::INFINITY),
            "-.inf" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => value.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_default_is_of_its_features_type_or_refused() {
        for (name, value, expected) in [
            ("int32", json!(7), Some(DefaultValue::Int32(7))),
            ("int32", json!(2_147_483_648_i64), None),
            ("int32", json!(1000.0), None),
            ("int64", json!(9_007_199_254_740_993_i64), Some(DefaultValue::Int64(9_007_199_254_740_993))),
            ("float32", json!(0.2), Some(DefaultValue::Float32(0.2_f32.to_bits()))),
            ("float32", json!(1e300), None),
            ("float32", json!(".nan"), Some(DefaultValue::Float32(crate::row::CANONICAL_NAN_32))),
            ("float64", json!("-.inf"), Some(DefaultValue::Float64(f64::NEG_INFINITY.to_bits()))),
            ("bool", json!("no"), None),
            ("string", json!("no"), Some(DefaultValue::String("no".to_owned()))),
            ("string", json!(12), None),
            ("bytes", json!("AAE="), Some(DefaultValue::Bytes(vec![0, 1]))),
            ("bytes", json!("?"), None),
            ("date", json!("1970-01-02"), Some(DefaultValue::Date(1))),
            ("date", json!("1970-01-02T01:00:00Z"), None),
            ("timestamp", json!("1970-01-02"), Some(DefaultValue::Timestamp(Micros(86_400_000_000)))),
            ("list<int32>", json!([1, null]), Some(DefaultValue::List(vec![Some(DefaultValue::Int32(1)), None]))),
            ("list<int32>", json!(1), None),
        ] {
            assert_eq!(read(name.parse().unwrap(), &value).ok(), expected, "{name} {value}");
        }
    }
}
