//! Feast's own client reads from us: each cell against the slow definition of the winner, over rows made here.
#![expect(clippy::unwrap_used, reason = "tests")]

mod view;

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::{Map, Value as Json, json};
use tidegate_catalog::{Micros, Ttl};
use tidegate_tests::{Sandbox, root};

use view::{AS_OF, HOUR, View};

/// Runs a script of `tests/clients` with the Python that has Feast.
fn python(script: &str, arguments: &[&str]) -> String {
    #[expect(clippy::disallowed_methods, reason = "the test script hands the interpreter over")]
    let given = std::env::var("TIDEGATE_TEST_PYTHON").ok();
    let python = given.map_or_else(|| root().join(".cache/clients/bin/python"), Into::into);
    assert!(python.is_file(), "{} is missing; `make deps` installs Feast's client", python.display());
    let mut command = Command::new(python);
    command.env("FEAST_USAGE", "False").arg(root().join("tests/clients").join(script)).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The views of the project, materialized and served while `ask` is answered.
fn answers(views: &[&View], services: &str, asks: &Json) -> Json {
    let folder = tempfile::tempdir().unwrap();
    let (project, repository) = (folder.path().join("project"), folder.path().join("feast"));
    let data = project.join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::create_dir_all(&repository).unwrap();
    let yaml = views.iter().map(|view| view.yaml()).collect::<String>() + services;
    std::fs::write(project.join("definitions.yaml"), yaml).unwrap();
    std::fs::write(project.join("tidegate.yaml"), "project: feast_client\n").unwrap();
    let tables = views.iter().map(|view| (format!("{}.parquet", view.name), view.table())).collect::<Map<_, _>>();
    let (tables_file, asks_file) = (folder.path().join("tables.json"), folder.path().join("asks.json"));
    std::fs::write(&tables_file, Json::Object(tables).to_string()).unwrap();
    std::fs::write(&asks_file, asks.to_string()).unwrap();
    python("make_parquet.py", &[text(&tables_file), text(&data)]);
    let sandbox = Sandbox::of(&project);
    sandbox.tidegate(&["apply", "--as-of", AS_OF]).done();
    sandbox.tidegate(&["materialize", "--as-of", AS_OF]).done();
    let server = sandbox.serve(&["--as-of", AS_OF]);
    let url = format!("http://{}", server.address);
    serde_json::from_str(&python("feast_read.py", &[&url, text(&repository), text(&asks_file)])).unwrap()
}

/// A column's name, values and statuses.
type Column = (String, Vec<Json>, Vec<&'static str>);

/// The client handed out exactly these columns, the sent keys among them.
fn assert_handed_out(answer: &Json, columns: impl IntoIterator<Item = Column>) {
    let mut names = BTreeSet::new();
    for (name, values, statuses) in columns {
        assert_eq!(answer["values"][&name], Json::from(values), "values of {name}");
        assert_eq!(answer["statuses"][&name], json!(statuses), "statuses of {name}");
        names.insert(name);
    }
    for part in ["values", "statuses"] {
        assert_eq!(answer[part].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>(), names);
    }
}

fn sent(name: &str, values: &[Json]) -> Column {
    (name.to_owned(), values.to_vec(), vec!["PRESENT"; values.len()])
}

fn one_key(values: &[Json]) -> Vec<Vec<Json>> {
    values.iter().map(|value| vec![value.clone()]).collect()
}

/// Every type of ours but `date`, for which Feast has none.
const TYPES: [(&str, &str); 8] = [
    ("ok", "bool"),
    ("n32", "int32"),
    ("n64", "int64"),
    ("f32", "float32"),
    ("f64", "float64"),
    ("seen", "timestamp"),
    ("city", "string"),
    ("blob", "bytes"),
];

#[test]
fn the_feast_client_reads_what_the_winner_function_says() {
    let drivers = (-3..70).chain([9_007_199_254_740_993, i64::MIN]).map(Json::from).collect::<Vec<_>>();
    let places = ["Oslo", "São Paulo", "", "a", "b", "c", "d", "e", "f", "g"].map(Json::from);
    let lists = TYPES.map(|(name, kind)| (format!("{name}s"), format!("list<{kind}>")));
    let lists = lists.iter().map(|(name, kind)| (name.as_str(), kind.as_str()));
    let features = TYPES.into_iter().chain(lists).collect::<Vec<_>>();
    let ttl = Ttl::from_micros(24 * HOUR);
    let stats = View::new("stats", "driver", &[("driver_id", "int64")], &features, ttl, &one_key(&drivers));
    let weather =
        View::new("weather", "place", &[("place", "string")], &[("temp", "float32")], None, &one_key(&places));
    let services = "kind: FeatureService\nname: driver\nfeatures: [\"stats:*\"]\n---\n\
        kind: FeatureService\nname: trip\nfeatures:\n  - stats:city\n  - weather:*\n  \
        - {view: weather, as: dest_weather, join_keys: {place: dest}}\n";

    // 100 keys: 74 that have rows, 12 that have none, and 14 of both again
    let asked = drivers.iter().cloned().chain((1_000..1_012).map(Json::from)).skip(1);
    let asked = asked.clone().chain(asked.skip(66).step_by(2)).chain([json!(5), json!(5), json!(6), json!(7)]);
    let asked = asked.collect::<Vec<_>>();
    assert_eq!(asked.len(), 100);
    let listed = ["city", "n64", "oks"];
    let refs = listed.map(|name| format!("stats:{name}"));
    let (few, here, there) = (&asked[..10], &places, {
        let mut turned = places.clone();
        turned.reverse();
        turned[0] = json!("nowhere");
        turned
    });
    let entities = json!({"driver_id": asked});
    let trip = json!({"driver_id": few, "place": here, "dest": there});
    let asks = json!({
        "list": {"features": refs, "entities": entities, "full_feature_names": false},
        "list_full": {"features": refs, "entities": entities, "full_feature_names": true},
        "service": {"feature_service": "driver", "entities": entities, "full_feature_names": false},
        "alias": {"feature_service": "trip", "entities": trip, "full_feature_names": true},
    });
    let answers = answers(&[&stats, &weather], services, &asks);

    let keys = one_key(&asked);
    let of = |view: &View, keys: &[Vec<Json>], feature: &str, name: String| {
        let (values, statuses, _) = view.column(keys, feature);
        (name, values, statuses)
    };
    let all = stats.features.iter().map(|(name, _)| of(&stats, &keys, name, name.clone())).collect::<Vec<_>>();
    let seen = all.iter().flat_map(|(_, _, statuses)| statuses.iter().copied()).collect::<BTreeSet<_>>();
    assert_eq!(seen.len(), 4, "the rows bring every status about: {seen:?}");
    let drivers = || sent("driver_id", &asked);
    assert_handed_out(&answers["service"], [drivers()].into_iter().chain(all));
    let short = listed.map(|name| of(&stats, &keys, name, name.to_owned()));
    assert_handed_out(&answers["list"], [drivers()].into_iter().chain(short));
    let full = listed.map(|name| of(&stats, &keys, name, format!("stats__{name}")));
    assert_handed_out(&answers["list_full"], [drivers()].into_iter().chain(full));
    let columns = [
        sent("driver_id", few),
        sent("place", here),
        sent("dest", &there),
        of(&stats, &one_key(few), "city", "stats__city".to_owned()),
        of(&weather, &one_key(here), "temp", "weather__temp".to_owned()),
        of(&weather, &one_key(&there), "temp", "dest_weather__temp".to_owned()),
    ];
    assert_handed_out(&answers["alias"], columns);
}

#[test]
fn composite_keys_and_the_times_of_rows_are_answered_over_plain_http() {
    let pairs = [("1", "12"), ("11", "2"), ("Oslo", "東京"), ("東京", "Oslo"), ("", "x"), ("x", "")];
    let known = pairs.map(|(origin, dest)| vec![json!(origin), json!(dest)]);
    let features = [("delay", "float32"), ("flights", "int64"), ("last", "timestamp")];
    let route = View::new("route", "route", &[("origin", "string"), ("dest", "string")], &features, None, &known);
    let asked = known.iter().cloned().chain([vec![json!("12"), json!("1")], known[0].clone()]).collect::<Vec<_>>();
    let part = |at: usize| asked.iter().map(|key| key[at].clone()).collect::<Vec<_>>();
    let names = features.map(|(name, _)| format!("route:{name}"));
    let body = json!({"features": names, "entities": {"dest": part(1), "origin": part(0)}});
    let answers = answers(&[&route], "", &json!({"routes": {"plain": body}}));

    let epoch = vec![Micros::EPOCH.to_string(); asked.len()];
    let present = vec!["PRESENT"; asked.len()];
    let mut results = [part(1), part(0)]
        .map(|values| json!({"values": values, "statuses": present, "event_timestamps": epoch}))
        .to_vec();
    for (name, _) in features {
        let (values, statuses, times) = route.column(&asked, name);
        let times = times.iter().map(ToString::to_string).collect::<Vec<_>>();
        results.push(json!({"values": values, "statuses": statuses, "event_timestamps": times}));
    }
    let metadata = json!({"feature_names": ["dest", "origin", "delay", "flights", "last"]});
    assert_eq!(answers["routes"], json!({"metadata": metadata, "results": results}));
}
