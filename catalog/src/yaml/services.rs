//! Feature services and endpoints: references expanded and frozen, collisions refused.

use std::collections::BTreeMap;

use super::{
    check::{Document, Loading, described},
    names, raw,
};
use crate::definitions::{
    Endpoint, FeatureService, FeatureView, KeyType, MAX_BATCH_SIZE, MAX_DEADLINE_MS, MAX_REPLICAS, MissingRule,
    ModelRef, RequestField, ServiceFeature, Variant,
};

const DEFAULT_DEADLINE_MS: u32 = 500;
const DEFAULT_BATCH: u32 = 64;

/// Checks a service and adds it.
pub(super) fn define_service(loading: &mut Loading, raw: raw::FeatureService, document: &Document<'_>) {
    let mut request: Vec<RequestField> = Vec::new();
    for (index, field) in raw.request.iter().enumerate() {
        let path = format!("request[{index}]");
        if let Some(refusal) = names::refusal(&field.name) {
            loading.problems.push(document.problem(&format!("{path}.name"), refusal));
        }
        if request.iter().any(|known| known.name.eq_ignore_ascii_case(&field.name)) {
            let message = format!("request value {:?} stands here twice", field.name);
            loading.problems.push(document.problem(&path, message));
        }
        let feature_type = loading.feature_type(&field.type_name, &format!("{path}.type"), document);
        request.push(RequestField { name: field.name.clone(), feature_type });
    }
    let mut service = FeatureService {
        name: raw.name.clone(),
        request,
        features: Vec::new(),
        stars: Vec::new(),
        described: described(raw.description, raw.owner, raw.tags),
    };
    for (index, reference) in raw.features.iter().enumerate() {
        let path = format!("features[{index}]");
        match reference {
            raw::FeatureRef::Short(text) => add_short(loading, &mut service, text, &path, document),
            raw::FeatureRef::Aliased(aliased) => add_aliased(loading, &mut service, aliased, &path, document),
        }
    }
    if service.features.is_empty() && service.request.is_empty() && loading.problems.is_empty() {
        loading.problems.push(document.problem("features", "a feature service without features or request values"));
    }
    require_distinct_columns(loading, &service, document);
    require_one_type_per_column(loading, &service, document);
    loading.loaded.definitions.services.insert(raw.name, service);
}

fn add_short(loading: &mut Loading, service: &mut FeatureService, text: &str, path: &str, document: &Document<'_>) {
    let Some((view, feature)) = text.split_once(':') else {
        let message = format!("{text:?} is no reference; write view:feature or view:*");
        return loading.problems.push(document.problem(path, message));
    };
    let Some(view) = view_named(loading, view, path, document) else { return };
    let alias = view.name.clone();
    add(
        loading,
        service,
        Reference { view: &view, alias: &alias, join_keys: BTreeMap::new() },
        feature,
        (path, document),
    );
}

fn add_aliased(
    loading: &mut Loading,
    service: &mut FeatureService,
    aliased: &raw::Aliased,
    path: &str,
    document: &Document<'_>,
) {
    let Some(view) = view_named(loading, &aliased.view, &format!("{path}.view"), document) else { return };
    let alias = aliased.alias.clone().unwrap_or_else(|| view.name.clone());
    if let Some(refusal) = names::refusal(&alias) {
        loading.problems.push(document.problem(&format!("{path}.as"), refusal));
    }
    if alias != view.name && loading.definitions().views.contains_key(&alias) {
        let message = format!("{alias:?} is a feature view of its own; choose another alias");
        loading.problems.push(document.problem(&format!("{path}.as"), message));
    }
    let known = view.join_keys.iter().map(|key| key.name.clone()).collect::<Vec<_>>();
    for (key, column) in &aliased.join_keys {
        let at = format!("{path}.join_keys.{key}");
        if !known.contains(key) {
            let message = format!("view {:?} has no join key {key:?}{}", view.name, names::hint(key, &known));
            loading.problems.push(document.problem(&at, message));
        }
        if let Some(refusal) = names::refusal(column) {
            loading.problems.push(document.problem(&at, refusal));
        }
    }
    let all = ["*".to_owned()];
    let features = if aliased.features.is_empty() { &all[..] } else { &aliased.features };
    for (index, feature) in features.iter().enumerate() {
        let at = format!("{path}.features[{index}]");
        let reference = Reference { view: &view, alias: &alias, join_keys: aliased.join_keys.clone() };
        add(loading, service, reference, feature, (&at, document));
    }
}

