//! How a model's inputs are fed from a service's columns: fitted once, when a snapshot is loaded.
//!
//! A model with one packed `[batch, n]` float input takes every column of its service: the request values in declared
//! order, then the features in the service's order. Any other model names its inputs as the columns (`alias__feature`,
//! or a request value's name; a feature's short name where only one column has it) and may use a subset.

use tidegate_catalog::FeatureType;

use crate::{
    convert::Element,
    models::{InputForm, ModelInput},
};

/// Where an element comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A feature, by its place in the service.
    Feature(usize),
    /// A request value, by its place in the service.
    Request(usize),
}

/// A column of a service's dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceColumn {
    /// `alias__feature`, or a request value's name.
    pub(crate) name: String,
    /// A feature's own name.
    pub(crate) short: Option<String>,
    pub(crate) feature_type: FeatureType,
    pub(crate) source: Source,
}

/// The fitted plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GatherPlan {
    /// One float tensor, a column of it per source.
    Packed(Vec<Source>),
    /// One tensor per source, in the model's input order.
    ByName(Vec<NamedInput>),
}

/// One named input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NamedInput {
    pub(crate) element: Element,
    pub(crate) source: Source,
}

/// Why a model cannot be fed from a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FitError {
    #[error("the model's input takes {wanted} columns, the service has {given}")]
    Width { wanted: usize, given: usize },
    #[error("the model's input {input:?} is not a column of the service (columns: {columns})")]
    UnknownInput { input: String, columns: String },
    #[error("column {column:?} is {given}, which cannot become the {wanted} of the model's input")]
    Type { column: String, given: FeatureType, wanted: &'static str },
}

impl GatherPlan {
    /// Fits `inputs` to `columns`.
    /// # Errors
    /// [`FitError`] names the input or column.
    pub(crate) fn fit(inputs: &[ModelInput], columns: &[ServiceColumn]) -> Result<Self, FitError> {
        if let [ModelInput { name, form: InputForm::Packed { width } }] = inputs {
            // one column, named as the service names it, is fed by name
            if columns.len() != 1 || find(columns, name).is_none() {
                return Self::packed(*width, columns);
            }
        }
        let named = inputs.iter().map(|input| {
            let element = input.form.element();
            let column = find(columns, &input.name).ok_or_else(|| FitError::UnknownInput {
                input: input.name.clone(),
                columns: columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", "),
            })?;
            require(column, element)?;
            Ok(NamedInput { element, source: column.source })
        });
        Ok(Self::ByName(named.collect::<Result<_, _>>()?))
    }

    fn packed(width: Option<usize>, columns: &[ServiceColumn]) -> Result<Self, FitError> {
        if let Some(wanted) = width.filter(|wanted| *wanted != columns.len()) {
            return Err(FitError::Width { wanted, given: columns.len() });
        }
        for column in columns {
            require(column, Element::Float32)?;
        }
        Ok(Self::Packed(columns.iter().map(|column| column.source).collect()))
    }

    /// The sources in the order of the model's elements.
    pub(crate) fn sources(&self) -> impl Iterator<Item = Source> + '_ {
        let (packed, named) = match self {
            Self::Packed(sources) => (sources.as_slice(), [].as_slice()),
            Self::ByName(inputs) => ([].as_slice(), inputs.as_slice()),
        };
        packed.iter().copied().chain(named.iter().map(|input| input.source))
    }
}

fn require(column: &ServiceColumn, wanted: Element) -> Result<(), FitError> {
    if wanted.accepts(column.feature_type) {
        return Ok(());
    }
    Err(FitError::Type { column: column.name.clone(), given: column.feature_type, wanted: wanted.name() })
}

/// The column of this name, or the one feature that has it as its short name.
fn find<'c>(columns: &'c [ServiceColumn], name: &str) -> Option<&'c ServiceColumn> {
    if let Some(column) = columns.iter().find(|column| column.name == name) {
        return Some(column);
    }
    let mut short = columns.iter().filter(|column| column.short.as_deref() == Some(name));
    short.next().filter(|_| short.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, short: &str, type_name: &str, source: Source) -> ServiceColumn {
        ServiceColumn {
            name: name.to_owned(),
            short: Some(short.to_owned()).filter(|short| !short.is_empty()),
            feature_type: type_name.parse().unwrap(),
            source,
        }
    }

    fn columns() -> Vec<ServiceColumn> {
        vec![
            column("distance", "", "float32", Source::Request(0)),
            column("a__x", "x", "int64", Source::Feature(0)),
            column("b__x", "x", "float32", Source::Feature(1)),
            column("b__city", "city", "string", Source::Feature(2)),
        ]
    }

    fn input(name: &str, form: InputForm) -> ModelInput {
        ModelInput { name: name.to_owned(), form }
    }

    fn one(element: Element) -> InputForm {
        InputForm::One { element }
    }

    #[test]
    fn inputs_are_found_by_column_or_by_a_short_name_that_one_column_has() {
        let inputs = [input("city", one(Element::String)), input("a__x", one(Element::Float32))];
        let fitted = GatherPlan::fit(&inputs, &columns()).unwrap();
        assert_eq!(fitted.sources().collect::<Vec<_>>(), [Source::Feature(2), Source::Feature(0)]);
        let error = GatherPlan::fit(&[input("x", one(Element::Float32))], &columns()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the model's input \"x\" is not a column of the service (columns: distance, a__x, b__x, b__city)"
        );
    }

    #[test]
    fn a_packed_input_takes_request_values_first_and_needs_every_column() {
        let packed = |width| [input("input", InputForm::Packed { width })];
        let numbers = &columns()[..3];
        let fitted = GatherPlan::fit(&packed(Some(3)), numbers).unwrap();
        assert_eq!(fitted, GatherPlan::Packed(vec![Source::Request(0), Source::Feature(0), Source::Feature(1)]));
        assert_eq!(
            GatherPlan::fit(&packed(Some(4)), numbers).unwrap_err().to_string(),
            "the model's input takes 4 columns, the service has 3"
        );
        assert_eq!(
            GatherPlan::fit(&packed(None), &columns()).unwrap_err().to_string(),
            "column \"b__city\" is string, which cannot become the float32 of the model's input"
        );
    }
}
