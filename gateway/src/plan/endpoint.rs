//! An endpoint of one snapshot: its lookups, its gather plan, its model.

use std::{sync::Arc, time::Duration};

use tidegate_catalog::{
    Clock, FeatureType,
    definitions::{Definitions, Endpoint, FeatureService, MissingRule, Variant},
};

use super::{
    GatherPlan, LookupPlan, PlanError, Views, Wanted,
    gather::{FitError, Source},
    lookup::Read,
};
use crate::{
    metrics::StageMetrics,
    models::{LoadError, Model, OpenModel},
    rows::PlanColumn,
};

/// Everything a predict call needs.
#[derive(Debug)]
pub(crate) struct EndpointPlan {
    pub(crate) name: String,
    pub(crate) variant: String,
    pub(crate) model: Arc<Model>,
    /// What the model needs.
    pub(crate) needed: LookupPlan,
    /// The whole service, for `include: ["features"]`; features stand at the same places as in `needed`.
    pub(crate) full: LookupPlan,
    pub(crate) request: Vec<RequestColumn>,
    pub(crate) gather: GatherPlan,
    pub(crate) missing: MissingRule,
    pub(crate) deadline: Duration,
    pub(crate) stages: StageMetrics,
}

/// A value that the caller brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestColumn {
    pub(crate) name: String,
    pub(crate) feature_type: FeatureType,
    /// Whether the model uses it; the others may be left out.
    pub(crate) needed: bool,
}

/// Why an endpoint cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndpointError {
    #[error("it has no variant")]
    NoVariant,
    #[error("feature service {service:?} is not defined")]
    UnknownService { service: String },
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Fit(#[from] FitError),
    #[error(transparent)]
    Model(#[from] LoadError),
}

impl PlanColumn for RequestColumn {
    fn name(&self) -> &str {
        &self.name
    }
    fn needed(&self) -> bool {
        self.needed
    }
}

impl EndpointPlan {
    /// The variant that answers (the first) and its service.
    pub(crate) fn parts<'d>(
        endpoint: &'d Endpoint,
        definitions: &'d Definitions,
    ) -> Result<(&'d Variant, &'d FeatureService), EndpointError> {
        let variant = endpoint.variants.first().ok_or(EndpointError::NoVariant)?;
        let service = definitions.services.get(&variant.feature_service);
        let service =
            service.ok_or_else(|| EndpointError::UnknownService { service: variant.feature_service.clone() })?;
        Ok((variant, service))
    }

    /// Compiles the lookups of `service`, fits them to the opened model and starts it.
    /// # Errors
    /// [`EndpointError`] names what does not fit, or the model that does not start.
    pub(crate) async fn compile(
        endpoint: &Endpoint,
        (variant, service): (&Variant, &FeatureService),
        (views, version): (&Views, u64),
        opened: OpenModel,
        (clock, stages): (Arc<dyn Clock>, StageMetrics),
    ) -> Result<Self, EndpointError> {
        let lookup = |read: &(dyn Fn(usize) -> Read + Sync)| {
            let features = service.features.iter().enumerate();
            let wanted = features.map(|(index, feature)| Wanted::of_service(feature, read(index)));
            LookupPlan::compile(wanted, views, version)
        };
        let full = lookup(&|_| Read::Yes)?;
        let gather = GatherPlan::fit(opened.signature(), service, &full)?;
        let uses = |source: Source| gather.uses(source);
        let needed = lookup(&|index| if uses(Source::Feature(index)) { Read::Yes } else { Read::No })?;
        let model = opened.start(&gather.input, clock).await?;
        let request = service.request.iter().enumerate().map(|(index, field)| RequestColumn {
            name: field.name.clone(),
            feature_type: field.feature_type,
            needed: uses(Source::Request(index)),
        });
        Ok(Self {
            name: endpoint.name.clone(),
            variant: variant.name.clone(),
            request: request.collect(),
            missing: endpoint.missing,
            deadline: Duration::from_millis(u64::from(endpoint.deadline_ms)),
            model,
            needed,
            full,
            gather,
            stages,
        })
    }
}
