//! Tables of definitions and facts, with the exact words that name what is wrong.

use arrow_schema::{DataType, TimeUnit};
use tidegate_catalog::{
    FeatureType,
    definitions::{
        DataSource, Described, Endpoint, Feature, FeatureService, FeatureView, JoinKey, KeyType, MissingRule, ModelRef,
        ParquetSource, RequestField, ServiceFeature, Variant, ViewQuery,
    },
};

use super::*;
use crate::facts::{Column, Element, ModelSignature, PlannedView, SourceSchema, Tensor};

fn view(sql: &str) -> FeatureView {
    let feature = |(name, type_name): (&str, &str)| Feature {
        name: name.to_owned(),
        feature_type: type_name.parse().unwrap(),
        default: None,
        described: Described::default(),
    };
    FeatureView {
        name: "weather".to_owned(),
        entities: vec!["airport".to_owned()],
        join_keys: vec![JoinKey { name: "origin".to_owned(), key_type: KeyType::String }],
        query: ViewQuery::Sql(sql.to_owned()),
        timestamp_field: "at".to_owned(),
        created_timestamp_field: Some("made".to_owned()),
        deleted_field: Some("gone".to_owned()),
        ttl: None,
        features: [("temp", "float32"), ("count", "int64"), ("city", "string")].map(feature).into(),
        described: Described::default(),
    }
}

fn definitions(sql: &str) -> Definitions {
    let parquet = ParquetSource { path: "data/weather.parquet".to_owned() };
    let source = DataSource { name: "obs".to_owned(), parquet, described: Described::default() };
    let chosen = |alias: &str, feature: &str| ServiceFeature {
        view: "weather".to_owned(),
        alias: alias.to_owned(),
        feature: feature.to_owned(),
        join_keys: Default::default(),
    };
    let service = FeatureService {
        name: "arrival".to_owned(),
        request: vec![RequestField { name: "hour".to_owned(), feature_type: "int32".parse().unwrap() }],
        features: vec![chosen("weather", "temp"), chosen("weather", "count"), chosen("dest", "temp")],
        stars: vec![],
        described: Described::default(),
    };
    let model = ModelRef {
        path: "m.onnx".to_owned(),
        name: "m".to_owned(),
        version: "1".to_owned(),
        replicas: 1,
        max_batch_size: 1,
    };
    let endpoint = Endpoint {
        name: "delay".to_owned(),
        variants: vec![Variant { name: "main".to_owned(), feature_service: "arrival".to_owned(), model }],
        missing: MissingRule::Null,
        deadline_ms: 1000,
        described: Described::default(),
    };
    Definitions {
        project: "p".to_owned(),
        sources: [("obs".to_owned(), source)].into(),
        views: [("weather".to_owned(), view(sql))].into(),
        services: [("arrival".to_owned(), service)].into(),
        endpoints: [("delay".to_owned(), endpoint)].into(),
        ..Definitions::default()
    }
}

const SQL: &str = "SELECT * FROM obs";

fn column(name: &str, data_type: DataType) -> Column {
    Column { name: name.to_owned(), data_type }
}

fn planned() -> PlannedView {
    let time = || DataType::Timestamp(TimeUnit::Nanosecond, None);
    let columns = vec![
        column("origin", DataType::Utf8View),
        column("at", time()),
        column("made", time()),
        column("gone", DataType::Boolean),
        column("temp", DataType::Float64),
        column("count", DataType::Int32),
        column("city", DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))),
    ];
    PlannedView { columns, ..PlannedView::default() }
}

fn tensor(name: &str, element: Element, dims: &[Option<u64>]) -> Tensor {
    Tensor { name: name.to_owned(), element, dims: dims.to_vec() }
}

fn packed(width: Option<u64>) -> ModelSignature {
    ModelSignature { inputs: vec![tensor("input", Element::Float32, &[None, width])], outputs: vec![] }
}

fn facts() -> Facts {
    Facts {
        sources: [("obs".to_owned(), Fact::Known(SourceSchema::default()))].into(),
        views: [("weather".to_owned(), Fact::Known(planned()))].into(),
        models: [("m.onnx".to_owned(), Fact::Known(packed(Some(4))))].into(),
        ..Facts::default()
    }
}

fn with_view(change: impl FnOnce(&mut PlannedView)) -> Facts {
    let mut view = planned();
    change(&mut view);
    Facts { views: [("weather".to_owned(), Fact::Known(view))].into(), ..facts() }
}

