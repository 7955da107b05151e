//! One row's elements for the model: the stored value, else its default, else null where the model's input has one.

use tidegate_catalog::{ErrorCode, FeatureType, FieldStatus, ScalarType, Value, ValueSource, definitions::MissingRule};
use tidegate_inference::batch_input::{BatchInput, CellError};
use tidegate_proto::typed::Typed;

use crate::{
    answers::{Answers, CellState, default_value},
    plan::{
        LookupPlan,
        endpoint::RequestColumn,
        gather::{Element, Source},
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
    #[error("request.{column} is null")]
    Request { column: String },
    #[error("the online store did not answer for feature {feature:?}, which has no default")]
    Unanswered { feature: String, code: ErrorCode },
    #[error("feature {feature:?} is {status}: {source}")]
    FeatureCell { feature: String, status: &'static str, source: CellError },
    #[error("request.{column}: {source}")]
    RequestCell { column: String, source: CellError },
}

impl Lacking {
    pub(crate) const fn code(&self) -> ErrorCode {
        match self {
            Self::Feature { .. } | Self::FeatureCell { .. } => ErrorCode::FailedPrecondition,
            Self::Request { .. } | Self::RequestCell { .. } => ErrorCode::InvalidArgument,
            Self::Unanswered { code, .. } => *code,
        }
    }
}

impl<'c> Gather<'c> {
    /// Puts one element of a row into row `into` of a batch.
    /// # Errors
    /// [`Lacking`] names the feature or request value.
    /// # Cost
    /// For a float32 feature that is there: one copy of four bytes from the store's reply into the tensor.
    pub(crate) fn put(&self, at: RowAt, element: Element, batch: &mut BatchInput, into: usize) -> Result<(), Lacking> {
        if let Source::Feature(index) = element.source
            && let Some(feature) = self.plan.features.get(index)
            && let Some(place) = feature.place
            && feature.feature_type == FeatureType::Scalar(ScalarType::Float32)
            && let CellState::Fresh(row) = self.answers.state(at.slot, place.cell)
            && let Some(value) = row.f32(place.index)
        {
            return batch.put_f32(into, element.slot, value).map_err(|cell| self.refused(at, element.source, cell));
        }
        let value = self.value(at, element.source)?;
        batch.put(into, element.slot, &value).map_err(|cell| self.refused(at, element.source, cell))
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
            return Err(Lacking::Request { column: self.request_name(column) });
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

    fn refused(&self, at: RowAt, source: Source, cell: CellError) -> Lacking {
        match source {
            Source::Request(column) => Lacking::RequestCell { column: self.request_name(column), source: cell },
            Source::Feature(index) => {
                let feature = self.plan.features.get(index);
                let status = feature.and_then(|feature| self.answers.status(at.slot, feature).0);
                let status = status.map_or("not answered", FieldStatus::as_str);
                let feature = feature.map_or_else(String::new, |feature| feature.reference.clone());
                Lacking::FeatureCell { feature, status, source: cell }
            }
        }
    }

    fn request_name(&self, column: usize) -> String {
        self.request.get(column).map_or_else(String::new, |column| column.name.clone())
    }
}
