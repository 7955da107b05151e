//! Tests of `fit`: what fits, what is refused in which words, what is warned about.

use super::*;

fn spec(name: &str, element: ElementType, dims: &[Dim]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), element, dims: dims.to_vec() }
}

fn one(name: &str, element: ElementType) -> TensorSpec {
    spec(name, element, &[Dim::Free, Dim::Fixed(1)])
}

fn packed(width: Dim) -> Vec<TensorSpec> {
    vec![spec("input", ElementType::Float32, &[Dim::Free, width])]
}

fn fitted(inputs: Vec<TensorSpec>, columns: &[(&str, ScalarType)]) -> Result<InputPlan, Vec<FitProblem>> {
    let columns: Vec<Column<'_>> =
        columns.iter().map(|(name, scalar)| Column { name, feature_type: FeatureType::Scalar(*scalar) }).collect();
    fit(&Signature { inputs: inputs.into(), outputs: [].into() }, &columns)
}

fn problems(inputs: Vec<TensorSpec>, columns: &[(&str, ScalarType)]) -> Vec<String> {
    fitted(inputs, columns).unwrap_err().iter().map(ToString::to_string).collect()
}

fn warnings(inputs: Vec<TensorSpec>, columns: &[(&str, ScalarType)]) -> Vec<String> {
    fitted(inputs, columns).unwrap().warnings().iter().map(ToString::to_string).collect()
}

#[test]
fn a_packed_input_takes_the_columns_in_the_services_order() {
    for width in [Dim::Fixed(3), Dim::Free] {
        let plan =
            fitted(packed(width), &[("c", ScalarType::Float32), ("a", ScalarType::Bool), ("b", ScalarType::Int32)])
                .unwrap();
        let slots: Vec<_> = (0..3).map(|column| plan.slot(column).unwrap()).collect();
        assert_eq!(slots, [0, 1, 2].map(|column| Slot { tensor: 0, column }));
        assert_eq!(plan.slot(3), None);
    }
}

#[test]
fn inputs_by_name_are_fed_whatever_the_columns_order() {
    let inputs = vec![one("view__a", ElementType::Float32), one("view__b", ElementType::String)];
    let plan = fitted(inputs, &[("view__b", ScalarType::String), ("view__a", ScalarType::Float32)]).unwrap();
    assert_eq!(plan.slot(0), Some(Slot { tensor: 1, column: 0 }));
    assert_eq!(plan.slot(1), Some(Slot { tensor: 0, column: 0 }));
    assert_eq!(plan.warnings(), []);
}

/// The rule for a model with one input: by name where it takes one value a row and is named exactly as a column, else packed.
#[test]
fn the_only_input_is_by_name_when_it_is_named_as_a_column() {
    let columns =
        [("distance", ScalarType::Float32), ("view__temp", ScalarType::Float32), ("temp", ScalarType::String)];
    for dims in [&[Dim::Free][..], &[Dim::Free, Dim::Fixed(1)], &[Dim::Free, Dim::Free]] {
        let plan = fitted(vec![spec("view__temp", ElementType::Float32, dims)], &columns).unwrap();
        let slots: Vec<_> = (0..3).map(|column| plan.slot(column)).collect();
        assert_eq!(slots, [None, Some(Slot { tensor: 0, column: 0 }), None], "{dims:?}");
        assert_eq!(plan.batch(1).tensors().map(|(layout, _)| layout.width).collect::<Vec<_>>(), [1], "{dims:?}");
        let unused = plan.warnings().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(unused[0], "column \"distance\" feeds no input of the model");
        assert_eq!(unused.len(), 2);
    }
    let text = fitted(vec![spec("temp", ElementType::String, &[Dim::Free])], &columns).unwrap();
    assert_eq!(text.slot(2), Some(Slot { tensor: 0, column: 0 }), "of any type");
}

#[test]
fn the_only_input_is_packed_when_no_column_is_named_so_or_it_takes_several_values() {
    let columns = [("x", ScalarType::Float32), ("y", ScalarType::Float32)];
    let several = vec![spec("x", ElementType::Float32, &[Dim::Free, Dim::Fixed(2)])];
    let plan = fitted(several, &columns).unwrap();
    assert_eq!([plan.slot(0), plan.slot(1)], [0, 1].map(|column| Some(Slot { tensor: 0, column })));
    assert_eq!(
        problems(vec![one("X", ElementType::Float32)], &columns),
        ["the model's input \"X\" takes 1 values a row, the feature service has 2 columns"],
        "names are compared exactly"
    );
    // one column: packed or by name, it is fed the same
    for name in ["x", "input"] {
        let plan = fitted(vec![one(name, ElementType::Float32)], &columns[..1]).unwrap();
        assert_eq!(plan.slot(0), Some(Slot { tensor: 0, column: 0 }));
    }
}

#[test]
fn a_packed_input_of_another_width_is_refused_with_both_numbers() {
    assert_eq!(
        problems(packed(Dim::Fixed(4)), &[("a", ScalarType::Float32)]),
        ["the model's input \"input\" takes 4 values a row, the feature service has 1 columns"]
    );
}