fn with_inputs(inputs: Vec<Tensor>) -> Facts {
    let signature = ModelSignature { inputs, outputs: vec![] };
    Facts { models: [("m.onnx".to_owned(), Fact::Known(signature))].into(), ..facts() }
}

/// Errors and not-made checks as text; warnings are left out.
fn errors(sql: &str, facts: &Facts) -> Vec<String> {
    let problems = validate(&definitions(sql), facts).into_iter();
    problems.filter(|problem| problem.severity != Severity::Warning).map(|problem| problem.to_string()).collect()
}

fn warnings(facts: &Facts) -> Vec<String> {
    let problems = validate(&definitions(SQL), facts).into_iter();
    problems.filter(|problem| problem.severity == Severity::Warning).map(|problem| problem.to_string()).collect()
}

#[test]
fn a_project_that_fits_has_no_problem_but_a_word_about_rounding() {
    assert_eq!(errors(SQL, &facts()), [""; 0]);
    assert_eq!(
        warnings(&facts()),
        [
            "Endpoint delay: model.path: model m.onnx: whole numbers beyond 16777216 are rounded to float32: hour (int32), \
          weather__count (int64)"
        ]
    );
}

#[test]
fn a_column_that_is_missing_or_of_another_type_is_named_with_what_there_is() {
    let has = "(has: origin, at, made, gone, temperature, count, city)";
    type Edit = fn(&mut PlannedView);
    let table: [(Edit, String); 9] = [
        (
            |view| view.columns[4].name = "temperature".to_owned(),
            format!(
                "FeatureView weather: features[0]: column \"temp\" is not in the view's output {has}; did you mean \
                 \"temperature\"?"
            ),
        ),
        (
            |view| view.columns[4].data_type = DataType::Utf8,
            "FeatureView weather: features[0]: column \"temp\" is Utf8, the feature is declared float32; cast it in the \
             SQL, or change the declaration"
                .to_owned(),
        ),
        (
            |view| view.columns[5].data_type = DataType::UInt64,
            "FeatureView weather: features[1]: column \"count\" is UInt64, the feature is declared int64; cast it in \
             the SQL, or change the declaration"
                .to_owned(),
        ),
        (
            |view| view.columns[1].data_type = DataType::Int64,
            "FeatureView weather: timestamp_field: column \"at\" is Int64, an event time is a timestamp or a date; \
             convert it, for example with to_timestamp_seconds"
                .to_owned(),
        ),
        (
            |view| view.columns[2].data_type = DataType::Utf8,
            "FeatureView weather: created_timestamp_field: column \"made\" is Utf8, a created time is a timestamp or a \
             date; convert it, for example with to_timestamp_seconds"
                .to_owned(),
        ),
        (
            |view| view.columns[3].data_type = DataType::Int8,
            "FeatureView weather: deleted_field: column \"gone\" is Int8, a deleted field is bool; compare it in the SQL"
                .to_owned(),
        ),
        (
            |view| view.columns[0].data_type = DataType::Float64,
            "FeatureView weather: entities: column \"origin\" is Float64, the join key is string; cast it, or change the \
             entity"
                .to_owned(),
        ),
        (
            |view| view.columns[6].name = "origin".to_owned(),
            "FeatureView weather: entities: column \"origin\" stands twice in the view's output; name one otherwise"
                .to_owned(),
        ),
        (
            |view| drop(view.columns.drain(1..)),
            "FeatureView weather: timestamp_field: column \"at\" is not in the view's output (has: origin)".to_owned(),
        ),
    ];
    for (edit, wanted) in table {
        assert_eq!(errors(SQL, &with_view(edit)).first(), Some(&wanted));
    }
}

#[test]
fn every_problem_of_a_view_is_found_at_once() {
    assert_eq!(errors(SQL, &with_view(|view| view.columns.clear())).len(), 7);
}

#[test]
fn a_planner_error_stands_at_its_place_in_the_sql() {
    let failure = Failure { message: "no table named obz".to_owned(), position: Some(Position { line: 2, column: 6 }) };
    let facts = Facts { views: [("weather".to_owned(), Fact::Failed(failure))].into(), ..facts() };
    assert_eq!(errors(SQL, &facts), ["FeatureView weather: sql (line 2, column 6): no table named obz"]);
}

