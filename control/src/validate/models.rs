//! A variant's model against its feature service: every input can be fed, with the type that it takes.
//!
//! A model with one `[batch, n]` float32 input (n is not 1) takes every column of the service: the request values in
//! declared order, then the features. Any other names its inputs as the columns (`alias__feature`, a request value's
//! name, or a feature's short name where only one column has it), each `[batch]` or `[batch, 1]`, and may use a subset.

use tidegate_catalog::{
    Definitions, FeatureType, ScalarType,
    definitions::{Endpoint, FeatureService, Variant},
};

use super::{Problems, Severity, suggestion};
use crate::{
    Facts, Kind, Target,
    facts::{Element, ModelSignature, Tensor},
};

/// Checks every variant of `endpoint`.
pub(super) fn check(definitions: &Definitions, endpoint: &Endpoint, facts: &Facts, problems: &mut Problems) {
    for (index, variant) in endpoint.variants.iter().enumerate() {
        let target = Target::new(Kind::Endpoint, &endpoint.name, model_path(endpoint, index));
        let fact = facts.models.get(&variant.model.path);
        let Some(signature) = problems.gathered(fact, &target, "the model's inputs") else { continue };
        let Some(service) = definitions.services.get(&variant.feature_service) else { continue };
        let columns = columns(definitions, service);
        Fit { variant, columns: &columns, target, problems }.check(signature);
    }
}

/// Where the model stands in the document: the shorthand has it at the top.
fn model_path(endpoint: &Endpoint, index: usize) -> String {
    match endpoint.variants.as_slice() {
        [only] if only.name == "main" => "model.path".to_owned(),
        _ => format!("variants[{index}].model.path"),
    }
}

/// A column of the service's dataset.
struct Column {
    name: String,
    /// A feature's own name.
    short: Option<String>,
    feature_type: FeatureType,
}

fn columns(definitions: &Definitions, service: &FeatureService) -> Vec<Column> {
    let request = service.request.iter();
    let request =
        request.map(|field| Column { name: field.name.clone(), short: None, feature_type: field.feature_type });
    let features = service.features.iter().filter_map(|chosen| {
        let view = definitions.views.get(&chosen.view)?;
        let feature = view.features.iter().find(|feature| feature.name == chosen.feature)?;
        let short = Some(chosen.feature.clone());
        Some(Column { name: chosen.column(), short, feature_type: feature.feature_type })
    });
    request.chain(features).collect()
}

/// One model and its service's columns.
struct Fit<'f> {
    variant: &'f Variant,
    columns: &'f [Column],
    target: Target,
    problems: &'f mut Problems,
}

