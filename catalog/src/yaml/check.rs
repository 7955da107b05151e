//! From documents to definitions: dispatches by kind, checks names and references, collects every problem.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Loaded, Problem, SourceText, names, raw, services,
    shape::{self, Shape},
    tree::{self, Kind, Node},
    views,
};
use crate::{
    Definitions, FeatureType, ScalarType,
    definitions::{DataSource, Described, Entity, JoinKey, KeyType, ParquetSource},
};

/// A document whose shape is right, on its way to a definition.
pub(super) struct Document<'a> {
    pub(super) file: &'a str,
    pub(super) node: &'a Node,
}

impl Document<'_> {
    /// A problem at `path`.
    pub(super) fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem::error(self.file, self.node.line_of(path), path, message)
    }
}

/// What is being built.
#[derive(Default)]
pub(super) struct Loading {
    pub(super) loaded: Loaded,
    pub(super) problems: Vec<Problem>,
    /// Names seen, per kind in lower case, with the place of each: for uniqueness without regard to case.
    seen: BTreeMap<(String, String), (String, usize)>,
    /// Definitions that are wrong by themselves: what refers to them is no second mistake.
    broken: BTreeSet<(String, String)>,
    /// Whether a file could not be read at all: what seems to be missing may stand in it.
    unreadable: bool,
}

pub(super) fn load(project: &str, files: &[SourceText]) -> Result<Loaded, Vec<Problem>> {
    let mut loading = Loading::default();
    loading.loaded.definitions.project = project.to_owned();
    let mut documents = Vec::new();
    for file in files {
        match tree::documents(&file.path, &file.text) {
            Ok(nodes) => documents.extend(nodes.into_iter().map(|node| (file.path.as_str(), node))),
            Err(problems) => {
                loading.problems.extend(problems);
                loading.unreadable = true;
            }
        }
    }
    let kinds = shape::kinds();
    let shaped = documents
        .iter()
        .filter_map(|(file, node)| Some((shaped(file, node, &kinds, &mut loading)?, Document { file, node })))
        .collect::<Vec<_>>();
    // each kind refers to the ones before it
    for kind in ["Entity", "DataSource", "FeatureView", "FeatureService", "Endpoint"] {
        for ((_, value), document) in shaped.iter().filter(|((name, _), _)| *name == kind) {
            loading.define(kind, value, document);
        }
    }
    let Loading { mut loaded, mut problems, .. } = loading;
    problems.sort_by(|a, b| (&a.file, a.line, &a.path).cmp(&(&b.file, b.line, &b.path)));
    if problems.is_empty() {
        loaded.warnings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        Ok(loaded)
    } else {
        Err(problems)
    }
}

/// The document's kind and its content without `kind` and `x-` keys; `None` when its shape is wrong.
fn shaped<'k>(
    file: &str,
    node: &Node,
    kinds: &BTreeMap<&'k str, Value>,
    loading: &mut Loading,
) -> Option<(&'k str, Value)> {
    let Kind::Mapping(entries) = &node.kind else {
        loading.problems.push(Problem::error(
            file,
            node.line,
            "",
            format!("a definition is a mapping, this is {}", node.described()),
        ));
        return None;
    };
    let Some(written) = node.get("kind") else {
        let known = kinds.keys().copied().collect::<Vec<_>>().join(", ");
        loading.problems.push(Problem::error(file, node.line, "", format!("the field \"kind\" is missing ({known})")));
        return None;
    };
    let kind = written.text().unwrap_or_default();
    let Some((&kind, schema)) = kinds.get_key_value(kind) else {
        let message = if shape::LATER.contains(&kind) {
            format!("kind {kind} is not yet supported")
        } else {
            let known = kinds.keys().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            let named = written.text().map_or_else(|| written.described(), |text| format!("{text:?}"));
            format!("there is no kind {named}{}", names::hint(kind, &known))
        };
        loading.problems.push(Problem::error(file, written.line, "kind", message));
        return None;
    };
    let kept = entries.iter().filter(|(key, ..)| key != "kind" && !key.starts_with("x-")).cloned().collect();
    let body = Node { line: node.line, kind: Kind::Mapping(kept) };
    let before = loading.problems.len();
    Shape { file, root: schema, problems: &mut loading.problems }.check(&body, schema, "");
    if loading.problems.len() > before {
        loading.set_broken(kind, body.get("name").and_then(Node::text).unwrap_or_default());
        return None;
    }
    Some((kind, body.to_json()))
}

