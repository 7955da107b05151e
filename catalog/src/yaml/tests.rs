//! Text in, definitions or exact words out.

use super::*;
use crate::definitions::MissingRule;

fn load_text(text: &str) -> Result<Loaded, Vec<String>> {
    let files = [SourceText { path: "f.yaml".to_owned(), text: text.to_owned() }];
    load("p", &files).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

const BASE: &str = "kind: Entity
name: carrier
join_keys: [{name: carrier, type: string}]
---
kind: DataSource
name: flights
parquet: {path: data/*.parquet}
---
kind: FeatureView
name: delay
entities: [carrier]
sql: SELECT 1
timestamp_field: event_timestamp
ttl: 24h
features:
  - {name: late, type: float32, default: 0.2}
  - {name: flights, type: int64}
";

fn with(more: &str) -> Result<Loaded, Vec<String>> {
    load_text(&format!("{BASE}---\n{more}"))
}

#[test]
fn the_flights_example_loads() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/flights");
    let files = ["entities.yaml", "sources.yaml", "features.yaml", "services.yaml"]
        .map(|name| SourceText { path: name.to_owned(), text: std::fs::read_to_string(folder.join(name)).unwrap() });
    let loaded = load("flights", &files).unwrap();
    assert_eq!(loaded.definitions.views.len(), 6);
    let service = &loaded.definitions.services["arrival_delay"];
    assert_eq!((service.features.len(), service.request.len(), service.stars.len()), (23, 4, 6));
    assert_eq!(loaded.definitions.endpoints["arrival_delay"].variants[0].model.name, "arrival_delay");
    let (file, line) = loaded.locations.find("FeatureView", "route_delay_7d", "ttl").unwrap();
    assert_eq!((file, files[2].text.lines().nth(line - 1)), ("features.yaml", Some("ttl: 7d")));
}

#[test]
fn stars_are_expanded_in_order_and_remembered() {
    let loaded = with(
        "kind: FeatureService
name: s
request: [{name: distance, type: float32}]
features:
  - delay:*
  - {view: delay, as: dest, join_keys: {carrier: dest_carrier}, features: [late]}
",
    )
    .unwrap();
    let service = &loaded.definitions.services["s"];
    let columns = service.features.iter().map(|feature| feature.column()).collect::<Vec<_>>();
    assert_eq!(columns, ["delay__late", "delay__flights", "dest__late"]);
    assert_eq!(service.stars, ["delay"]);
    assert_eq!(service.features[2].join_keys["carrier"], "dest_carrier");
}

#[test]
fn an_endpoint_has_defaults_and_null_means_null_however_it_is_written() {
    for missing in ["", "missing: null\n", "missing: \"null\"\n"] {
        let loaded = with(&format!(
            "kind: FeatureService\nname: s\nfeatures: [delay:late]\n---\nkind: Endpoint\nname: e\nfeature_service: s\nmodel: {{path: m/a.onnx}}\n{missing}"
        ))
        .unwrap();
        let endpoint = &loaded.definitions.endpoints["e"];
        assert_eq!((endpoint.missing, endpoint.deadline_ms), (MissingRule::Null, 500));
        assert_eq!(endpoint.variants[0].name, "main");
        assert_eq!(endpoint.variants[0].model.max_batch_size, 64);
    }
}

#[test]
fn what_stands_beside_the_definitions_is_passed_over() {
    let text = format!("# yaml-language-server: $schema=s.json\n---\n---\n{BASE}x-note: anything\n---\n");
    assert_eq!(load_text(&text).unwrap().definitions.views.len(), 1);
    assert_eq!(load_text("").unwrap().definitions, Definitions { project: "p".to_owned(), ..Definitions::default() });
}

/// Each text, and the exact words about it.
fn require_words<T: AsRef<str>>(cases: &[(T, &str)]) {
    for (text, words) in cases {
        assert_eq!(with(text.as_ref()).unwrap_err(), [*words], "{}", text.as_ref());
    }
}

#[test]
fn documents_that_are_no_definitions_are_named_with_file_line_and_path() {
    require_words(&[
        (
            "name: x\n",
            "f.yaml:19: the field \"kind\" is missing (DataSource, Endpoint, Entity, FeatureService, FeatureView)",
        ),
        (
            "kind: FeatureVeiw\nname: x\n",
            "f.yaml:19: kind: there is no kind \"FeatureVeiw\"; did you mean \"FeatureView\"?",
        ),
        ("kind: PushSource\nname: x\n", "f.yaml:19: kind: kind PushSource is not yet supported"),
        ("- a\n", "f.yaml:19: a definition is a mapping, this is a list"),
        ("kind: Entity\nname: e\nname: f\n", "f.yaml:21: key \"name\" stands here twice; the first is on line 20"),
        (
            "kind: Entity\nname: !!str no\n",
            "f.yaml:20: a tag (!!type) is not taken here; a text that looks like something else stands in quotes",
        ),
        (
            "kind: Entity\nname: &a e\njoin_keys: *a\n",
            "f.yaml:21: an alias (*name) is not taken here; write the value out",
        ),
    ]);
}

#[test]
fn mistakes_in_entities_are_named_with_file_line_and_path() {
    let entity = |rest: &str| format!("kind: Entity\n{rest}\n");
    require_words(&[
        (entity("name: e\njoin_keys: []"), "f.yaml:21: join_keys: an entity has at least one join key"),
        (
            entity("name: e\njoin_keys: [{name: a, type: float64}]"),
            "f.yaml:21: join_keys[0].type: a join key cannot be float64: equal floats are a trap; use a string or an integer",
        ),
        (
            entity("name: 0123\njoin_keys: [{name: a, type: string}]"),
            "f.yaml:20: name: must be a text, is the number 0123; put it in quotes if it is meant as text",
        ),
        (
            entity("name: 1e3\njoin_keys: [{name: a, type: string}]"),
            "f.yaml:20: name: must be a text, is the number 1e3; put it in quotes if it is meant as text",
        ),
        (
            entity("name: \"0123\"\njoin_keys: [{name: a, type: string}]"),
            "f.yaml:20: name: \"0123\" cannot be a name; write it as [A-Za-z_][A-Za-z0-9_]*",
        ),
        (
            entity("name: CARRIER\njoin_keys: [{name: a, type: string}]"),
            "f.yaml:20: name: \"CARRIER\" is the name of the Entity in f.yaml:2 already (case does not count)",
        ),
    ]);
}

#[test]
fn mistakes_in_views_are_named_with_file_line_and_path() {
    let view = |rest: &str| {
        format!("kind: FeatureView\nname: v\nentities: [carrier]\nsql: SELECT 1\ntimestamp_field: t\n{rest}\n")
    };
    require_words(&[
        (
            view("features: [{name: a, type: floot32}]"),
            "f.yaml:24: features[0].type: \"floot32\" is not a feature type (types: bool, int32, int64, float32, float64, timestamp, date, string, bytes, list<T> of them)",
        ),
        (
            view("features: [{name: a, type: \"vector<float32, 8>\"}]"),
            "f.yaml:24: features[0].type: \"vector<float32, 8>\" is not yet a feature type; its number is reserved",
        ),
        (
            view("features: [{name: a, type: int32, defualt: 1}]"),
            "f.yaml:24: features[0].defualt: there is no such field; did you mean \"default\"?",
        ),
        (view("features: []"), "f.yaml:24: features: a feature view has at least one feature"),
        (
            view("features: [{name: carrier, type: string}]"),
            "f.yaml:24: features[0].name: \"carrier\" is a join key of this view; a feature needs a name of its own",
        ),
        (
            view("features: [{name: a, type: int32, default: 1e3}]"),
            "f.yaml:24: features[0].default: 1000.0 is no int32; write a whole number in its range",
        ),
        (
            view("ttl: 0s\nfeatures: [{name: a, type: int32}]"),
            "f.yaml:24: ttl: a ttl of 0 would expire every row at once; leave it out for no limit",
        ),
        (
            view("source: flights\nfeatures: [{name: a, type: int32}]"),
            "f.yaml:24: source: a view has either `sql` or `source`, not both",
        ),
    ]);
}

#[test]
fn mistakes_in_services_and_endpoints_are_named_with_file_line_and_path() {
    let service = |features: &str| format!("kind: FeatureService\nname: s\nfeatures: [{features}]\n");
    let endpoint = |model: &str, rest: &str| {
        let model = format!("feature_service: s\nmodel: {{path: m.onnx{model}}}");
        format!("{}---\nkind: Endpoint\nname: e\n{model}\n{rest}\n", service("delay:late"))
    };
    require_words(&[
        (service("dely:late"), "f.yaml:21: features[0]: there is no feature view \"dely\"; did you mean \"delay\"?"),
        (service("delay:lat"), "f.yaml:21: features[0]: view \"delay\" has no feature \"lat\"; did you mean \"late\"?"),
        (service("delay"), "f.yaml:21: features[0]: \"delay\" is no reference; write view:feature or view:*"),
        (
            service("\"delay@v2:late\""),
            "f.yaml:21: features[0]: \"delay@v2\": `view@vN` is reserved for versions, which are not yet served",
        ),
        (service("delay:late, \"delay:*\""), "f.yaml:21: features[1]: delay:late is in this service twice"),
        (
            service("{view: delay, as: x, join_keys: {carier: c}}"),
            "f.yaml:21: features[0].join_keys.carier: view \"delay\" has no join key \"carier\"; did you mean \"carrier\"?",
        ),
        (
            "kind: Endpoint\nname: e\nfeature_service: s\n".to_owned(),
            "f.yaml:19: `model` is missing beside `feature_service`",
        ),
        (
            "kind: Endpoint\nname: e\nfeature_service: s\nmodel: {path: a.onnx}\n".to_owned(),
            "f.yaml:21: feature_service: there is no feature service \"s\"",
        ),
        (
            service("delay:late, {view: delay, join_keys: {carrier: other}, features: [flights]}"),
            "f.yaml:21: features[1].features[0]: \"delay\" stands for view \"delay\" under other join keys already; give this one a name of its own with `as:`",
        ),
        (
            format!(
                "kind: Entity\nname: e\njoin_keys: [{{name: carrier, type: int64}}]\n---\nkind: FeatureView\nname: v\nentities: [e]\nsql: SELECT 1\ntimestamp_field: t\nfeatures: [{{name: a, type: bool}}]\n---\n{}",
                service("delay:late, \"v:a\"")
            ),
            "f.yaml:32: features: the caller's column \"carrier\" is string for \"delay\" and int64 for \"v\"; map one to another column with `join_keys:`",
        ),
        (
            "kind: Endpoint\nname: e\ndeadline_ms: -5\n".to_owned(),
            "f.yaml:21: deadline_ms: must be from 0 to 4294967295, is -5",
        ),
        (
            "kind: Endpoint\nname: e\ndeadline_ms: 4294967296\n".to_owned(),
            "f.yaml:21: deadline_ms: must be from 0 to 4294967295, is 4294967296",
        ),
        (endpoint("", "deadline_ms: 0"), "f.yaml:27: deadline_ms: is 0; leave it out for 500"),
        (endpoint("", "deadline_ms: 10001"), "f.yaml:27: deadline_ms: is 10001; no call may take longer than 10000"),
        (endpoint(", replcas: 2", ""), "f.yaml:26: model.replcas: there is no such field; did you mean \"replicas\"?"),
        (
            format!(
                "{}---\nkind: Endpoint\nname: e\nvariants:\n- {{name: a, feature_service: s, model: {{path: m.onnx}}}}\n\
                 - {{name: b, feature_service: s, model: {{path: n.onnx}}}}\n",
                service("delay:late")
            ),
            "f.yaml:27: variants[1]: several variants need a rule that divides the calls between them, which is not there yet; keep one",
        ),
        (endpoint(", replicas: 0", ""), "f.yaml:26: model.replicas: is 0; it must be at least 1"),
        (endpoint(", replicas: 65", ""), "f.yaml:26: model.replicas: is 65; the most is 64"),
        (
            endpoint(", max_batch_size: 2000000000", ""),
            "f.yaml:26: model.max_batch_size: is 2000000000; the most is 10000",
        ),
    ]);
}

#[test]
fn all_problems_come_at_once_in_order() {
    let words = with("kind: Entity\nnam: e\njoin_keys: 7\n---\nkind: Entty\n").unwrap_err();
    assert_eq!(words.len(), 4, "{words:#?}");
    assert!(words[0].contains("the field \"name\" is missing") && words[3].contains("did you mean \"Entity\"?"));
}

#[test]
fn a_reference_to_what_is_wrong_by_itself_is_no_second_problem() {
    let service = "kind: FeatureService\nname: s\nfeatures: [v:a]\n";
    let words = with(&format!("kind: FeatureView\nname: v\ntimestamp_field: 7\nfeatures: []\n---\n{service}"));
    let words = words.unwrap_err();
    assert_eq!(words.len(), 1, "{words:#?}");
    assert!(words[0].starts_with("f.yaml:21: timestamp_field: must be a text"), "{words:#?}");
    // nor is what seems to be missing while a file cannot be read
    let files = [("a.yaml", "kind: FeatureView\nname: [\n"), ("b.yaml", service)]
        .map(|(path, text)| SourceText { path: path.to_owned(), text: text.to_owned() });
    let problems = load("p", &files).unwrap_err();
    assert!(problems.iter().all(|problem| problem.file == "a.yaml"), "{problems:#?}");
}

#[test]
fn a_mapping_of_very_many_keys_is_read_in_one_pass() {
    let keys = (0..50_000).map(|index| format!("x-{index}: 1\n")).collect::<String>();
    assert_eq!(load_text(&format!("kind: Entity\nname: e\njoin_keys: []\n{keys}")).unwrap_err().len(), 1);
}

#[test]
fn files_of_other_editors_load_alike() {
    let windows = format!("\u{feff}{}", BASE.replace('\n', "\r\n"));
    assert_eq!(load_text(&windows).unwrap().definitions, load_text(BASE).unwrap().definitions);
}

#[test]
fn text_that_is_no_yaml_is_named_and_nothing_panics() {
    assert!(load_text("a: [1, 2\n").unwrap_err()[0].contains("not YAML"));
    assert!(load_text("\ta: b\n: :\n- ]").is_err());
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    assert!(load_text(&deep).unwrap_err()[0].contains("nested deeper than 64 levels"));
    let long = "#".repeat(5 << 20);
    assert!(load_text(&long).unwrap_err()[0].contains("the limit is"));
    assert_eq!(Problem::not_utf8("f.yaml").to_string(), "f.yaml:1: the file is not UTF-8 text; save it as UTF-8");
}

#[test]
fn no_and_on_are_text_and_a_value_file_is_json() {
    let any = serde_json::json!({});
    let value = |text: &str| Document::read("t", text, &any).map(|document| document.value());
    let mixed = value("project: no\nn: 0123\nx: .nan\nlist: [on, 1.5, 0x10, -3]\n").unwrap();
    assert_eq!(mixed, serde_json::json!({"project": "no", "n": 123, "x": ".nan", "list": ["on", 1.5, 16, -3]}));
    assert!(value("a: 1\n---\nb: 2\n").unwrap_err()[0].to_string().contains("a second document"));
    assert_eq!(value("").unwrap(), serde_json::json!({}));
}

#[test]
fn the_schema_knows_every_kind() {
    let schema = schema();
    let kinds = schema["oneOf"].as_array().unwrap().iter().map(|kind| kind["properties"]["kind"]["const"].clone());
    let expected = ["DataSource", "Endpoint", "Entity", "FeatureService", "FeatureView"];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
    assert!(schema["$defs"]["Feature"]["properties"]["default"]["description"].is_string());
}

#[test]
fn a_single_document_is_held_against_its_schema_and_a_secret_is_never_repeated() {
    let schema = serde_json::json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["name"],
        "properties": {
            "name": {"type": "string"},
            "store": {"type": "object", "additionalProperties": false, "properties": {
                "password": {"type": ["string", "null"], "writeOnly": true},
                "timeout_ms": {"type": "integer", "format": "uint64", "minimum": 0},
            }},
        },
    });
    let words = |text: &str| {
        let problems = Document::read("t.yaml", text, &schema).unwrap_err();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(words(""), ["t.yaml:1: the field \"name\" is missing"]);
    assert_eq!(
        words("name: n\nstore:\n  password: 123456\n  timeout_m: 5\n"),
        [
            "t.yaml:3: store.password: must be a text, is a number; put it in quotes if it is meant as text",
            "t.yaml:4: store.timeout_m: there is no such field; did you mean \"timeout_ms\"?",
        ]
    );
    assert!(words("name: n\nstore: {password: [s3cret]}\n")[0].ends_with("must be a text, is a list"));
    assert_eq!(words("name: n\n---\nname: m\n"), ["t.yaml:3: a second document; this file holds one"]);
    let document = Document::read("t.yaml", "name: n\nstore:\n  timeout_ms: 0\n", &schema).unwrap();
    assert_eq!(document.problem("store.timeout_ms", "is 0").to_string(), "t.yaml:3: store.timeout_ms: is 0");
    assert_eq!(document.problem("store.password", "is bad").line, 2, "the nearest part around it");
}