impl Fit<'_> {
    fn check(&mut self, signature: &ModelSignature) {
        let mut fed = Vec::new();
        if let [only] = signature.inputs.as_slice()
            && is_packed(only)
            && (self.columns.len() != 1 || find(self.columns, &only.name).is_err())
        {
            self.packed(only, &mut fed);
        } else {
            for input in &signature.inputs {
                self.by_name(input, &mut fed);
            }
        }
        self.warn_of_rounding(&fed);
    }

    fn error(&mut self, message: String) {
        let service = &self.variant.feature_service;
        let message = format!("model {}, feature service {service}: {message}", self.variant.model.path);
        self.problems.push(Severity::Error, &self.target, message);
    }

    fn packed(&mut self, input: &Tensor, fed: &mut Vec<(usize, Element)>) {
        let given = self.columns.len() as u64;
        if let Some(wanted) = input.dims.get(1).copied().flatten().filter(|wanted| *wanted != given) {
            let names = self.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
            let name = &input.name;
            self.error(format!(
                "input {name:?} takes {wanted} values a row, the service has {given} columns ({names}); train the model \
                 on these columns in this order, or change the service"
            ));
        }
        for (index, column) in self.columns.iter().enumerate() {
            if accepts(&Element::Float32, column.feature_type) {
                fed.push((index, Element::Float32));
            } else {
                let (column, given) = (&column.name, column.feature_type);
                self.error(format!(
                    "column {column:?} is {given}, which a packed float32 input cannot hold; leave it out of the \
                     service, or give the model one input for each column"
                ));
            }
        }
    }

    fn by_name(&mut self, input: &Tensor, fed: &mut Vec<(usize, Element)>) {
        let name = &input.name;
        if !matches!(input.dims.as_slice(), [_] | [_, Some(1)]) {
            let dims = dims(input);
            self.error(format!(
                "input {name:?} has the shape {dims}; an input is [batch] or [batch, 1], or the only one, float32 and \
                 [batch, {}]",
                self.columns.len()
            ));
            return;
        }
        let index = match find(self.columns, name) {
            Ok(index) => index,
            Err(Unfound::Ambiguous(columns)) => {
                return self.error(format!("input {name:?} could be any of {columns}; name it as one of them"));
            }
            Err(Unfound::Unknown) => {
                let names = self.columns.iter().map(|column| column.name.as_str());
                let hint = suggestion(name, names);
                return self.error(format!("input {name:?} is not a column of the service{hint}"));
            }
        };
        let Some(column) = self.columns.get(index) else { return };
        if accepts(&input.element, column.feature_type) {
            fed.push((index, input.element.clone()));
        } else {
            let (wanted, column, given) = (input.element.as_str(), &column.name, column.feature_type);
            self.error(format!("input {name:?} is {wanted}, column {column:?} is {given}, which cannot become it"));
        }
    }

    /// One warning for each kind of rounding, with its columns.
    fn warn_of_rounding(&mut self, fed: &[(usize, Element)]) {
        for (element, exact, limit) in [(Element::Float32, 24, "16777216"), (Element::Float64, 53, "9007199254740992")]
        {
            let rounded =
                fed.iter().filter(|(_, fed)| *fed == element).filter_map(|(index, _)| self.columns.get(*index));
            let rounded = rounded.filter(|column| integer_bits(column.feature_type) > exact);
            let rounded =
                rounded.map(|column| format!("{} ({})", column.name, column.feature_type)).collect::<Vec<_>>();
            if !rounded.is_empty() {
                let (model, element, columns) = (&self.variant.model.path, element.as_str(), rounded.join(", "));
                let message = format!("model {model}: values beyond {limit} are rounded to {element}: {columns}");
                self.problems.push(Severity::Warning, &self.target, message);
            }
        }
    }
}

/// Bits of the integers of a type; 0 for others.
const fn integer_bits(feature_type: FeatureType) -> u32 {
    match feature_type.scalar() {
        ScalarType::Int32 | ScalarType::Date => 31,
        ScalarType::Int64 | ScalarType::Timestamp => 63,
        ScalarType::Bool | ScalarType::Float32 | ScalarType::Float64 | ScalarType::String | ScalarType::Bytes => 0,
    }
}

fn is_packed(input: &Tensor) -> bool {
    input.element == Element::Float32 && matches!(input.dims.as_slice(), [_, width] if *width != Some(1))
}

fn dims(input: &Tensor) -> String {
    let dims = input.dims.iter().map(|dim| dim.map_or_else(|| "?".to_owned(), |dim| dim.to_string()));
    format!("[{}]", dims.collect::<Vec<_>>().join(", "))
}

/// Why a name is no column.
enum Unfound {
    Unknown,
    /// The columns that it could be.
    Ambiguous(String),
}

/// The column of this name, or the one feature that has it as its short name.
fn find(columns: &[Column], name: &str) -> Result<usize, Unfound> {
    if let Some(index) = columns.iter().position(|column| column.name == name) {
        return Ok(index);
    }
    let short = columns.iter().enumerate().filter(|(_, column)| column.short.as_deref() == Some(name));
    let short = short.collect::<Vec<_>>();
    match short.as_slice() {
        [] => Err(Unfound::Unknown),
        [(index, _)] => Ok(*index),
        many => {
            Err(Unfound::Ambiguous(many.iter().map(|(_, column)| column.name.as_str()).collect::<Vec<_>>().join(", ")))
        }
    }
}

/// Whether values of a type can become elements.
fn accepts(element: &Element, feature_type: FeatureType) -> bool {
    let FeatureType::Scalar(scalar) = feature_type else { return false };
    match element {
        Element::Float32 | Element::Float64 => !matches!(scalar, ScalarType::String | ScalarType::Bytes),
        Element::Int64 => matches!(
            scalar,
            ScalarType::Bool | ScalarType::Int32 | ScalarType::Int64 | ScalarType::Timestamp | ScalarType::Date
        ),
        Element::Int32 => matches!(scalar, ScalarType::Bool | ScalarType::Int32 | ScalarType::Date),
        Element::Bool => matches!(scalar, ScalarType::Bool),
        Element::String => matches!(scalar, ScalarType::String),
        Element::Other(_) => false,
    }
}
