//! Merges the layers of configuration and remembers which one each value came from.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::RawConfig;

/// Where a value came from; a later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Built in.
    Default,
    /// `tidegate.yaml`.
    File,
    /// A `TIDEGATE__SECTION__KEY` variable.
    Env,
    /// A command-line flag.
    Flag,
}

/// The merged configuration, not yet checked.
#[derive(Clone, Debug)]
pub struct Layers {
    merged: Value,
    origins: BTreeMap<String, Layer>,
}

/// A layer that cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayersError {
    /// The variable names no key.
    #[error("environment variable {name}: there is no configuration key {key:?}; `tidegate config schema` lists them")]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The key that it would set.
        key: String,
    },
    /// The variable's text is not of the key's type.
    #[error("environment variable {name}: {key} is a {expected}, the variable holds something else")]
    WrongVariable {
        /// The variable.
        name: String,
        /// The key.
        key: String,
        /// Its type.
        expected: &'static str,
    },
    /// The merged whole has a field or a type that the configuration does not know.
    #[error("{0}")]
    Shape(String),
}

impl Layers {
    /// Starts with the built-in defaults and the file's content.
    pub fn new(file: Value) -> Self {
        let mut layers = Self { merged: defaults(), origins: BTreeMap::new() };
        for (key, _) in leaves(&layers.merged) {
            layers.origins.insert(key, Layer::Default);
        }
        layers.merge(file, Layer::File);
        layers
    }

