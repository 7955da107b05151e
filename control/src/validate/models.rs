//! A variant's model against its feature service: every input can be fed, with the type that it takes.
//!
//! A model with several inputs names them as the columns (`alias__feature`, or a request value's name), each `[batch]` or
//! `[batch, 1]`, and may use a subset; so does a model with one input that takes one value a row and is named exactly as a
//! column. Any other model with one input takes it packed, `[batch, n]`: every column of the service, the request values in
//! declared order, then the features. These are `inference`'s rules, which this crate may not use; a test that may use both
//! compares them.

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

/// A column and the rounding that it suffers.
type Rounded<'f> = (&'f Column, Rounding);

impl<'f> Fit<'f> {
    fn check(&mut self, signature: &ModelSignature) {
        let mut rounded = Vec::new();
        self.fixed_batch(signature);
        if self.columns.is_empty() {
            self.error("the service has no columns".to_owned());
        }
        match signature.inputs.as_slice() {
            [only] if !self.is_by_name(only) => self.packed(only, &mut rounded),
            inputs => inputs.iter().for_each(|input| self.by_name(input, &mut rounded)),
        }
        self.warn(&rounded);
    }

    fn error(&mut self, message: String) {
        let service = &self.variant.feature_service;
        let message = format!("model {}, feature service {service}: {message}", self.variant.model.path);
        self.problems.push(Severity::Error, &self.target, message);
    }

    fn fixed_batch(&mut self, signature: &ModelSignature) {
        let fixed = |input: &Tensor| input.dims.first().copied().flatten().map(|rows| (input.name.clone(), rows));
        let mut fixed = signature.inputs.iter().filter_map(fixed);
        if let Some((first, rows)) = fixed.next()
            && let Some((other, others)) = fixed.find(|(_, others)| *others != rows)
        {
            self.error(format!("input {first:?} takes {rows} rows at once, input {other:?} takes {others}"));
        }
    }

    /// Whether the only input of a model is a column's rather than all of them packed.
    fn is_by_name(&self, only: &Tensor) -> bool {
        let one_value_a_row = matches!(only.dims.as_slice(), [_] | [_, Some(1) | None]);
        one_value_a_row && self.columns.iter().any(|column| column.name == only.name)
    }

    fn packed(&mut self, input: &Tensor, rounded: &mut Vec<Rounded<'f>>) {
        let given = self.columns.len() as u64;
        let takes = match input.dims.as_slice() {
            [_] => 1,
            [_, width] => width.unwrap_or(given),
            _ => return self.shape(input),
        };
        if takes != given {
            let names = self.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
            let name = &input.name;
            self.error(format!(
                "input {name:?} takes {takes} values a row, the service has {given} columns ({names}); train the model \
                 on these columns in this order, or change the service"
            ));
        }
        for column in self.columns {
            self.feed(input, column, rounded);
        }
    }

    fn by_name(&mut self, input: &Tensor, rounded: &mut Vec<Rounded<'f>>) {
        if !matches!(input.dims.as_slice(), [_] | [_, Some(1) | None]) {
            self.shape(input);
        }
        match self.columns.iter().find(|column| column.name == input.name) {
            Some(column) => self.feed(input, column, rounded),
            None => self.unknown(&input.name),
        }
    }

    fn shape(&mut self, input: &Tensor) {
        let (name, element) = (&input.name, input.element.as_str());
        let dims = input.dims.iter().map(|dim| dim.map_or_else(|| "?".to_owned(), |dim| dim.to_string()));
        let dims = dims.collect::<Vec<_>>().join(", ");
        let width = self.columns.len();
        self.error(format!(
            "input {name:?} is {element} [{dims}]; fed are one packed input [batch, {width}], or several [batch] or \
             [batch, 1], one a column"
        ));
    }

    fn unknown(&mut self, name: &str) {
        let short = self.columns.iter().filter(|column| column.short.as_deref() == Some(name));
        let short = short.map(|column| column.name.as_str()).collect::<Vec<_>>();
        let hint = match short.as_slice() {
            [] => suggestion(name, self.columns.iter().map(|column| column.name.as_str())),
            [one] => format!("; the feature of that name is the column {one:?}"),
            many => format!("; features of that name are the columns {}", many.join(", ")),
        };
        self.error(format!("input {name:?} is not a column of the service{hint}"));
    }

