//! One row's elements for the model: the stored value, else its default, else null where the model's input has one.

use std::borrow::Cow;

use tidegate_catalog::{
    ErrorCode, FeatureType, FieldStatus, ScalarType, Value, ValueSource, definitions::MissingRule,
    
};
use tidegate_proto::typed::Typed;

use crate::{
    answers::{Answers, CellState, default_value},
    convert,
    plan::{
        LookupPlan,
        endpoint::RequestColumn,
        gather::Source,
        lookup::PlannedFeature,
    },
};

/// What a call has for its rows: the store's answers and the caller's values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather<'c> {
    pub(crate) plan: &'c LookupPlan,
    pub(crate) answers: &'c Answers<'c>,
    pub(crate) request: &'c [RequestColumn],
    /// Row after row, column after column.
    pub(crate) values: &'c [Typed<'c>],
    pub(crate) missing: MissingRule,
}

/// One row of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowAt {
    /// Its place in the request.
    pub(crate) row: usize,
    /// Its place among the rows that were looked up.
    pub(crate) slot: usize,
}

/// Why a row cannot be given to the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lacking {
    #[error("feature {feature:?} is {status} and has no default")]
    Feature { feature: String, status: &'static str },
    #[error("feature {feature:?} is {status}, has no default, and the model's input has no null ({element})")]
    NoNull { feature: String, status: &'static str, element: &'static str },
    #[error("request.{column} is null, and the model's input has no null ({element})")]
    NullRequest { column: String, element: &'static str },
    #[error("request.{column} is null")]
    MissingRequest { column: String },
    #[error("the online store did not answer for feature {feature:?}, which has no default")]
    Unanswered { feature: String, code: ErrorCode },
}

impl Lacking {
    pub(crate) const fn code(&self) -> ErrorCode {
        match self {
            Self::Feature { .. } | Self::NoNull { .. } => ErrorCode::FailedPrecondition,
            Self::NullRequest { .. } | Self::MissingRequest { .. } => ErrorCode::InvalidArgument,
            Self::Unanswered { code, .. } => *code,
        }
    }
}

impl<'c> Gather<'c> {
    /// A float32 element; null is the quiet NaN.
    /// # Cost
    /// For a float32 feature that is there: one copy of four bytes from the store's reply.
    pub(crate) fn float32(&self, at: RowAt, source: Source) -> Result<f32, Lacking> {
        if let Source::Feature(index) = source
            && let Some(feature) = self.plan.features.get(index)
            && let Some(place) = feature.place
            && feature.feature_type == FeatureType::Scalar(ScalarType::Float32)
            && let CellState::Fresh(row) = self.answers.state(at.slot, place.cell)
            && let Some(value) = row.f32(place.index)
        {
            return Ok(value);
        }
        let value = self.value(at, source)?;
        Ok(convert::float32(&value).unwrap_or(f32::from_bits(tidegate_catalog::row::CANONICAL_NAN_32)))
    }

    /// A float64 element; null is the quiet NaN.
    pub(crate) fn float64(&self, at: RowAt, source: Source) -> Result<f64, Lacking> {
        let value = self.value(at, source)?;
        Ok(convert::float64(&value).unwrap_or(f64::from_bits(tidegate_catalog::row::CANONICAL_NAN_64)))
    }

    /// An int64 element; there is no null.
    pub(crate) fn int64(&self, at: RowAt, source: Source) -> Result<i64, Lacking> {
        convert::int64(&self.value(at, source)?).ok_or_else(|| self.no_null(at, source, "int64"))
    }

    /// An int32 element; there is no null.
    pub(crate) fn int32(&self, at: RowAt, source: Source) -> Result<i32, Lacking> {
        let value = convert::int64(&self.value(at, source)?).and_then(|value| i32::try_from(value).ok());
        value.ok_or_else(|| self.no_null(at, source, "int32"))
    }

    /// A bool element; there is no null.
    pub(crate) fn boolean(&self, at: RowAt, source: Source) -> Result<bool, Lacking> {
        match self.value(at, source)? {
            Value::Bool(value) => Ok(value),
            _ => Err(self.no_null(at, source, "bool")),
        }
    }

    /// A string element; null is the empty string.
    pub(crate) fn string(&self, at: RowAt, source: Source) -> Result<Cow<'c, str>, Lacking> {
        match self.value(at, source)? {
            Value::String(value) => Ok(Cow::Borrowed(value)),
            _ => Ok(Cow::Borrowed("")),
        }
    }

    /// A feature's value as the model sees it, and where it came from.
    pub(crate) fn served(&self, slot: usize, feature: &'c PlannedFeature) -> (Value<'c>, Option<ValueSource>) {
        let answer = self.answers.feature(slot, feature);
        match (answer.status, &feature.default) {
            (Some(FieldStatus::Present), _) => (answer.value, Some(ValueSource::Store)),
            (_, Some(default)) => (default_value(default), Some(ValueSource::Default)),
            (Some(_), None) => (Value::Null, Some(ValueSource::Store)),
            (None, None) => (Value::Null, None),
        }
    }

    /// A source's value: null only where the endpoint lets null through.
    fn value(&self, at: RowAt, source: Source) -> Result<Value<'c>, Lacking> {
        match source {
            Source::Request(column) => self.request_value(at, column),
            Source::Feature(index) => match self.plan.features.get(index) {
                Some(feature) => self.feature_value(at, feature),
                None => Ok(Value::Null),
            },
        }
    }

    fn request_value(&self, at: RowAt, column: usize) -> Result<Value<'c>, Lacking> {
        let value = self.values.get(at.row * self.request.len() + column).map_or(Value::Null, Typed::as_value);
        if value == Value::Null && self.missing == MissingRule::Error {
            return Err(Lacking::MissingRequest { column: self.request_name(column) });
        }
        Ok(value)
    }

    fn feature_value(&self, at: RowAt, feature: &'c PlannedFeature) -> Result<Value<'c>, Lacking> {
        let answer = self.answers.feature(at.slot, feature);
        match (answer.status, &feature.default, self.missing) {
            (Some(FieldStatus::Present), _, _) => Ok(answer.value),
            (_, Some(default), _) => Ok(default_value(default)),
            (None, None, _) => {
                let code = self.answers.failed.unwrap_or(ErrorCode::Unavailable);
                Err(Lacking::Unanswered { feature: feature.reference.clone(), code })
            }
            (Some(_), None, MissingRule::Null) => Ok(Value::Null),
            (Some(status), None, MissingRule::Error) => {
                Err(Lacking::Feature { feature: feature.reference.clone(), status: status.as_str() })
            }
        }
    }

    fn no_null(&self, at: RowAt, source: Source, element: &'static str) -> Lacking {
        match source {
            Source::Request(column) => Lacking::NullRequest { column: self.request_name(column), element },
            Source::Feature(index) => {
                let feature = self.plan.features.get(index);
                let status = feature.and_then(|feature| self.answers.status(at.slot, feature).0);
                let status = status.map_or("not answered", FieldStatus::as_str);
                let feature = feature.map_or_else(String::new, |feature| feature.reference.clone());
                Lacking::NoNull { feature, status, element }
            }
        }
    }

    fn request_name(&self, column: usize) -> String {
        self.request.get(column).map_or_else(String::new, |column| column.name.clone())
    }
}

