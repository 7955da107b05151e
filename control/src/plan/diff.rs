//! Definitions compared field by field, in the form in which people write them.

use serde::Serialize;
use serde_json::{Map, Value};
use tidegate_catalog::{
    Definitions,
    definitions::{DefaultValue, FeatureView},
};

use super::{Action, Change, FieldChange};
use crate::Kind;

/// Every definition that differs, by kind and name.
pub(super) fn changes(held: &Definitions, next: &Definitions) -> Vec<Change> {
    let kinds = [
        (Kind::Entity, written(&held.entities), written(&next.entities)),
        (Kind::DataSource, written(&held.sources), written(&next.sources)),
        (Kind::FeatureView, written_views(held), written_views(next)),
        (Kind::FeatureService, written(&held.services), written(&next.services)),
        (Kind::Endpoint, written(&held.endpoints), written(&next.endpoints)),
    ];
    kinds.iter().flat_map(|(kind, held, next)| of_kind(*kind, held, next)).collect()
}

fn of_kind(kind: Kind, held: &Map<String, Value>, next: &Map<String, Value>) -> Vec<Change> {
    let change = |action, name: &str, fields| Change { action, kind, name: name.to_owned(), fields };
    let mut changes = Vec::new();
    for (name, definition) in next {
        match held.get(name) {
            None => changes.push(change(Action::Added, name, Vec::new())),
            Some(before) => {
                let mut fields = Vec::new();
                compare("", Some(before), Some(definition), &mut fields);
                if !fields.is_empty() {
                    changes.push(change(Action::Changed, name, fields));
                }
            }
        }
    }
    let gone = held.keys().filter(|name| !next.contains_key(*name));
    changes.extend(gone.map(|name| change(Action::Removed, name, Vec::new())));
    changes.sort_by(|left, right| left.name.cmp(&right.name));
    changes
}

fn written<T: Serialize>(definitions: &std::collections::BTreeMap<String, T>) -> Map<String, Value> {
    let value = |definition| serde_json::to_value(definition).expect("definitions have string keys and no floats");
    definitions.iter().map(|(name, definition)| (name.clone(), value(definition))).collect()
}

/// Views as people write them: spans with units, defaults as plain values, the query's parts at the top.
fn written_views(definitions: &Definitions) -> Map<String, Value> {
    let mut views = written(&definitions.views);
    for (name, written) in &mut views {
        let Some(view) = definitions.views.get(name) else { continue };
        let Value::Object(fields) = written.take() else { continue };
        let fields = fields.into_iter().flat_map(|(field, value)| match (field.as_str(), value) {
            ("query", Value::Object(query)) => query.into_iter().flat_map(lifted).collect(),
            ("ttl", value) => vec![(field, view.ttl.map_or(value, |ttl| span(ttl.micros()).into()))],
            ("features", Value::Array(features)) => vec![(field, with_defaults(view, features))],
            (_, value) => vec![(field, value)],
        });
        *written = Value::Object(fields.collect());
    }
    views
}

/// A query's form without the form's own name, where it has several parts.
fn lifted((form, part): (String, Value)) -> Vec<(String, Value)> {
    match part {
        Value::Object(parts) => parts.into_iter().collect(),
        whole => vec![(form, whole)],
    }
}

fn with_defaults(view: &FeatureView, mut features: Vec<Value>) -> Value {
    for (feature, written) in view.features.iter().zip(&mut features) {
        if let (Some(default), Some(field)) = (&feature.default, written.get_mut("default")) {
            *field = plain(default);
        }
    }
    Value::Array(features)
}

/// A span in its greatest unit without a rest: `24h`, `500ms`.
fn span(micros: i64) -> String {
    const HOUR: i64 = 3_600_000_000;
    // a single day reads better as hours, and so it is mostly written
    let day = if micros == 24 * HOUR { HOUR } else { 24 * HOUR };
    let units = [(24 * HOUR, "d"), (HOUR, "h"), (60_000_000, "m"), (1_000_000, "s"), (1_000, "ms")];
    let fits = |(unit, _): &&(i64, &str)| *unit <= day && micros % unit == 0;
    let (unit, name) = units.iter().find(fits).copied().unwrap_or((1, "us"));
    format!("{}{name}", micros / unit)
}

