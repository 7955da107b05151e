//! What applying definitions would change: a pure comparison of the newest snapshot with what is wanted.
//!
//! A plan says four things: what differs, field by field; which views' values are built anew and what that costs; which
//! services grew through a `*` and which models see it; and what breaks readers. It carries the hash of the definitions
//! that it was made against, so that applying it later can tell whether they moved.

mod breaking;
mod diff;
mod render;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidegate_catalog::{
    Definitions, Snapshot,
    definitions::{FeatureService, FeatureView, ServiceFeature},
};

pub use self::breaking::BreakingChange;
use crate::{
    Facts, Kind,
    generations::{Step, step},
};

/// The difference between the registry and wanted definitions. `Display` is the text for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The project.
    pub project: String,
    /// What it was made against; `None` for an empty registry.
    pub base: Option<Base>,
    /// The hash of the wanted definitions.
    pub definitions_hash: String,
    /// Each definition that differs, by kind and name.
    pub changes: Vec<Change>,
    /// Each view whose generations change.
    pub generations: Vec<GenerationChange>,
    /// Each `*` that now stands for more.
    pub grown: Vec<GrownStar>,
    /// Each model file that differs.
    pub models: Vec<ModelChange>,
    /// What readers will notice.
    pub breaking: Vec<BreakingChange>,
    /// The content hash of each wanted model file, by path, where it is known.
    pub model_hashes: BTreeMap<String, String>,
}

/// The registry's state that a plan was made against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Its newest version then. Versions that leave the definitions as they are do not make a plan stale.
    pub version: u64,
    /// The hash of its definitions: what must still be true at apply.
    pub definitions_hash: String,
}

/// A definition that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// How.
    pub action: Action,
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Field by field, where it is changed; empty where it is added or removed.
    pub fields: Vec<FieldChange>,
}

/// How a definition differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is new.
    Added,
    /// It is there and differs.
    Changed,
    /// It is gone.
    Removed,
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Its path; elements of lists stand under their names: `features[late_share].default`.
    pub path: String,
    /// Its value in the registry; `None` where it was not there.
    pub old: Option<serde_json::Value>,
    /// Its wanted value; `None` where it goes.
    pub new: Option<serde_json::Value>,
}

/// A view whose generations change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationChange {
    /// The view.
    pub view: String,
    /// What happens.
    pub action: GenerationAction,
    /// What a re-materialization is likely to read: the rows of the view's last run, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_rows: Option<u64>,
}

/// What happens to a view's generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GenerationAction {
    /// The view's first one starts; nothing is served until it is materialized.
    First,
    /// A new one is built while readers keep the old one.
    Rebuild,
    /// A new one is built in place of one that was not finished.
    Replace,
    /// The one being built is given up: the values are again those that are served.
    Return,
    /// All are retired, for the view is gone.
    Retire,
}

/// A `*` that now stands for more features than in the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrownStar {
    /// The service.
    pub service: String,
    /// The reference, `alias:*`.
    pub star: String,
    /// The features that it did not stand for before, as `alias:feature`.
    pub features: Vec<String>,
    /// The endpoints that read the service.
    pub endpoints: Vec<String>,
    /// Their models' paths.
    pub models: Vec<String>,
}

/// A model file that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelChange {
    /// Its path.
    pub path: String,
    /// Its hash in the registry.
    pub old: Option<String>,
    /// Its hash now.
    pub new: Option<String>,
}

impl Plan {
    /// Whether applying it would publish nothing.
    pub const fn is_empty(&self) -> bool {
        self.base.is_some() && self.changes.is_empty() && self.models.is_empty()
    }

    /// Whether applying it needs [`crate::Breaking::Allowed`].
    pub const fn is_breaking(&self) -> bool {
        !self.breaking.is_empty()
    }
}

impl Base {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self { version: snapshot.version, definitions_hash: snapshot.definitions_hash.clone() }
    }
}

impl std::fmt::Display for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = self.definitions_hash.get(..12).unwrap_or(&self.definitions_hash);
        write!(f, "version {} (definitions {short})", self.version)
    }
}

/// The hash (hex blake3) of definitions in their canonical form.
pub fn definitions_hash(definitions: &Definitions) -> String {
    let bytes = serde_json::to_vec(definitions).expect("definitions have string keys and no floats");
    blake3::hash(&bytes).to_hex().to_string()
}