#[test]
fn a_broken_source_is_told_once_and_its_views_are_not_made() {
    let failure = Failure { message: "data/weather.parquet: truncated".to_owned(), position: None };
    let facts = Facts { sources: [("obs".to_owned(), Fact::Failed(failure.clone()))].into(), ..facts() };
    let facts = Facts { views: [("weather".to_owned(), Fact::Failed(failure))].into(), ..facts };
    assert_eq!(
        errors(SQL, &facts),
        [
            "DataSource obs: parquet.path: data/weather.parquet: truncated",
            "FeatureView weather: sql: its columns could not be checked: data source \"obs\" has an error",
        ]
    );
}

#[test]
fn volatile_functions_are_refused_by_name_from_the_text_and_from_the_plan() {
    let words = "() gives another value on every run, so rows could not be compared or built again; use a column of the \
                 data, or set the time with --as-of";
    let in_text = errors("SELECT *,\n  now() AS n FROM obs", &facts());
    assert_eq!(in_text, [format!("FeatureView weather: sql (line 2, column 3): now{words}")]);
    let in_plan = errors(SQL, &with_view(|view| view.volatile = vec!["dice".to_owned()]));
    assert_eq!(in_plan, [format!("FeatureView weather: sql: dice{words}")]);
    let both = errors("SELECT random() FROM obs", &with_view(|view| view.volatile = vec!["random".to_owned()]));
    assert_eq!(both.len(), 1, "told once");
    let clock = with_view(|view| view.volatile = vec!["now".to_owned()]);
    let alias = errors("SELECT * FROM obs WHERE at < current_timestamp", &clock);
    let written = format!("FeatureView weather: sql (line 1, column 30): current_timestamp{words}");
    assert_eq!(alias, [written], "under the name that was written, not the planner's too");
    let mut plain = definitions(SQL);
    let filter = Some("at < now()".to_owned());
    plain.views.get_mut("weather").unwrap().query =
        ViewQuery::Source { source: "obs".to_owned(), columns: Default::default(), filter };
    let problem = &validate(&plain, &facts())[0];
    assert_eq!((problem.target.path.as_str(), problem.position), ("filter", Some(Position { line: 1, column: 6 })));
}

#[test]
fn dependence_on_order_is_a_warning() {
    let message = "LIMIT without ORDER BY takes whichever rows come first; order by something unique".to_owned();
    let facts = with_view(|view| view.order_warnings = vec![message]);
    assert_eq!(errors(SQL, &facts), [""; 0]);
    assert_eq!(
        warnings(&facts)[0],
        "FeatureView weather: sql: LIMIT without ORDER BY takes whichever rows come first; order by \
         something unique"
    );
}

#[test]
fn what_was_not_gathered_is_reported_as_not_made() {
    let why = "ONNX Runtime is not installed; run scripts/test-deps".to_owned();
    let facts = Facts { models: [("m.onnx".to_owned(), Fact::NotMade { why })].into(), ..Facts::default() };
    let problems = validate(&definitions(SQL), &facts);
    assert!(problems.iter().all(|problem| problem.severity == Severity::NotMade));
    let words = problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        words,
        [
            "DataSource obs: parquet.path: its files were not looked at",
            "FeatureView weather: sql: its columns were not looked at",
            "Endpoint delay: model.path: the model's inputs could not be checked: ONNX Runtime is not installed; run \
             scripts/test-deps",
        ]
    );
}

#[test]
fn a_broken_model_file_is_an_error_in_its_own_words() {
    let message = "m.onnx: output \"p\" is a ZipMap; export with zipmap=False".to_owned();
    let broken = Fact::Failed(Failure { message: message.clone(), position: None });
    let facts = Facts { models: [("m.onnx".to_owned(), broken)].into(), ..facts() };
    assert_eq!(errors(SQL, &facts), [format!("Endpoint delay: model.path: {message}")]);
}

/// The words before every error about a fit.
const FIT: &str = "Endpoint delay: model.path: model m.onnx, feature service arrival: ";
const NAMES: &str = "hour, weather__temp, weather__count, dest__temp";

#[test]
fn a_packed_input_must_be_as_wide_as_the_service_and_take_only_numbers() {
    let wide = Facts { models: [("m.onnx".to_owned(), Fact::Known(packed(Some(5))))].into(), ..facts() };
    assert_eq!(
        errors(SQL, &wide),
        [format!(
            "{FIT}input \"input\" takes 5 values a row, the service has 4 columns ({NAMES}); train the model on these \
             columns in this order, or change the service"
        )]
    );
    let open = Facts { models: [("m.onnx".to_owned(), Fact::Known(packed(None)))].into(), ..facts() };
    assert_eq!(errors(SQL, &open), [""; 0]);
    let mut text = definitions(SQL);
    text.services.get_mut("arrival").unwrap().features[2].feature = "city".to_owned();
    let words = validate(&text, &open).into_iter().map(|problem| problem.to_string()).next();
    assert_eq!(
        words,
        Some(format!(
            "{FIT}column \"dest__city\" is string, input \"input\" takes float32; cast it in the view's SQL, or export \
             the model with another input type"
        ))
    );
}

