//! What a command was typed for: a project's folder and the settings that decide what a command does.
//!
//! A command that is handed over runs with the owner's project and settings, so both ends compare the two first.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Layers;

/// Sections and keys that a handed-over command does not see: the owner's server and logs, and where the state lies, which
/// both ends know by meeting there.
const NOT_COMPARED: [&str; 3] = ["gateway.", "log.", "state.path"];

/// A project's folder and effective settings, comparable between processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    root: PathBuf,
    settings: BTreeMap<String, Setting>,
}

/// One effective value; of a secret only the hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Setting {
    Value(Value),
    Secret(String),
}

impl Identity {
    /// Of the project in `root`, however its path is written.
    pub(super) fn of(root: &Path, layers: &Layers) -> Self {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let compared = |key: &str| !NOT_COMPARED.iter().any(|skipped| key.starts_with(skipped));
        let settings = layers.values().filter(|(key, _)| compared(key)).map(|(key, value)| {
            let setting = if Layers::is_secret(&key, &value) {
                Setting::Secret(tidegate_inference::content_hash(value.to_string().as_bytes()))
            } else {
                Setting::Value(value)
            };
            (key, setting)
        });
        Self { root, settings: settings.collect() }
    }

    /// Why a command typed for `self` cannot run in the process that has `owner`'s project and settings, naming both.
    pub fn refusal(&self, owner: &Self) -> Option<String> {
        if self.root != owner.root {
            let (ours, theirs) = (self.root.display(), owner.root.display());
            return Some(format!(
                "this command is for the project in {ours}, the process that owns the state folder has the one in {theirs}; choose another state folder with --state, or stop that process"
            ));
        }
        let keys = self.settings.keys().chain(owner.settings.keys()).collect::<std::collections::BTreeSet<_>>();
        let differences = keys
            .into_iter()
            .filter(|key| self.settings.get(*key) != owner.settings.get(*key))
            .map(|key| {
                let shown = |settings: &BTreeMap<String, Setting>| match settings.get(key) {
                    Some(Setting::Value(value)) => value.to_string(),
                    Some(Setting::Secret(_)) => "another secret".to_owned(),
                    None => "nothing".to_owned(),
                };
                format!("{key} is {} here and {} there", shown(&self.settings), shown(&owner.settings))
            })
            .collect::<Vec<_>>();
        let all = differences.join(", ");
        (!differences.is_empty()).then(|| {
            format!("this command has other settings than the process that owns the state folder: {all}; use the same, or stop that process")
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(root: &str, config: Value) -> Identity {
        Identity::of(Path::new(root), &Layers::new(config))
    }

    #[test]
    fn the_same_project_with_other_gateway_and_log_settings_is_the_same() {
        let here = of("/", json!({"project": "p", "gateway": {"listen": "127.0.0.1:1"}, "log": {"level": "debug"}}));
        let there = of("/.", json!({"project": "p", "state": {"path": "elsewhere"}}));
        assert_eq!(here.refusal(&there), None);
    }

    #[test]
    fn another_folder_and_another_setting_are_refused_with_both() {
        let (here, there) = (of("/", json!({"project": "p"})), of("/proc", json!({"project": "p"})));
        assert_eq!(
            here.refusal(&there).unwrap(),
            "this command is for the project in /, the process that owns the state folder has the one in /proc; choose another state folder with --state, or stop that process"
        );
        let here =
            of("/", json!({"project": "p", "materializer": {"error_budget_rows": 5}, "store": {"password": "a1"}}));
        let there = of("/", json!({"project": "p", "store": {"password": "b2"}}));
        let words = here.refusal(&there).unwrap();
        assert!(words.contains("materializer.error_budget_rows is 5 here and 1000 there"), "{words}");
        assert!(words.contains("store.password is another secret here and another secret there"), "{words}");
        assert!(!words.contains("a1") && !words.contains("b2"), "{words}");
    }
}