/// Compares `next` with the newest snapshot; `None` is an empty registry.
pub fn plan(current: Option<&Snapshot>, next: &Definitions, facts: &Facts) -> Plan {
    let empty = Definitions::default();
    let held = current.map_or(&empty, |current| &current.definitions);
    let model_hashes = wanted_models(next, facts);
    Plan {
        project: next.project.clone(),
        base: current.map(Base::of),
        definitions_hash: definitions_hash(next),
        changes: diff::changes(held, next),
        generations: generation_changes(current, next, facts),
        grown: grown_stars(held, next),
        models: current.map_or_else(Vec::new, |current| model_changes(&current.model_hashes, &model_hashes)),
        breaking: breaking::changes(held, next),
        model_hashes,
    }
}

fn wanted_models(next: &Definitions, facts: &Facts) -> BTreeMap<String, String> {
    let variants = next.endpoints.values().flat_map(|endpoint| &endpoint.variants);
    let hash_of = |path: &String| facts.model_hashes.get(path).map(|hash| (path.clone(), hash.clone()));
    variants.filter_map(|variant| hash_of(&variant.model.path)).collect()
}

fn model_changes(held: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> Vec<ModelChange> {
    let paths = held.keys().chain(wanted.keys()).collect::<BTreeSet<_>>();
    let change = |path: &String| ModelChange {
        path: path.clone(),
        old: held.get(path).cloned(),
        new: wanted.get(path).cloned(),
    };
    paths.into_iter().map(change).filter(|change| change.old != change.new).collect()
}

fn generation_changes(current: Option<&Snapshot>, next: &Definitions, facts: &Facts) -> Vec<GenerationChange> {
    let held = |view: &str| current.and_then(|current| current.generations.get(view)).map_or(&[][..], Vec::as_slice);
    let change = |view: &str, action| GenerationChange {
        view: view.to_owned(),
        action,
        last_rows: facts.last_rows.get(view).copied(),
    };
    let kept_or_new = next.views.values().filter_map(|view| {
        let generations = held(&view.name);
        let action = match step(generations, &view.fingerprint(next)) {
            Step::Keep => return None,
            Step::Return => GenerationAction::Return,
            Step::BuildAnew => GenerationAction::Replace,
            Step::Build if current.is_some_and(|current| current.serving(&view.name).is_some()) => {
                GenerationAction::Rebuild
            }
            Step::Build => GenerationAction::First,
        };
        Some(change(&view.name, action))
    });
    let was = current.into_iter().flat_map(|current| current.definitions.views.keys());
    let gone = was.filter(|view| !next.views.contains_key(*view));
    kept_or_new.chain(gone.map(|view| change(view, GenerationAction::Retire))).collect()
}

fn grown_stars(held: &Definitions, next: &Definitions) -> Vec<GrownStar> {
    let mut grown = Vec::new();
    for service in next.services.values() {
        let Some(before) = held.services.get(&service.name) else { continue };
        for alias in service.stars.iter().filter(|alias| before.stars.contains(alias)) {
            let had = star_features(before, alias);
            let mut features = star_features(service, alias);
            features.retain(|feature| !had.contains(feature));
            if !features.is_empty() {
                grown.push(grown_star(next, service, alias, features));
            }
        }
    }
    grown
}

/// The references that the star on `alias` stands for.
fn star_features(service: &FeatureService, alias: &str) -> Vec<String> {
    let features = service.features.iter().filter(|feature| feature.alias == alias);
    features.map(ServiceFeature::reference).collect()
}

fn grown_star(next: &Definitions, service: &FeatureService, alias: &str, features: Vec<String>) -> GrownStar {
    let mut endpoints = Vec::new();
    let mut models = BTreeSet::new();
    for endpoint in next.endpoints.values() {
        let reading = endpoint.variants.iter().filter(|variant| variant.feature_service == service.name);
        let paths = reading.map(|variant| variant.model.path.clone()).collect::<Vec<_>>();
        if !paths.is_empty() {
            endpoints.push(endpoint.name.clone());
        }
        models.extend(paths);
    }
    GrownStar {
        service: service.name.clone(),
        star: format!("{alias}:*"),
        features,
        endpoints,
        models: models.into_iter().collect(),
    }
}

/// The services of `definitions` that read `feature` of `view`, by name.
fn readers<'d>(definitions: &'d Definitions, view: &FeatureView, feature: &str) -> Vec<&'d str> {
    let reads = |service: &&FeatureService| {
        service.features.iter().any(|chosen| chosen.view == view.name && chosen.feature == feature)
    };
    definitions.services.values().filter(reads).map(|service| service.name.as_str()).collect()
}

#[cfg(test)]
mod tests;
