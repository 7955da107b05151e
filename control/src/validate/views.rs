//! A view against its planned output: the columns are there and have types that their uses accept.

use arrow_schema::DataType;
use tidegate_catalog::{
    Definitions, ScalarType,
    definitions::{FeatureView, ViewQuery},
};

use super::{
    Problems, Severity,
    functions::{planned_as, volatile_calls},
    suggestion,
};
use crate::{
    Facts, Kind, Target,
    facts::{Fact, PlannedView},
};

/// Checks `view`; what cannot be known while a source is broken is said to be so, once.
pub(super) fn check(definitions: &Definitions, view: &FeatureView, facts: &Facts, problems: &mut Problems) {
    let (text, path) = match &view.query {
        ViewQuery::Sql(sql) => (Some(sql), "sql"),
        ViewQuery::Source { filter: Some(filter), .. } => (Some(filter), "filter"),
        ViewQuery::Source { filter: None, .. } => (None, "source"),
    };
    let query = Target::new(Kind::FeatureView, &view.name, path);
    let calls = text.map_or_else(Vec::new, |text| volatile_calls(text));
    for call in &calls {
        let position = Some(call.position);
        problems.push_at(Severity::Error, &query, position, refused(call.function));
    }
    let broken =
        view.source_names(definitions).into_iter().find(|s| matches!(facts.sources.get(*s), Some(Fact::Failed(_))));
    if let Some(source) = broken {
        let message = format!("its columns could not be checked: data source {source:?} has an error");
        problems.push(Severity::NotMade, &query, message);
        return;
    }
    let Some(planned) = problems.gathered(facts.views.get(&view.name), &query, "its columns") else { return };
    for function in &planned.volatile {
        if !calls.iter().any(|call| planned_as(call.function).eq_ignore_ascii_case(function)) {
            problems.push(Severity::Error, &query, refused(function));
        }
    }
    for warning in &planned.order_warnings {
        problems.push(Severity::Warning, &query, warning);
    }
    columns(view, planned, problems);
}

fn refused(function: &str) -> String {
    format!(
        "{function}() gives another value on every run, so rows could not be compared or built again; use a column of \
         the data, or set the time with --as-of"
    )
}

fn columns(view: &FeatureView, planned: &PlannedView, problems: &mut Problems) {
    let mut output = Output { view, planned, problems };
    let time =
        |kind: &str| format!("{kind} is a timestamp or a date; convert it, for example with to_timestamp_seconds");
    let is_time = |data_type: &DataType| ScalarType::Timestamp.accepts(data_type);
    output.require("timestamp_field", &view.timestamp_field, is_time, || time("an event time"));
    if let Some(created) = &view.created_timestamp_field {
        output.require("created_timestamp_field", created, is_time, || time("a created time"));
    }
    if let Some(deleted) = &view.deleted_field {
        let is_bool = |data_type: &DataType| ScalarType::Bool.accepts(data_type);
        output
            .require("deleted_field", deleted, is_bool, || "a deleted field is bool; compare it in the SQL".to_owned());
    }
    for key in &view.join_keys {
        let scalar = key.key_type.scalar();
        let accepts = |data_type: &DataType| scalar.accepts(data_type);
        let name = scalar.name();
        output.require("entities", &key.name, accepts, || {
            format!("the join key is {name}; cast it, or change the entity")
        });
    }
    for (index, feature) in view.features.iter().enumerate() {
        let accepts = |data_type: &DataType| feature.feature_type.accepts(data_type);
        let wanted = || {
            let declared = feature.feature_type;
            format!("the feature is declared {declared}; cast it in the SQL, or change the declaration")
        };
        output.require(&format!("features[{index}]"), &feature.name, accepts, wanted);
    }
}

/// A view's planned output while its columns are looked up.
struct Output<'o> {
    view: &'o FeatureView,
    planned: &'o PlannedView,
    problems: &'o mut Problems,
}

impl Output<'_> {
    fn require(
        &mut self,
        path: &str,
        column: &str,
        accepts: impl Fn(&DataType) -> bool,
        wanted: impl FnOnce() -> String,
    ) {
        let mut named = self.planned.columns.iter().filter(|candidate| candidate.name == column);
        let message = match (named.next(), named.next()) {
            (Some(_), Some(_)) => format!("column {column:?} stands twice in the view's output; name one otherwise"),
            (Some(found), None) if accepts(&found.data_type) => return,
            (Some(found), None) => format!("column {column:?} is {}, {}", found.data_type, wanted()),
            (None, _) => {
                let names = self.planned.columns.iter().map(|column| column.name.as_str());
                format!("column {column:?} is not in the view's output{}", suggestion(column, names))
            }
        };
        self.problems.push(Severity::Error, &Target::new(Kind::FeatureView, &self.view.name, path), message);
    }
}
