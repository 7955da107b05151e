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

/// The merged configuration, not yet checked. It holds secrets as they are; its `Debug` does not show them.
#[derive(Clone)]
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
    /// The variable's text is not one that the key takes.
    #[error("environment variable {name}: {key}: {reason}")]
    RefusedVariable {
        /// The variable.
        name: String,
        /// The key.
        key: String,
        /// Why.
        reason: String,
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
                Ok(value) => match refused(&path, &value) {
                    None => self.set(&path, value, Layer::Env),
                    Some(reason) => errors.push(LayersError::RefusedVariable { name, key, reason }),
                },
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

    /// The layer that `key` has its value from.
    pub(crate) fn layer(&self, key: &str) -> Option<Layer> {
        self.origins.get(key).copied()
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

impl std::fmt::Debug for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Layers").field(&self.effective()).finish()
    }
}

/// Why the configuration does not take `value` under `path`: a number too large, a word that is no choice.
fn refused(path: &[String], value: &Value) -> Option<String> {
    let mut probe = Layers { merged: defaults(), origins: BTreeMap::new() };
    probe.set(path, value.clone(), Layer::Env);
    probe.raw().err().map(|error| error.to_string())
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
        assert!(!format!("{layers:?}").contains("s3cret") && !format!("{layers:?}").contains("123"));
        let raw = layers.raw().unwrap();
        let (shown, written) = (format!("{raw:?}"), serde_json::to_string(&raw).unwrap());
        assert!([shown, written].iter().all(|text| !text.contains("s3cret") && !text.contains("123")));
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
                ("TIDEGATE__MATERIALIZER__BATCH_ROWS", "5000000000"),
                ("TIDEGATE__STORE__DURABILITY", "for ever"),
            ]))
            .unwrap_err();
        let words = errors.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(words[0].contains("there is no configuration key \"store.timeoutms\""), "{words:?}");
        assert!(words[1].contains("gateway.max_concurrent_requests is a whole number"), "{words:?}");
        assert!(words[2].contains("materializer.batch_rows: ") && words[2].contains("5000000000"), "{words:?}");
        assert!(words[3].contains("store.durability: ") && words[3].contains("`process` or `power`"), "{words:?}");
    }

    #[test]
    fn every_problem_is_found_at_once() {
        let layers = Layers::new(json!({"project": "0p", "store": {"url": "memcached://x", "timeout_ms": 0},
            "gateway": {"listen": "0.0.0.0:80"}, "materializer": {"batch_rows": 0}, "log": {"level": "loud"}}));
        let errors = layers.raw().unwrap().validate(Path::new("/p")).unwrap_err();
        let paths = errors.iter().map(|error| error.path).collect::<Vec<_>>();
        let expected =
            ["project", "store.timeout_ms", "store.url", "gateway.listen", "materializer.batch_rows", "log.level"];
        assert_eq!(paths, expected);
        assert!(Layers::new(json!({"project": "p", "stor": {}})).raw().unwrap_err().to_string().contains("stor"));
    }

    #[test]
    fn a_filter_and_a_url_are_refused_before_anything_is_opened() {
        let words = |config: Value| {
            let errors = Layers::new(config).raw().unwrap().validate(Path::new("/p")).unwrap_err();
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        for (level, expected) in [
            ("loud", "log.level: \"loud\" is no level (off, error, warn, info, debug, trace); write it like info"),
            ("info,tidegate_store", "log.level: \"tidegate_store\" is no level"),
            (
                "info,tidegate_store=loud",
                "log.level: \"info,tidegate_store=loud\": error parsing level filter: expected one of",
            ),
        ] {
            let said = words(json!({"project": "p", "log": {"level": level}}));
            assert!(said.starts_with(expected), "{said}");
        }
        for (url, expected) in [
            ("redis://", "store.url: it names no host"),
            ("redis://:s3cret@h:port", "store.url: its port is not a number"),
            ("redis://:s3cret@h/database", "store.url: what follows its / is no database number"),
            ("http://:s3cret@h", "store.url: has \"http\"; it is `embedded` or a redis:// URL"),
        ] {
            let said = words(json!({"project": "p", "store": {"url": url}}));
            assert!(said.starts_with(expected) && !said.contains("s3cret"), "{said}");
        }
        for level in ["info", "WARN", "off", "info,tidegate_store=debug", "tidegate[span]=trace"] {
            let layers = Layers::new(json!({"project": "p", "log": {"level": level}}));
            assert!(layers.raw().unwrap().validate(Path::new("/p")).is_ok(), "{level}");
        }
    }
}
