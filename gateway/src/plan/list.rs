//! Plans of the Feast face: one per feature service, compiled with the snapshot, and one per list of references that
//! callers send, compiled when first seen and kept: a client sends the same list all its life.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use tidegate_catalog::{ErrorCode, definitions::FeatureService};

use super::{
    LookupPlan, PlanError, Views, Wanted,
    lookup::{PlannedFeature, Read},
};

/// Most lists kept per snapshot; beyond it all are forgotten, which costs their next use one compilation.
const KEPT: usize = 256;

/// A compiled choice of features and the names that the answer gives them.
#[derive(Debug)]
pub(crate) struct ListPlan {
    pub(crate) lookup: LookupPlan,
    /// Values that a service's callers may send beside the join keys.
    pub(crate) request: Vec<String>,
    /// The first short name that two features share; such a list needs full names.
    pub(crate) collision: Option<(String, String)>,
}

/// Plans of lists, by the list.
#[derive(Debug, Default)]
pub(crate) struct ListPlans {
    by_list: Mutex<HashMap<String, Arc<ListPlan>>>,
}

/// A list that cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ListError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("{reference:?} is not a feature reference; write it like view:feature")]
    NotAReference { reference: String },
    #[error("{reference:?} names a version of its view; only the version that serves can be read, as view:feature")]
    Version { reference: String },
    #[error("feature reference {reference:?} stands twice; send each reference once")]
    Twice { reference: String },
    #[error("no features: send a list of view:feature references, or the name of a feature service")]
    Empty,
}

impl ListError {
    pub(crate) const fn code(&self) -> ErrorCode {
        match self {
            Self::Plan(error) => error.code(),
            Self::Version { .. } => ErrorCode::Unimplemented,
            Self::NotAReference { .. } | Self::Twice { .. } | Self::Empty => ErrorCode::InvalidArgument,
        }
    }
}

impl ListPlan {
    /// The plan of a service.
    pub(crate) fn of_service(service: &FeatureService, views: &Views, version: u64) -> Result<Self, PlanError> {
        let wanted = service.features.iter().map(|feature| Wanted::of_service(feature, Read::Yes));
        let lookup = LookupPlan::compile(wanted, views, version)?;
        let request = service.request.iter().map(|field| field.name.clone()).collect();
        Ok(Self { collision: collision(&lookup.features), lookup, request })
    }

    fn of_list<'r>(references: impl Iterator<Item = &'r str>, views: &Views, version: u64) -> Result<Self, ListError> {
        let mut wanted = Vec::<Wanted<'r>>::new();
        let mut seen = HashSet::new();
        for reference in references {
            let shown = || reference.chars().take(64).collect::<String>();
            let (view, feature) =
                reference.split_once(':').ok_or_else(|| ListError::NotAReference { reference: shown() })?;
            if view.contains('@') {
                return Err(ListError::Version { reference: shown() });
            }
            if !seen.insert(reference) {
                return Err(ListError::Twice { reference: shown() });
            }
            wanted.push(Wanted { view, alias: view, feature, join_keys: None, read: Read::Yes });
        }
        if wanted.is_empty() {
            return Err(ListError::Empty);
        }
        let lookup = LookupPlan::compile(wanted, views, version)?;
        Ok(Self { collision: collision(&lookup.features), lookup, request: Vec::new() })
    }
}

impl ListPlans {
    /// The plan of these references.
    /// # Errors
    /// [`ListError`] names the reference.
    /// # Cost
    /// For a list seen before: one string of the list's length, one hash over it, a lock held for the look-up alone.
    pub(crate) fn find_or_compile<'r>(
        &self,
        references: impl Iterator<Item = &'r str> + Clone,
        views: &Views,
        version: u64,
    ) -> Result<Arc<ListPlan>, ListError> {
        let mut list = String::new();
        for reference in references.clone() {
            // no name holds one, and in the key it would end the reference
            if reference.contains('\n') {
                return Err(ListError::NotAReference { reference: reference.chars().take(64).collect() });
            }
            list.push_str(reference);
            list.push('\n');
        }
        if let Some(plan) = self.lock().get(&list) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(ListPlan::of_list(references, views, version)?);
        let mut by_list = self.lock();
        if by_list.len() >= KEPT {
            by_list.clear();
        }
        by_list.insert(list, Arc::clone(&plan));
        Ok(plan)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<ListPlan>>> {
        self.by_list.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The first two references that share a short name.
fn collision(features: &[PlannedFeature]) -> Option<(String, String)> {
    let mut first = HashMap::new();
    features.iter().find_map(|feature| {
        let earlier = first.insert(feature.name.as_str(), feature.reference.as_str())?;
        Some((earlier.to_owned(), feature.reference.clone()))
    })
}
