//! Feature views: entities to join keys, ttl, features with their defaults.

use std::collections::BTreeMap;

use super::{
    check::{Document, Loading, described},
    defaults, names, raw,
};
use crate::{
    Ttl,
    definitions::{Feature, FeatureView, JoinKey, ViewQuery},
};

/// Checks a view and adds it.
pub(super) fn define(loading: &mut Loading, raw: raw::FeatureView, document: &Document<'_>) {
    let join_keys = join_keys(loading, &raw, document);
    let query = query(loading, &raw, document);
    let ttl = raw.ttl.as_deref().and_then(|text| match ttl(text) {
        Ok(ttl) => Some(ttl),
        Err(message) => {
            loading.problems.push(document.problem("ttl", message));
            None
        }
    });
    if raw.features.is_empty() {
        loading.problems.push(document.problem("features", "a feature view has at least one feature"));
    }
    let features = features(loading, &raw, &join_keys, document);
    let Some(query) = query else { return loading.set_broken("FeatureView", &raw.name) };
    let view = FeatureView {
        name: raw.name.clone(),
        entities: raw.entities,
        join_keys,
        query,
        timestamp_field: raw.timestamp_field,
        created_timestamp_field: raw.created_timestamp_field,
        deleted_field: raw.deleted_field,
        ttl,
        features,
        described: described(raw.description, raw.owner, raw.tags),
    };
    loading.loaded.definitions.views.insert(raw.name, view);
}

fn join_keys(loading: &mut Loading, raw: &raw::FeatureView, document: &Document<'_>) -> Vec<JoinKey> {
    let mut keys: BTreeMap<String, JoinKey> = BTreeMap::new();
    for (index, name) in raw.entities.iter().enumerate() {
        let path = format!("entities[{index}]");
        let Some(entity) = loading.definitions().entities.get(name) else {
            let hint = names::hint(name, loading.definitions().entities.keys());
            let problem = document.problem(&path, format!("there is no entity {name:?}{hint}"));
            loading.dangling("Entity", name, problem);
            continue;
        };
        for key in entity.join_keys.clone() {
            match keys.get(&key.name) {
                Some(known) if known.key_type != key.key_type => {
                    loading.problems.push(document.problem(
                        &path,
                        format!("join key {:?} has another type here than in an entity before", key.name),
                    ))
                }
                _ => drop(keys.insert(key.name.clone(), key)),
            }
        }
    }
    keys.into_values().collect()
}

fn query(loading: &mut Loading, raw: &raw::FeatureView, document: &Document<'_>) -> Option<ViewQuery> {
    match (&raw.sql, &raw.source) {
        (Some(sql), None) => {
            for (given, field) in [(!raw.columns.is_empty(), "columns"), (raw.filter.is_some(), "filter")] {
                if given {
                    loading.problems.push(document.problem(field, "goes with `source`; write it into the SQL"));
                }
            }
            if sql.trim().is_empty() {
                loading.problems.push(document.problem("sql", "the SQL is empty"));
            }
            Some(ViewQuery::Sql(sql.clone()))
        }
        (None, Some(source)) => {
            if !loading.definitions().sources.contains_key(source) {
                let hint = names::hint(source, loading.definitions().sources.keys());
                let problem = document.problem("source", format!("there is no data source {source:?}{hint}"));
                loading.dangling("DataSource", source, problem);
            }
            let (columns, filter) = (raw.columns.clone(), raw.filter.clone());
            Some(ViewQuery::Source { source: source.clone(), columns, filter })
        }
        (Some(_), Some(_)) => {
            loading.problems.push(document.problem("source", "a view has either `sql` or `source`, not both"));
            None
        }
        (None, None) => {
            loading.problems.push(document.problem("", "a view needs `sql`, or `source` for the rows of one source"));
            None
        }
    }
}

fn features(
    loading: &mut Loading,
    raw: &raw::FeatureView,
    join_keys: &[JoinKey],
    document: &Document<'_>,
) -> Vec<Feature> {
    let mut features: Vec<Feature> = Vec::new();
    for (index, feature) in raw.features.iter().enumerate() {
        let path = format!("features[{index}]");
        let name_path = format!("{path}.name");
        if let Some(refusal) = names::refusal(&feature.name) {
            loading.problems.push(document.problem(&name_path, refusal));
        }
        if features.iter().any(|known| known.name.eq_ignore_ascii_case(&feature.name)) {
            let message = format!("feature {:?} stands here twice (case does not count)", feature.name);
            loading.problems.push(document.problem(&name_path, message));
        }
        if join_keys.iter().any(|key| key.name == feature.name) {
            let message = format!("{:?} is a join key of this view; a feature needs a name of its own", feature.name);
            loading.problems.push(document.problem(&name_path, message));
        }
        let feature_type = loading.feature_type(&feature.type_name, &format!("{path}.type"), document);
        let default = (!feature.default.is_null()).then(|| defaults::read(feature_type, &feature.default));
        let default = default.and_then(|read| {
            read.map_err(|message| loading.problems.push(document.problem(&format!("{path}.default"), message))).ok()
        });
        features.push(Feature {
            name: feature.name.clone(),
            feature_type,
            default,
            described: described(feature.description.clone(), feature.owner.clone(), feature.tags.clone()),
        });
    }
    features
}

/// Reads `24h`, `3h`, `7d`, `500ms`, `1h 30m`.
fn ttl(text: &str) -> Result<Ttl, String> {
    if text.trim_start().starts_with('-') {
        return Err(format!("{text:?} is negative; a ttl is a span after the event, like 24h"));
    }
    if matches!(text.trim(), "0") {
        return Err("a ttl of 0 would expire every row at once; leave it out for no limit".to_owned());
    }
    let span = humantime::parse_duration(text)
        .map_err(|_| format!("{text:?} is not a span of time; write it like 24h, 3h, 7d or 500ms"))?;
    if span.is_zero() {
        return Err("a ttl of 0 would expire every row at once; leave it out for no limit".to_owned());
    }
    if span.subsec_nanos() % 1_000 != 0 {
        return Err(format!("{text:?} is finer than a microsecond"));
    }
    let micros = i64::try_from(span.as_micros()).ok().and_then(Ttl::from_micros);
    micros.ok_or_else(|| format!("{text:?} is longer than time itself; leave the ttl out for no limit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_02_a_ttl_is_a_positive_span() {
        for (text, micros) in [("24h", 86_400_000_000), ("500ms", 500_000), ("2d", 172_800_000_000), ("1us", 1)] {
            assert_eq!(ttl(text).unwrap().micros(), micros);
        }
        for (text, words) in [
            ("0", "leave it out"),
            ("0s", "leave it out"),
            ("-3h", "is negative"),
            ("soon", "is not a span of time"),
            ("3", "is not a span of time"),
            ("1ns", "finer than a microsecond"),
            ("9999999999d", "is longer than time itself"),
        ] {
            assert!(ttl(text).unwrap_err().contains(words), "{text}: {:?}", ttl(text));
        }
    }
}