#[test]
fn inputs_by_name_are_columns_of_a_type_that_fits() {
    let one = |name: &str, element| tensor(name, element, &[None, Some(1)]);
    let good = one("hour", Element::Int64);
    let fits = vec![good.clone(), one("weather__count", Element::Int64), one("dest__temp", Element::Float64)];
    assert_eq!(errors(SQL, &with_inputs(fits)), [""; 0]);
    assert_eq!(errors(SQL, &with_inputs(vec![good.clone()])), [""; 0], "one input, named as one of four columns");
    let advice = "cast it in the view's SQL, or export the model with another input type";
    let table = [
        (
            one("temp", Element::Float32),
            "input \"temp\" is not a column of the service; features of that name are the columns weather__temp, \
             dest__temp"
                .to_owned(),
        ),
        (
            one("count", Element::Float32),
            "input \"count\" is not a column of the service; the feature of that name is the column \"weather__count\""
                .to_owned(),
        ),
        (
            one("weather_temp", Element::Float32),
            format!(
                "input \"weather_temp\" is not a column of the service (has: {NAMES}); did you mean \"weather__temp\"?"
            ),
        ),
        (one("q", Element::Float32), format!("input \"q\" is not a column of the service (has: {NAMES})")),
        (
            one("weather__count", Element::Int32),
            format!("column \"weather__count\" is int64, input \"weather__count\" takes int32; {advice}"),
        ),
        (
            one("dest__temp", Element::Other("float16".to_owned())),
            "column \"dest__temp\" is float32, input \"dest__temp\" takes float16; no feature can become it; export the \
             model with another input type"
                .to_owned(),
        ),
        (
            tensor("dest__temp", Element::Float32, &[None, Some(3)]),
            "input \"dest__temp\" is float32 [?, 3]; fed are one packed input [batch, 4], or several [batch] or [batch, \
             1], one a column"
                .to_owned(),
        ),
        (
            tensor("dest__temp", Element::Float32, &[Some(2), Some(1)]),
            "input \"hour\" takes 1 rows at once, input \"dest__temp\" takes 2".to_owned(),
        ),
    ];
    for (input, wanted) in table {
        let first =
            if wanted.contains("rows at once") { tensor("hour", Element::Int64, &[Some(1)]) } else { good.clone() };
        assert_eq!(errors(SQL, &with_inputs(vec![first, input])), [format!("{FIT}{wanted}")]);
    }
}

#[test]
fn values_are_warned_of_where_they_are_rounded() {
    let one = |name: &str, element| tensor(name, element, &[None]);
    let inputs = vec![
        one("hour", Element::Float64),
        one("weather__count", Element::Float64),
        one("dest__temp", Element::Float32),
    ];
    assert_eq!(
        warnings(&with_inputs(inputs)),
        ["Endpoint delay: model.path: model m.onnx: whole numbers beyond 9007199254740992 are rounded to float64: \
          weather__count (int64)"]
    );
}

#[test]
fn the_model_of_a_variant_is_named_by_its_place() {
    let mut two = definitions(SQL);
    let variants = &mut two.endpoints.get_mut("delay").unwrap().variants;
    let mut second = variants[0].clone();
    second.name = "challenger".to_owned();
    second.model.path = "other.onnx".to_owned();
    variants.push(second);
    let paths = validate(&two, &facts()).into_iter().map(|problem| problem.target.path).collect::<Vec<_>>();
    assert_eq!(paths, ["variants[0].model.path", "variants[1].model.path"]);
}

#[test]
fn a_list_feature_fits_no_input() {
    let mut lists = definitions(SQL);
    lists.views.get_mut("weather").unwrap().features[0].feature_type = "list<float32>".parse::<FeatureType>().unwrap();
    let facts = with_view(|view| view.columns[4].data_type = DataType::new_list(DataType::Float32, true));
    let words = validate(&lists, &facts).into_iter().map(|problem| problem.to_string()).collect::<Vec<_>>();
    assert!(
        words[0]
            .contains("column \"weather__temp\" is list<float32>, input \"input\" takes float32; lists cannot be fed")
    );
}