#[test]
fn an_input_without_a_column_names_the_column_that_was_meant() {
    let inputs = || vec![one("weather__temp", ElementType::Float32), one("hour", ElementType::Int64)];
    assert_eq!(
        problems(inputs(), &[("weather__tmep", ScalarType::Float32), ("hour", ScalarType::Int64)]),
        ["the model's input \"weather__temp\" has no column of that name (did you mean \"weather__tmep\"?)"]
    );
    assert_eq!(
        problems(inputs(), &[("origin__temp", ScalarType::Float32), ("hour", ScalarType::Int64)]),
        ["the model's input \"weather__temp\" has no column of that name (did you mean \"origin__temp\"?)"],
        "the same feature under another view"
    );
    assert_eq!(
        problems(inputs(), &[("precip", ScalarType::Float32), ("hour", ScalarType::Int64)]),
        ["the model's input \"weather__temp\" has no column of that name"]
    );
}

#[test]
fn a_column_that_feeds_nothing_is_a_warning() {
    let inputs = vec![one("a", ElementType::Float32), one("b", ElementType::Float32)];
    let columns = [("a", ScalarType::Float32), ("b", ScalarType::Float32), ("unused", ScalarType::String)];
    assert_eq!(warnings(inputs, &columns), ["column \"unused\" feeds no input of the model"]);
}

#[test]
fn all_problems_are_reported_at_once() {
    let inputs = vec![
        one("text", ElementType::Float32),
        one("missing", ElementType::Float32),
        spec("image", ElementType::Float32, &[Dim::Free, Dim::Fixed(3), Dim::Fixed(3)]),
    ];
    let found = problems(inputs, &[("text", ScalarType::String), ("image", ScalarType::Float32)]);
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(
        found[0].starts_with("column \"text\" is string, the model's input \"text\" takes float32; cast it"),
        "{}",
        found[0]
    );
    assert!(found[1].starts_with("the model's input \"missing\" has no column"), "{}", found[1]);
    assert!(found[2].starts_with("the model's input \"image\" is float32 [?, 3, 3]; fed are"), "{}", found[2]);
}

#[test]
fn lists_and_bytes_are_never_fed() {
    let list = Column { name: "a", feature_type: FeatureType::List(ScalarType::Float32) };
    let signature = Signature { inputs: packed(Dim::Free).into(), outputs: [].into() };
    let refused = fit(&signature, &[list]).unwrap_err();
    assert!(refused[0].to_string().contains("lists cannot be fed to a model"), "{}", refused[0]);
    assert!(problems(packed(Dim::Free), &[("a", ScalarType::Bytes)])[0].contains("bytes cannot be fed to a model"));
}

#[test]
fn an_empty_service_and_contradicting_row_counts_are_refused() {
    assert_eq!(problems(packed(Dim::Free), &[]), ["the feature service has no columns"]);
    let inputs = vec![
        spec("a", ElementType::Float32, &[Dim::Fixed(2), Dim::Fixed(1)]),
        spec("b", ElementType::Float32, &[Dim::Fixed(3), Dim::Fixed(1)]),
    ];
    let columns = [("a", ScalarType::Float32), ("b", ScalarType::Float32)];
    assert_eq!(problems(inputs, &columns), ["the model's inputs fix different numbers of rows: 2 and 3"]);
}

#[test]
fn a_whole_number_that_a_float_rounds_is_a_warning_that_says_from_where_on() {
    let warned = |from: ScalarType, to: ElementType| {
        warnings(vec![spec("input", to, &[Dim::Free, Dim::Fixed(1)])], &[("n", from)])
    };
    assert_eq!(
        warned(ScalarType::Int64, ElementType::Float32),
        ["column \"n\" is int64, the model's input \"input\" is float32: whole numbers beyond 16777216 are rounded"]
    );
    assert_eq!(
        warned(ScalarType::Int64, ElementType::Float64),
        [
            "column \"n\" is int64, the model's input \"input\" is float64: whole numbers beyond 9007199254740992 are rounded"
        ]
    );
    assert_eq!(
        warned(ScalarType::Float64, ElementType::Float32),
        ["column \"n\" is float64, the model's input \"input\" is float32: values are rounded to 24 bits"]
    );
    assert_eq!(warned(ScalarType::Int32, ElementType::Float64), Vec::<String>::new());
    assert_eq!(warned(ScalarType::Bool, ElementType::Float32), Vec::<String>::new());
}

/// What `fit` lets through, `put` writes; what it refuses, `put` refuses. The table is checked pair by pair.
#[test]
fn every_pair_of_types_that_fits_can_be_written_and_no_other() {
    use tidegate_catalog::{Micros, Value};
    let samples = [
        (ScalarType::Bool, Value::Bool(true)),
        (ScalarType::Int32, Value::Int32(3)),
        (ScalarType::Int64, Value::Int64(3)),
        (ScalarType::Float32, Value::Float32(3.0)),
        (ScalarType::Float64, Value::Float64(3.0)),
        (ScalarType::Timestamp, Value::Timestamp(Micros(3))),
        (ScalarType::Date, Value::Date(3)),
        (ScalarType::String, Value::String("3")),
        (ScalarType::Bytes, Value::Bytes(b"3")),
    ];
    let elements = [
        ElementType::Float32,
        ElementType::Float64,
        ElementType::Int32,
        ElementType::Int64,
        ElementType::Bool,
        ElementType::String,
    ];
    assert_eq!(samples.len(), ScalarType::ALL.len());
    for (scalar, value) in &samples {
        for element in elements {
            let layout = Arc::new(InputLayout { tensors: vec![layout(&one("input", element), 1)] });
            let written = BatchInput::new(&layout, 1).put(0, Slot { tensor: 0, column: 0 }, value);
            let fits = fitted(vec![one("input", element)], &[("a", *scalar)]);
            assert_eq!(written.is_ok(), fits.is_ok(), "{scalar:?} into {element}: {written:?}");
        }
    }
}