    /// Adds the variables that begin with `TIDEGATE__`; others are passed over.
    /// # Errors
    /// Every variable that names no key or holds a value of another type.
    pub fn add_env(&mut self, variables: impl IntoIterator<Item = (String, String)>) -> Result<(), Vec<LayersError>> {
        let defaults = defaults();
        let mut errors = Vec::new();
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix("TIDEGATE__") else { continue };
            let path = rest.split("__").map(str::to_ascii_lowercase).collect::<Vec<_>>();
            let key = path.join(".");
            let known = path.iter().try_fold(&defaults, |at, part| at.get(part)).filter(|known| !known.is_object());
            let Some(known) = known else {
                errors.push(LayersError::UnknownVariable { name, key });
                continue;
            };
            match typed(known, &text) {
                Ok(value) => self.set(&path, value, Layer::Env),
                Err(expected) => errors.push(LayersError::WrongVariable { name, key, expected }),
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Sets one key from a flag.
    pub fn add_flag(&mut self, key: &str, value: Value) {
        let path = key.split('.').map(str::to_owned).collect::<Vec<_>>();
        self.set(&path, value, Layer::Flag);
    }

    /// The raw configuration.
    /// # Errors
    /// [`LayersError::Shape`] with the first field that is unknown or of another type.
    pub fn raw(&self) -> Result<RawConfig, LayersError> {
        serde_json::from_value(self.merged.clone()).map_err(|error| LayersError::Shape(error.to_string()))
    }

    /// Every effective value with the layer it came from; secrets as `***`.
    pub fn effective(&self) -> Vec<(String, Value, Layer)> {
        self.values()
            .map(|(key, value)| {
                let layer = self.origins.get(&key).copied().unwrap_or(Layer::File);
                let shown = if Self::is_secret(&key, &value) { Value::from("***") } else { value };
                (key, shown, layer)
            })
            .collect()
    }

    /// Every effective value as it is.
    pub(crate) fn values(&self) -> impl Iterator<Item = (String, Value)> + use<> {
        leaves(&self.merged).into_iter()
    }

    /// Whether the value under `key` must not be shown: a password, or a URL that may hold one.
    pub(crate) fn is_secret(key: &str, value: &Value) -> bool {
        (key == "store.password" || key == "store.url" && value.as_str() != Some("embedded")) && !value.is_null()
    }

    fn merge(&mut self, from: Value, layer: Layer) {
        for (key, value) in leaves(&from) {
            let path = key.split('.').map(str::to_owned).collect::<Vec<_>>();
            self.set(&path, value, layer);
        }
    }

    fn set(&mut self, path: &[String], value: Value, layer: Layer) {
        let Some((last, parents)) = path.split_last() else { return };
        let mut at = &mut self.merged;
        for part in parents {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            at = at.as_object_mut().expect("made an object above").entry(part).or_insert(Value::Null);
        }
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at.as_object_mut().expect("made an object above").insert(last.clone(), value);
        self.origins.insert(path.join("."), layer);
    }
}

fn defaults() -> Value {
    let config: RawConfig =
        serde_json::from_value(serde_json::json!({"project": ""})).expect("every field but the project has a default");
    serde_json::to_value(config).expect("the configuration has string keys")
}

/// Leaf values by dotted key; a list or an empty mapping is a leaf.
fn leaves(value: &Value) -> Vec<(String, Value)> {
    fn walk(prefix: &str, value: &Value, out: &mut Vec<(String, Value)>) {
        match value.as_object() {
            Some(map) if !map.is_empty() || prefix.is_empty() => {
                for (key, value) in map {
                    let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                    walk(&key, value, out);
                }
            }
            _ => out.push((prefix.to_owned(), value.clone())),
        }
    }
    let mut out = Vec::new();
    walk("", value, &mut out);
    out
}

/// A variable's text as a value of the type that the default has.
fn typed(known: &Value, text: &str) -> Result<Value, &'static str> {
    match known {
        Value::Bool(_) => text.parse::<bool>().map(Value::from).map_err(|_| "bool (true or false)"),
        Value::Number(_) => text.parse::<u64>().map(Value::from).map_err(|_| "whole number"),
        _ => Ok(Value::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_later_layer_wins_and_is_named() {
        let mut layers = Layers::new(json!({"project": "p", "store": {"timeout_ms": 5, "namespace": "a"}}));
        layers.add_env(env(&[("TIDEGATE__STORE__TIMEOUT_MS", "7"), ("HOME", "/x")])).unwrap();
        layers.add_flag("gateway.listen", json!("127.0.0.1:1"));
        let effective = layers.effective();
        let find = |key: &str| effective.iter().find(|(k, ..)| k == key).map(|(_, v, l)| (v.clone(), *l)).unwrap();
        assert_eq!(find("store.timeout_ms"), (json!(7), Layer::Env));
        assert_eq!(find("store.namespace"), (json!("a"), Layer::File));
        assert_eq!(find("gateway.listen"), (json!("127.0.0.1:1"), Layer::Flag));
        assert_eq!(find("gateway.max_concurrent_requests"), (json!(1024), Layer::Default));
        assert!(layers.raw().unwrap().validate(Path::new("/p")).is_ok());
    }

    #[test]
    fn a_password_is_never_shown() {
        let mut layers = Layers::new(json!({"project": "p", "store": {"url": "redis://:s3cret@localhost/"}}));
        layers.add_env(env(&[("TIDEGATE__STORE__PASSWORD", "123")])).unwrap();
        assert!(!format!("{:?}", layers.effective()).contains("s3cret"));
        assert!(!format!("{:?}", layers.effective()).contains("123"));
        let config = layers.raw().unwrap().validate(Path::new("/p")).unwrap();
        let shown = format!("{config:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("123"), "{shown}");
    }

    #[test]
    fn wrong_variables_are_all_named() {
        let mut layers = Layers::new(json!({"project": "p"}));
        let errors = layers
            .add_env(env(&[
                ("TIDEGATE__STORE__TIMEOUTMS", "7"),
                ("TIDEGATE__GATEWAY__MAX_CONCURRENT_REQUESTS", "many"),
            ]))
            .unwrap_err();
        let words = errors.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(words[0].contains("there is no configuration key \"store.timeoutms\""), "{words:?}");
        assert!(words[1].contains("gateway.max_concurrent_requests is a whole number"), "{words:?}");
    }

    #[test]
    fn every_problem_is_found_at_once() {
        let layers = Layers::new(json!({"project": "0p", "store": {"url": "memcached://x", "timeout_ms": 0},
            "gateway": {"listen": "0.0.0.0:80"}, "materializer": {"batch_rows": 0}}));
        let errors = layers.raw().unwrap().validate(Path::new("/p")).unwrap_err();
        let paths = errors.iter().map(|error| error.path).collect::<Vec<_>>();
        assert_eq!(paths, ["project", "store.timeout_ms", "store.url", "gateway.listen", "materializer.batch_rows"]);
        assert!(Layers::new(json!({"project": "p", "stor": {}})).raw().unwrap_err().to_string().contains("stor"));
    }
}
