//! How a model's inputs are fed from a service's columns: fitted once, when a snapshot is loaded.
//!
//! The columns of a service stand in the order of its dataset: the request values as declared, then the features as
//! chosen. `inference` says how they go into a packed or a by-name model; here each gets its source.

use tidegate_catalog::definitions::FeatureService;
use tidegate_inference::{
    batch_input::Slot,
    fit::{Column, FitProblem, InputPlan, fit},
    signature::Signature,
};

use super::LookupPlan;

/// Where an element comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A request value, by its place in the service.
    Request(usize),
    /// A feature, by its place in the service.
    Feature(usize),
}

/// One element of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) source: Source,
    pub(crate) slot: Slot,
}

/// The fitted plan.
#[derive(Clone, Debug)]
pub(crate) struct GatherPlan {
    pub(crate) input: InputPlan,
    pub(crate) elements: Vec<Element>,
}

/// A model that cannot be fed from its service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub(crate) struct FitError {
    problems: Vec<FitProblem>,
}

impl GatherPlan {
    /// Fits the columns of `service`, whose features `lookup` has, to a model's inputs.
    /// # Errors
    /// [`FitError`] names every input and column that does not fit.
    pub(crate) fn fit(signature: &Signature, service: &FeatureService, lookup: &LookupPlan) -> Result<Self, FitError> {
        let request = service.request.iter().map(|field| (field.name.as_str(), field.feature_type));
        let features = lookup.features.iter().map(|feature| (feature.column.as_str(), feature.feature_type));
        let columns =
            request.chain(features).map(|(name, feature_type)| Column { name, feature_type }).collect::<Vec<_>>();
        let input = fit(signature, &columns).map_err(|problems| FitError { problems })?;
        let elements = (0..columns.len()).filter_map(|column| {
            let source = match column.checked_sub(service.request.len()) {
                None => Source::Request(column),
                Some(feature) => Source::Feature(feature),
            };
            Some(Element { source, slot: input.slot(column)? })
        });
        Ok(Self { elements: elements.collect(), input })
    }

    /// Whether the model uses it.
    pub(crate) fn uses(&self, source: Source) -> bool {
        self.elements.iter().any(|element| element.source == source)
    }
}