fn plain(default: &DefaultValue) -> Value {
    match default {
        DefaultValue::Bool(value) => (*value).into(),
        DefaultValue::Int32(value) => (*value).into(),
        DefaultValue::Int64(value) => (*value).into(),
        DefaultValue::Float32(bits) => {
            // by its own shortest digits, not by those of the double that it widens to
            float(f32::from_bits(*bits).to_string().parse().unwrap_or(f64::NAN))
        }
        DefaultValue::Float64(bits) => float(f64::from_bits(*bits)),
        DefaultValue::Timestamp(value) => value.to_string().into(),
        DefaultValue::Date(days) => {
            let midnight = i64::from(*days).saturating_mul(86_400_000_000);
            let text = tidegate_catalog::Micros(midnight).to_string();
            text.strip_suffix("T00:00:00Z").unwrap_or(&text).into()
        }
        DefaultValue::String(value) => value.as_str().into(),
        DefaultValue::Bytes(value) => value.escape_ascii().to_string().into(),
        DefaultValue::List(values) => values.iter().map(|value| value.as_ref().map_or(Value::Null, plain)).collect(),
    }
}

fn float(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}

/// Pushes what differs below `path`. A whole object that comes or goes is one change.
fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<FieldChange>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&below, old.get(key), new.get(key), found);
            }
        }
        (Some(Value::Array(old_list)), Some(Value::Array(new_list))) => match (by_name(old_list), by_name(new_list)) {
            (Some(old), Some(new)) => compare_named(path, &old, &new, found),
            _ => found.push(FieldChange { path: path.to_owned(), old: old.cloned(), new: new.cloned() }),
        },
        _ => found.push(FieldChange { path: path.to_owned(), old: old.cloned(), new: new.cloned() }),
    }
}

type Named<'v> = Vec<(String, &'v Value)>;

fn compare_named(path: &str, old: &Named<'_>, new: &Named<'_>, found: &mut Vec<FieldChange>) {
    let of = |list: &Named<'_>, name: &str| list.iter().position(|(other, _)| other == name);
    let value =
        |list: &Named<'_>, name: &str| of(list, name).and_then(|at| list.get(at)).map(|(_, value)| (*value).clone());
    let names = |list: &Named<'_>, other: &Named<'_>| {
        list.iter().filter(|(name, _)| of(other, name).is_some()).map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    for (name, _) in old.iter().chain(new.iter().filter(|(name, _)| of(old, name).is_none())) {
        compare(&format!("{path}[{name}]"), value(old, name).as_ref(), value(new, name).as_ref(), found);
    }
    let (before, after) = (names(old, new), names(new, old));
    if before != after {
        found.push(FieldChange { path: format!("{path} (order)"), old: Some(before.into()), new: Some(after.into()) });
    }
}

/// The elements under their names: `name`, or `alias:feature` in a service. `None` unless each has one of its own.
fn by_name(list: &[Value]) -> Option<Named<'_>> {
    let name = |element: &Value| {
        let text = |field| element.get(field).and_then(Value::as_str);
        let reference = || Some(format!("{}:{}", text("alias")?, text("feature")?));
        text("name").map(str::to_owned).or_else(reference)
    };
    let named = list.iter().map(|element| Some((name(element)?, element))).collect::<Option<Named<'_>>>()?;
    let distinct = named.iter().map(|(name, _)| name).collect::<std::collections::BTreeSet<_>>().len();
    (distinct == named.len()).then_some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_they_are_written() {
        let table =
            [(86_400_000_000, "24h"), (172_800_000_000, "2d"), (500_000, "500ms"), (7, "7us"), (90_000_000, "90s")];
        for (micros, text) in table {
            assert_eq!(span(micros), text);
        }
    }

    #[test]
    fn defaults_read_as_they_are_written() {
        assert_eq!(plain(&DefaultValue::Float32(0.2_f32.to_bits())).to_string(), "0.2");
        assert_eq!(plain(&DefaultValue::Float64(f64::NAN.to_bits())).to_string(), "\"NaN\"");
        assert_eq!(plain(&DefaultValue::Date(1)).to_string(), "\"1970-01-02\"");
        assert_eq!(plain(&DefaultValue::List(vec![Some(DefaultValue::Int32(1)), None])).to_string(), "[1,null]");
    }
}
