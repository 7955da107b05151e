//! The rules by which `validate` judges a model, against the rules by which a gateway loads one: the two crates may not use
//! each other, so this one compares them over every feature type, element type and shape that a signature can have.

use tidegate_catalog::{
    FeatureType, ScalarType,
    definitions::{Described, Endpoint, FeatureService, MissingRule, ModelRef, RequestField, Variant},
};
use tidegate_control::{Severity, validate};
use tidegate_inference::{Column as FedColumn, FitWarning, TensorSpec, fit};

use super::*;

const ELEMENTS: [ElementType; 6] = [
    ElementType::Float32,
    ElementType::Float64,
    ElementType::Int32,
    ElementType::Int64,
    ElementType::Bool,
    ElementType::String,
];

const SHAPES: [&[Dim]; 7] = [
    &[Dim::Free],
    &[Dim::Fixed(4)],
    &[Dim::Free, Dim::Free],
    &[Dim::Free, Dim::Fixed(1)],
    &[Dim::Free, Dim::Fixed(2)],
    &[Dim::Fixed(8), Dim::Fixed(1)],
    &[Dim::Free, Dim::Fixed(2), Dim::Free],
];

fn types() -> Vec<FeatureType> {
    ScalarType::ALL.into_iter().flat_map(|scalar| [FeatureType::Scalar(scalar), FeatureType::List(scalar)]).collect()
}

/// An endpoint whose service has request values of these names and types, and nothing else.
fn definitions(columns: &[(&str, FeatureType)]) -> Definitions {
    let field = |(name, feature_type): &(&str, FeatureType)| RequestField {
        name: (*name).to_owned(),
        feature_type: *feature_type,
    };
    let service = FeatureService {
        name: "s".to_owned(),
        request: columns.iter().map(field).collect(),
        features: vec![],
        stars: vec![],
        described: Described::default(),
    };
    let (path, name, version) = ("m.onnx".to_owned(), "m".to_owned(), "1".to_owned());
    let model = ModelRef { path, name, version, replicas: 1, max_batch_size: 1 };
    let endpoint = Endpoint {
        name: "e".to_owned(),
        variants: vec![Variant { name: "main".to_owned(), feature_service: "s".to_owned(), model }],
        missing: MissingRule::Null,
        deadline_ms: 1_000,
        described: Described::default(),
    };
    Definitions {
        project: "p".to_owned(),
        services: [("s".to_owned(), service)].into(),
        endpoints: [("e".to_owned(), endpoint)].into(),
        ..Definitions::default()
    }
}

/// Whether the columns can be fed, and the columns that lose something on the way.
type Verdict = (bool, Vec<String>);

fn of_validate(columns: &[(&str, FeatureType)], model: &Signature) -> Verdict {
    let models = [("m.onnx".to_owned(), Fact::Known(signature(model)))].into();
    let problems = validate(&definitions(columns), &Facts { models, ..Facts::default() });
    let rounded = problems.iter().filter(|problem| problem.severity == Severity::Warning);
    let named = |message: &str| {
        let (_, list) = message.rsplit_once(": ").unwrap();
        list.split(", ").map(|column| column.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut rounded = rounded.flat_map(|problem| named(&problem.message)).collect::<Vec<_>>();
    rounded.sort();
    (problems.iter().all(|problem| problem.severity != Severity::Error), rounded)
}

fn of_loading(columns: &[(&str, FeatureType)], model: &Signature) -> Verdict {
    let fed = columns.iter().map(|(name, feature_type)| FedColumn { name, feature_type: *feature_type });
    let plan = match fit(model, &fed.collect::<Vec<_>>()) {
        Ok(plan) => plan,
        Err(_) => return (false, vec![]),
    };
    let lossy = plan.warnings().iter().filter_map(|warning| match warning {
        FitWarning::Rounded { column, .. } | FitWarning::Narrowed { column, .. } => Some(column.clone()),
        FitWarning::UnusedColumn { .. } => None,
    });
    let mut lossy = lossy.collect::<Vec<_>>();
    lossy.sort();
    (true, lossy)
}

/// Compares the verdicts; a refused model's roundings do not matter. Tells whether the model was taken.
fn agree(columns: &[(&str, FeatureType)], inputs: Vec<TensorSpec>) -> bool {
    let model = Signature { inputs: inputs.into(), outputs: vec![].into() };
    let (loading, judged) = (of_loading(columns, &model), of_validate(columns, &model));
    assert_eq!(judged.0, loading.0, "{columns:?} into {model:?}");
    if loading.0 {
        assert_eq!(judged.1, loading.1, "{columns:?} into {model:?}");
    }
    loading.0
}

fn input(name: &str, element: ElementType, dims: &[Dim]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), element, dims: dims.to_vec() }
}

#[test]
fn validate_and_loading_judge_every_single_input_alike() {
    let mut taken = 0;
    for feature_type in types() {
        for element in ELEMENTS {
            for dims in SHAPES {
                for name in ["a", "packed"] {
                    let inputs = || vec![input(name, element, dims)];
                    taken += usize::from(agree(&[("a", feature_type)], inputs()));
                    let two = [("a", feature_type), ("b", FeatureType::Scalar(ScalarType::Float32))];
                    taken += usize::from(agree(&two, inputs()));
                }
            }
        }
    }
    assert!(taken > 100, "only {taken} were taken: the table shows too little");
}

#[test]
fn validate_and_loading_judge_inputs_by_name_alike() {
    let mut taken = 0;
    for (feature_type, element) in types().into_iter().flat_map(|t| ELEMENTS.map(|element| (t, element))) {
        for dims in SHAPES {
            let columns = [("a", feature_type), ("b", FeatureType::Scalar(ScalarType::String)), ("c", feature_type)];
            for other in ["b", "B", "d"] {
                let inputs = vec![input(other, ElementType::String, &[Dim::Free]), input("a", element, dims)];
                taken += usize::from(agree(&columns, inputs));
            }
        }
    }
    assert!(taken > 100, "only {taken} were taken: the table shows too little");
}

#[test]
fn neither_takes_a_service_without_columns_or_a_model_without_inputs_differently() {
    agree(&[], vec![input("a", ElementType::Float32, &[Dim::Free, Dim::Fixed(1)])]);
    agree(&[("a", FeatureType::Scalar(ScalarType::Float32))], vec![]);
}