    fn feed(&mut self, input: &Tensor, column: &'f Column, rounded: &mut Vec<Rounded<'f>>) {
        match fit(column.feature_type, &input.element) {
            FitsAs::Exact => {}
            FitsAs::Rounded(rounding) => rounded.push((column, rounding)),
            FitsAs::No(advice) => {
                let (name, wanted, given) = (&input.name, input.element.as_str(), column.feature_type);
                let column = &column.name;
                self.error(format!("column {column:?} is {given}, input {name:?} takes {wanted}; {advice}"));
            }
        }
    }

    /// One warning for each kind of rounding, with its columns.
    fn warn(&mut self, rounded: &[Rounded<'_>]) {
        for rounding in Rounding::ALL {
            let suffering = rounded.iter().filter(|(_, suffered)| *suffered == rounding);
            let suffering = suffering.map(|(column, _)| format!("{} ({})", column.name, column.feature_type));
            let suffering = suffering.collect::<Vec<_>>().join(", ");
            if !suffering.is_empty() {
                let (model, words) = (&self.variant.model.path, rounding.words());
                self.problems.push(Severity::Warning, &self.target, format!("model {model}: {words}: {suffering}"));
            }
        }
    }
}

/// What a value may lose on its way into a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rounding {
    WholeToFloat32,
    WholeToFloat64,
    Float64ToFloat32,
}

impl Rounding {
    const ALL: [Self; 3] = [Self::WholeToFloat32, Self::WholeToFloat64, Self::Float64ToFloat32];

    const fn words(self) -> &'static str {
        match self {
            Self::WholeToFloat32 => "whole numbers beyond 16777216 are rounded to float32",
            Self::WholeToFloat64 => "whole numbers beyond 9007199254740992 are rounded to float64",
            Self::Float64ToFloat32 => "values are rounded to float32",
        }
    }
}

/// Whether and how values of a feature type go into a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FitsAs {
    Exact,
    Rounded(Rounding),
    No(&'static str),
}

const CAST: &str = "cast it in the view's SQL, or export the model with another input type";
const NO_LISTS: &str = "lists cannot be fed to a model; choose elements in the view's SQL";
const NO_BYTES: &str = "bytes cannot be fed to a model";
const NOT_FED: &str = "no feature can become it; export the model with another input type";

/// Dates are days and timestamps microseconds since 1970; bools are 0 and 1.
const fn fit(feature_type: FeatureType, element: &Element) -> FitsAs {
    use ScalarType as From;
    let FeatureType::Scalar(scalar) = feature_type else { return FitsAs::No(NO_LISTS) };
    match (scalar, element) {
        (From::Bytes, _) => FitsAs::No(NO_BYTES),
        (_, Element::Other(_)) => FitsAs::No(NOT_FED),
        (From::Float32, Element::Float32 | Element::Float64) | (From::Float64, Element::Float64) => FitsAs::Exact,
        (From::Float64, Element::Float32) => FitsAs::Rounded(Rounding::Float64ToFloat32),
        (From::Int32 | From::Date, Element::Int32 | Element::Int64 | Element::Float64) => FitsAs::Exact,
        (From::Int64 | From::Timestamp, Element::Int64) => FitsAs::Exact,
        (From::Int32 | From::Date | From::Int64 | From::Timestamp, Element::Float32) => {
            FitsAs::Rounded(Rounding::WholeToFloat32)
        }
        (From::Int64 | From::Timestamp, Element::Float64) => FitsAs::Rounded(Rounding::WholeToFloat64),
        (From::Bool, Element::Bool | Element::Int32 | Element::Int64 | Element::Float32 | Element::Float64) => {
            FitsAs::Exact
        }
        (From::String, Element::String) => FitsAs::Exact,
        _ => FitsAs::No(CAST),
    }
}
