//! What readers will notice: types and keys that change, features and names that go, values that callers must now bring.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidegate_catalog::{
    Definitions,
    definitions::{Entity, FeatureService, FeatureView, JoinKey},
};

use super::readers;
use crate::{Kind, Target};

/// A change that breaks readers. `Display` names it and says who reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakingChange {
    /// What.
    pub target: Target,
    /// In words.
    pub message: String,
}

impl std::fmt::Display for BreakingChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.target.kind, self.target.name, self.message)
    }
}

/// All of them, by kind and name.
pub(super) fn changes(held: &Definitions, next: &Definitions) -> Vec<BreakingChange> {
    let mut found = Found(Vec::new());
    for (name, entity) in &held.entities {
        if let Some(wanted) = next.entities.get(name) {
            found.entity(entity, wanted);
        }
    }
    for (name, view) in &held.views {
        match next.views.get(name) {
            Some(wanted) => found.view(held, view, wanted),
            None => found.view_removed(held, view),
        }
    }
    for (name, service) in &held.services {
        match next.services.get(name) {
            Some(wanted) => found.service(next, service, wanted),
            None => found.push(Kind::FeatureService, name, "", "it is removed; who asks for it gets NotFound"),
        }
    }
    for name in held.endpoints.keys().filter(|name| !next.endpoints.contains_key(*name)) {
        found.push(Kind::Endpoint, name, "", "it is removed; who calls it gets NotFound");
    }
    found.0
}

struct Found(Vec<BreakingChange>);

impl Found {
    fn push(&mut self, kind: Kind, name: &str, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(BreakingChange { target: Target::new(kind, name, path), message: message.into() });
    }

    fn entity(&mut self, held: &Entity, wanted: &Entity) {
        let sorted = |entity: &Entity| entity.join_keys.iter().cloned().collect::<BTreeSet<_>>();
        if sorted(held) != sorted(wanted) {
            let keys = (words(&held.join_keys), words(&wanted.join_keys));
            let message = format!("its key changes from ({}) to ({})", keys.0, keys.1);
            self.push(Kind::Entity, &held.name, "join_keys", message);
        }
    }

    fn view(&mut self, definitions: &Definitions, held: &FeatureView, wanted: &FeatureView) {
        if held.join_keys != wanted.join_keys {
            let keys = (words(&held.join_keys), words(&wanted.join_keys));
            let message = format!("its join keys change from ({}) to ({})", keys.0, keys.1);
            self.push(Kind::FeatureView, &held.name, "entities", message);
        }
        for feature in &held.features {
            let services = readers(definitions, held, &feature.name);
            let path = format!("features[{}]", feature.name);
            match wanted.features.iter().find(|candidate| candidate.name == feature.name) {
                Some(wanted) if wanted.feature_type != feature.feature_type => {
                    let types = (feature.feature_type, wanted.feature_type);
                    let message = format!("feature {} changes from {} to {}", feature.name, types.0, types.1);
                    self.push(Kind::FeatureView, &held.name, format!("{path}.type"), message + &used_by(&services));
                }
                None if !services.is_empty() => {
                    let message = format!("feature {} is removed{}", feature.name, used_by(&services));
                    self.push(Kind::FeatureView, &held.name, path, message);
                }
                Some(_) | None => {}
            }
        }
    }

    fn view_removed(&mut self, definitions: &Definitions, held: &FeatureView) {
        let services = held.features.iter().flat_map(|feature| readers(definitions, held, &feature.name));
        let services = services.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
        if !services.is_empty() {
            self.push(Kind::FeatureView, &held.name, "", format!("it is removed{}", used_by(&services)));
        }
    }

    fn service(&mut self, next: &Definitions, held: &FeatureService, wanted: &FeatureService) {
        for chosen in &held.features {
            let exists =
                next.views.get(&chosen.view).is_some_and(|v| v.features.iter().any(|f| f.name == chosen.feature));
            let still_chosen = wanted.features.iter().any(|other| other.reference() == chosen.reference());
            // one that no longer exists is told of at its view
            if exists && !still_chosen {
                let message = format!("feature {} is no longer in it", chosen.reference());
                self.push(Kind::FeatureService, &held.name, "features", message);
            }
        }
        for field in &held.request {
            match wanted.request.iter().find(|other| other.name == field.name) {
                Some(other) if other.feature_type != field.feature_type => {
                    let types = (field.feature_type, other.feature_type);
                    let message = format!("request value {} changes from {} to {}", field.name, types.0, types.1);
                    self.push(Kind::FeatureService, &held.name, "request", message);
                }
                Some(_) => {}
                None => {
                    let message = format!("request value {} is removed; callers who send it are refused", field.name);
                    self.push(Kind::FeatureService, &held.name, "request", message);
                }
            }
        }
        for field in &wanted.request {
            if !held.request.iter().any(|other| other.name == field.name) {
                let message = format!("request value {} is new; callers who do not send it are refused", field.name);
                self.push(Kind::FeatureService, &held.name, "request", message);
            }
        }
    }
}

fn used_by(services: &[&str]) -> String {
    match services {
        [] => String::new(),
        [one] => format!("; feature service {one} uses it"),
        many => format!("; feature services {} use it", many.join(", ")),
    }
}

fn words(keys: &[JoinKey]) -> String {
    keys.iter().map(|key| format!("{} {}", key.name, key.key_type.scalar().name())).collect::<Vec<_>>().join(", ")
}
