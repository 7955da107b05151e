//! Holds a document against the JSON Schema of its raw type: unknown and missing fields, wrong types, all at once.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    Problem, names,
    raw::{DataSource, Endpoint, Entity, FeatureService, FeatureView},
    tree::{Kind, Node},
};

/// The kinds, with the schema of each.
pub(super) fn kinds() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("Entity", schemars::schema_for!(Entity).to_value()),
        ("DataSource", schemars::schema_for!(DataSource).to_value()),
        ("FeatureView", schemars::schema_for!(FeatureView).to_value()),
        ("FeatureService", schemars::schema_for!(FeatureService).to_value()),
        ("Endpoint", schemars::schema_for!(Endpoint).to_value()),
    ])
}

/// Kinds that are known words and come later.
pub(super) const LATER: [&str; 4] = ["StreamFeatureView", "OnDemandFeatureView", "PushSource", "RequestSource"];

/// One schema for all kinds, told apart by `kind`.
pub(super) fn schema() -> Value {
    let mut definitions = Map::new();
    let mut choices = Vec::new();
    for (kind, mut schema) in kinds() {
        if let Some(Value::Object(own)) = schema.get_mut("$defs").map(Value::take) {
            definitions.extend(own);
        }
        let Some(object) = schema.as_object_mut() else { continue };
        object.remove("$defs");
        object.remove("$schema");
        if let Some(Value::Object(properties)) = object.get_mut("properties") {
            properties.insert("kind".to_owned(), json!({"const": kind}));
        }
        if let Some(Value::Array(required)) = object.get_mut("required") {
            required.insert(0, "kind".into());
        }
        object.insert("patternProperties".to_owned(), json!({"^x-": true}));
        choices.push(schema);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tidegate definitions",
        "oneOf": choices,
        "$defs": definitions,
    })
}

/// One document's check: pushes every problem with its line and path.
pub(super) struct Shape<'a> {
    pub(super) file: &'a str,
    /// The kind's schema, for its `$defs`.
    pub(super) root: &'a Value,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Shape<'_> {
    /// Checks `node` against `schema`.
    pub(super) fn check(&mut self, node: &Node, schema: &Value, path: &str) {
        let schema = self.resolve(schema);
        for choices in ["anyOf", "oneOf"] {
            if let Some(Value::Array(choices)) = schema.get(choices) {
                return self.check_choice(node, choices.clone(), path);
            }
        }
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
            return self.check_word(node, allowed, path);
        }
        if let Some(constant) = schema.get("const") {
            return self.check_word(node, std::slice::from_ref(constant), path);
        }
        let types = type_names(&schema);
        if !types.is_empty() && !types.iter().any(|name| is_type(node, name)) {
            let secret = schema.get("writeOnly") == Some(&Value::Bool(true));
            let is = if secret { node.described_without_content().to_owned() } else { node.described() };
            let mut message = format!("must be {}, is {is}", expected(&types));
            if types.iter().any(|name| name == "string") && matches!(node.kind, Kind::Scalar(..)) {
                message.push_str("; put it in quotes if it is meant as text");
            }
            return self.push(node.line, path, message);
        }
        if let Some(message) = out_of_range(node, &schema) {
            return self.push(node.line, path, message);
        }
        match &node.kind {
            Kind::Mapping(entries) => self.check_mapping(node.line, entries, &schema, path),
            Kind::Sequence(items) => {
                let Some(of) = schema.get("items") else { return };
                for (index, item) in items.iter().enumerate() {
                    self.check(item, of, &format!("{path}[{index}]"));
                }
            }
            Kind::Scalar(..) => {}
        }
    }

    fn check_mapping(&mut self, line: usize, entries: &[(String, usize, Node)], schema: &Value, path: &str) {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        for (key, line, node) in entries {
            let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            if let Some(of) = properties.get(key) {
                self.check(node, of, &inner);
            } else if closed {
                let message = format!("there is no such field{}", names::hint(key, properties.keys()));
                self.push(*line, &inner, message);
            } else if let Some(of) = schema.get("additionalProperties") {
                self.check(node, of, &inner);
            }
        }
        for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let Some(name) = required.as_str() else { continue };
            if entries.iter().all(|(key, ..)| key != name) {
                self.push(line, path, format!("the field {name:?} is missing"));
            }
        }
    }

    /// The choice that fits the node's own type; its problems are the node's.
    fn check_choice(&mut self, node: &Node, choices: Vec<Value>, path: &str) {
        let choices = choices.iter().map(|choice| self.resolve(choice)).collect::<Vec<_>>();
        let fits = |choice: &&Value| {
            let types = type_names(choice);
            types.is_empty() || types.iter().any(|name| is_type(node, name))
        };
        let words = choices.iter().filter_map(|choice| choice.get("const").cloned()).collect::<Vec<_>>();
        if words.len() == choices.len() {
            return self.check_word(node, &words, path);
        }
        match choices.iter().find(fits) {
            Some(choice) => self.check(node, choice, path),
            None => {
                let types = choices.iter().flat_map(type_names).collect::<Vec<_>>();
                self.push(node.line, path, format!("must be {}, is {}", expected(&types), node.described()));
            }
        }
    }

    fn check_word(&mut self, node: &Node, allowed: &[Value], path: &str) {
        if let Kind::Scalar(value, _) = &node.kind
            && allowed.contains(value)
        {
            return;
        }
        let words = allowed.iter().filter_map(Value::as_str).collect::<Vec<_>>();
        self.push(node.line, path, format!("must be {}, is {}", words.join(" or "), node.described()));
    }

    fn resolve(&self, schema: &Value) -> Value {
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/$defs/"));
        let found = name.and_then(|name| self.root.get("$defs")?.get(name));
        found.unwrap_or(schema).clone()
    }

    fn push(&mut self, line: usize, path: &str, message: String) {
        self.problems.push(Problem::error(self.file, line, path, message));
    }
}

/// What is wrong with a whole number that the raw type cannot hold.
fn out_of_range(node: &Node, schema: &Value) -> Option<String> {
    let Kind::Scalar(Value::Number(number), written) = &node.kind else { return None };
    let least = schema.get("minimum").and_then(Value::as_u64)?;
    let most = match schema.get("format").and_then(Value::as_str) {
        Some("uint32") => u64::from(u32::MAX),
        _ => u64::MAX,
    };
    let fits = number.as_u64().is_some_and(|value| (least..=most).contains(&value));
    (!fits).then(|| format!("must be from {least} to {most}, is {written}"))
}

fn type_names(schema: &Value) -> Vec<String> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name.clone()],
        Some(Value::Array(names)) => names.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
        _ if schema.get("const").is_some() || schema.get("enum").is_some() => vec!["string".to_owned()],
        _ if schema.get("oneOf").is_some() => vec!["string".to_owned()],
        _ => Vec::new(),
    }
}

fn is_type(node: &Node, name: &str) -> bool {
    match (&node.kind, name) {
        (Kind::Mapping(_), "object") | (Kind::Sequence(_), "array") => true,
        (Kind::Scalar(value, _), _) => match name {
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            _ => false,
        },
        _ => false,
    }
}

fn expected(types: &[String]) -> String {
    let word = |name: &String| match name.as_str() {
        "object" => "a mapping",
        "array" => "a list",
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "left out",
    };
    types.iter().map(word).filter(|word| *word != "left out").collect::<Vec<_>>().join(" or ")
}