struct Reference<'a> {
    view: &'a FeatureView,
    alias: &'a str,
    join_keys: BTreeMap<String, String>,
}

fn add(
    loading: &mut Loading,
    service: &mut FeatureService,
    reference: Reference<'_>,
    feature: &str,
    (path, document): (&str, &Document<'_>),
) {
    let chosen = match feature {
        "*" => {
            service.stars.push(reference.alias.to_owned());
            reference.view.features.iter().map(|feature| feature.name.clone()).collect()
        }
        name if reference.view.features.iter().any(|known| known.name == name) => vec![name.to_owned()],
        name => {
            let known = reference.view.features.iter().map(|feature| feature.name.clone()).collect::<Vec<_>>();
            let hint = names::hint(name, &known);
            let message = format!("view {:?} has no feature {name:?}{hint}", reference.view.name);
            return loading.problems.push(document.problem(path, message));
        }
    };
    let other = service.features.iter().find(|known| {
        known.alias.eq_ignore_ascii_case(reference.alias)
            && (known.view != reference.view.name || known.join_keys != reference.join_keys)
    });
    if let Some(other) = other {
        let message = format!(
            "{:?} stands for view {:?} under other join keys already; give this one a name of its own with `as:`",
            reference.alias, other.view
        );
        return loading.problems.push(document.problem(path, message));
    }
    for feature in chosen {
        let new = ServiceFeature {
            view: reference.view.name.clone(),
            alias: reference.alias.to_owned(),
            feature,
            join_keys: reference.join_keys.clone(),
        };
        if service.features.iter().any(|known| known.alias == new.alias && known.feature == new.feature) {
            let message = format!("{} is in this service twice", new.reference());
            loading.problems.push(document.problem(path, message));
        } else {
            service.features.push(new);
        }
    }
}

fn view_named(loading: &mut Loading, name: &str, path: &str, document: &Document<'_>) -> Option<FeatureView> {
    if name.contains('@') {
        let message = format!("{name:?}: `view@vN` is reserved for versions, which are not yet served");
        loading.problems.push(document.problem(path, message));
        return None;
    }
    let found = loading.definitions().views.get(name).cloned();
    if found.is_none() {
        let hint = names::hint(name, loading.definitions().views.keys());
        let problem = document.problem(path, format!("there is no feature view {name:?}{hint}"));
        loading.dangling("FeatureView", name, problem);
    }
    found
}

/// `alias__feature` and request values are the columns of a dataset and a model's inputs by name: no two may be equal.
fn require_distinct_columns(loading: &mut Loading, service: &FeatureService, document: &Document<'_>) {
    let mut columns: BTreeMap<String, String> = BTreeMap::new();
    for field in &service.request {
        columns.insert(field.name.to_lowercase(), format!("request value {}", field.name));
    }
    for feature in &service.features {
        let what = feature.reference();
        if let Some(other) = columns.insert(feature.column().to_lowercase(), what.clone()) {
            let message =
                format!("{what} and {other} would both be the column {:?}; give one an alias", feature.column());
            loading.problems.push(document.problem("features", message));
        }
    }
}

/// The caller brings each join-key column once, so it has one type for all views that read it. Integers meet.
fn require_one_type_per_column(loading: &mut Loading, service: &FeatureService, document: &Document<'_>) {
    let mut columns: BTreeMap<String, (KeyType, &str)> = BTreeMap::new();
    let mut problems = Vec::new();
    for feature in &service.features {
        let Some(view) = loading.definitions().views.get(&feature.view) else { continue };
        for key in &view.join_keys {
            let column = feature.join_keys.get(&key.name).unwrap_or(&key.name);
            let met = if key.key_type == KeyType::Int32 { KeyType::Int64 } else { key.key_type };
            let (known, first) = *columns.entry(column.clone()).or_insert((met, &feature.alias));
            if known != met && !problems.iter().any(|(problem, _)| problem == column) {
                let (known, met) = (known.scalar().name(), met.scalar().name());
                let message = format!(
                    "the caller's column {column:?} is {known} for {first:?} and {met} for {:?}; map one to another column with `join_keys:`",
                    feature.alias
                );
                problems.push((column.clone(), message));
            }
        }
    }
    loading.problems.extend(problems.into_iter().map(|(_, message)| document.problem("features", message)));
}

/// Checks an endpoint and adds it.
pub(super) fn define_endpoint(loading: &mut Loading, raw: raw::Endpoint, document: &Document<'_>) {
    let mut variants = Vec::new();
    match (raw.feature_service, raw.model, raw.variants.is_empty()) {
        (Some(service), Some(model), true) => {
            let short = raw::Variant { name: "main".to_owned(), feature_service: service, model };
            variants.extend(variant(loading, short, "", document));
        }
        (None, None, false) => {
            if raw.variants.len() > 1 {
                let message = "several variants need a rule that divides the calls between them, which is not there yet; keep one";
                loading.problems.push(document.problem("variants[1]", message));
            }
            for (index, raw) in raw.variants.into_iter().enumerate() {
                variants.extend(variant(loading, raw, &format!("variants[{index}]."), document));
            }
        }
        (service, model, true) => {
            let missing = match (service, model) {
                (None, Some(_)) => "`feature_service` is missing beside `model`",
                (Some(_), None) => "`model` is missing beside `feature_service`",
                _ => "an endpoint needs `feature_service` and `model`, or `variants`",
            };
            loading.problems.push(document.problem("", missing));
        }
        (_, _, false) => {
            let message = "an endpoint has either `feature_service` and `model`, or `variants`, not both";
            loading.problems.push(document.problem("variants", message));
        }
    }
    for (index, variant) in variants.iter().enumerate() {
        if variants.iter().take(index).any(|known: &Variant| known.name.eq_ignore_ascii_case(&variant.name)) {
            let message = format!("variant {:?} stands here twice", variant.name);
            loading.problems.push(document.problem(&format!("variants[{index}].name"), message));
        }
    }
    match raw.deadline_ms {
        Some(0) => loading.problems.push(document.problem("deadline_ms", "is 0; leave it out for 500")),
        Some(long) if long > MAX_DEADLINE_MS => {
            let message = format!("is {long}; no call may take longer than {MAX_DEADLINE_MS}");
            loading.problems.push(document.problem("deadline_ms", message));
        }
        Some(_) | None => {}
    }
    let missing = match raw.missing {
        raw::Missing::Unset | raw::Missing::Named(raw::MissingName::Null) => MissingRule::Null,
        raw::Missing::Named(raw::MissingName::Error) => MissingRule::Error,
    };
    let endpoint = Endpoint {
        name: raw.name.clone(),
        variants,
        missing,
        deadline_ms: raw.deadline_ms.unwrap_or(DEFAULT_DEADLINE_MS),
        described: described(raw.description, raw.owner, raw.tags),
    };
    loading.loaded.definitions.endpoints.insert(raw.name, endpoint);
}

fn variant(loading: &mut Loading, raw: raw::Variant, prefix: &str, document: &Document<'_>) -> Option<Variant> {
    if let Some(refusal) = names::refusal(&raw.name) {
        loading.problems.push(document.problem(&format!("{prefix}name"), refusal));
    }
    if !loading.definitions().services.contains_key(&raw.feature_service) {
        let name = &raw.feature_service;
        let hint = names::hint(name, loading.definitions().services.keys());
        let message = format!("there is no feature service {name:?}{hint}");
        let problem = document.problem(&format!("{prefix}feature_service"), message);
        loading.dangling("FeatureService", name, problem);
    }
    let stem = std::path::Path::new(&raw.model.path).file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    let Some(stem) = stem else {
        loading.problems.push(document.problem(&format!("{prefix}model.path"), "names no file"));
        return None;
    };
    let sizes =
        [(raw.model.replicas, "replicas", MAX_REPLICAS), (raw.model.max_batch_size, "max_batch_size", MAX_BATCH_SIZE)];
    for (value, field, most) in sizes {
        let refusal = match value {
            Some(0) => "is 0; it must be at least 1".to_owned(),
            Some(value) if value > most => format!("is {value}; the most is {most}"),
            Some(_) | None => continue,
        };
        loading.problems.push(document.problem(&format!("{prefix}model.{field}"), refusal));
    }
    let model = ModelRef {
        path: raw.model.path,
        name: raw.model.name.unwrap_or(stem),
        version: raw.model.version.unwrap_or_else(|| "1".to_owned()),
        replicas: raw.model.replicas.unwrap_or(1),
        max_batch_size: raw.model.max_batch_size.unwrap_or(DEFAULT_BATCH),
    };
    Some(Variant { name: raw.name, feature_service: raw.feature_service, model })
}