impl Loading {
    fn define(&mut self, kind: &str, value: &Value, document: &Document<'_>) {
        let Some(name) = value.get("name").and_then(Value::as_str) else { return };
        if let Some(refusal) = names::refusal(name) {
            self.set_broken(kind, name);
            return self.problems.push(document.problem("name", refusal));
        }
        let place = (document.file.to_owned(), document.node.line_of("name"));
        if let Some((file, line)) = self.seen.insert((kind.to_owned(), name.to_lowercase()), place) {
            let message = format!("{name:?} is the name of the {kind} in {file}:{line} already (case does not count)");
            return self.problems.push(document.problem("name", message));
        }
        self.loaded.locations.insert(kind, name, document.file, document.node.clone());
        match kind {
            "Entity" => self.with(value, document, Self::entity),
            "DataSource" => self.with(value, document, Self::source),
            "FeatureView" => self.with(value, document, views::define),
            "FeatureService" => self.with(value, document, services::define_service),
            _ => self.with(value, document, services::define_endpoint),
        }
    }

    /// Reads the raw type, whose shape has been checked, and goes on with it.
    fn with<T: DeserializeOwned>(
        &mut self,
        value: &Value,
        document: &Document<'_>,
        define: fn(&mut Self, T, &Document<'_>),
    ) {
        match serde_json::from_value(value.clone()) {
            Ok(raw) => define(self, raw, document),
            Err(error) => self.problems.push(document.problem("", error.to_string())),
        }
    }

    fn entity(&mut self, raw: raw::Entity, document: &Document<'_>) {
        if raw.join_keys.is_empty() {
            self.problems.push(document.problem("join_keys", "an entity has at least one join key"));
        }
        let mut join_keys: Vec<JoinKey> = Vec::new();
        for (index, key) in raw.join_keys.iter().enumerate() {
            let path = format!("join_keys[{index}]");
            if let Some(refusal) = names::refusal(&key.name) {
                self.problems.push(document.problem(&format!("{path}.name"), refusal));
            }
            if join_keys.iter().any(|known| known.name.eq_ignore_ascii_case(&key.name)) {
                self.problems.push(document.problem(&path, format!("join key {:?} stands here twice", key.name)));
            }
            match key.type_name.parse() {
                Ok(FeatureType::Scalar(scalar)) => match KeyType::from_scalar(scalar) {
                    Some(key_type) => join_keys.push(JoinKey { name: key.name.clone(), key_type }),
                    None => self.problems.push(document.problem(
                        &format!("{path}.type"),
                        format!(
                            "a join key cannot be {}: equal floats are a trap; use a string or an integer",
                            scalar.name()
                        ),
                    )),
                },
                Ok(FeatureType::List(_)) => {
                    self.problems.push(document.problem(&format!("{path}.type"), "a join key cannot be a list"));
                }
                Err(error) => self.problems.push(document.problem(&format!("{path}.type"), error.to_string())),
            }
        }
        let described = described(raw.description, raw.owner, raw.tags);
        let entity = Entity { name: raw.name.clone(), join_keys, described };
        self.loaded.definitions.entities.insert(raw.name, entity);
    }

    fn source(&mut self, raw: raw::DataSource, document: &Document<'_>) {
        if raw.parquet.path.trim().is_empty() {
            self.problems.push(document.problem("parquet.path", "the path is empty"));
        }
        let described = described(raw.description, raw.owner, raw.tags);
        let parquet = ParquetSource { path: raw.parquet.path };
        let source = DataSource { name: raw.name.clone(), parquet, described };
        self.loaded.definitions.sources.insert(raw.name, source);
    }

    /// Reads a type name, or says what is wrong with it.
    pub(super) fn feature_type(&mut self, name: &str, path: &str, document: &Document<'_>) -> FeatureType {
        name.parse().unwrap_or_else(|error: crate::feature_type::TypeNameError| {
            self.problems.push(document.problem(path, error.to_string()));
            FeatureType::Scalar(ScalarType::Bool)
        })
    }

    /// Notes that a definition is there, though it cannot be used.
    pub(super) fn set_broken(&mut self, kind: &str, name: &str) {
        self.broken.insert((kind.to_owned(), name.to_owned()));
    }

    /// Pushes the problem of a reference to `name`, unless that definition is there and has problems of its own.
    pub(super) fn dangling(&mut self, kind: &str, name: &str, problem: Problem) {
        if !self.unreadable && !self.broken.contains(&(kind.to_owned(), name.to_owned())) {
            self.problems.push(problem);
        }
    }

    pub(super) fn definitions(&self) -> &Definitions {
        &self.loaded.definitions
    }
}

pub(super) fn described(
    description: Option<String>,
    owner: Option<String>,
    tags: BTreeMap<String, String>,
) -> Described {
    Described { description, owner, tags }
}
