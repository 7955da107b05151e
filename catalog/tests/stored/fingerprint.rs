//! A view's value fingerprint changes with exactly what decides its rows' bytes.

use tidegate_catalog::{
    FeatureType, ScalarType, Ttl,
    definitions::{DefaultValue, Definitions, Feature, FeatureView, JoinKey, KeyType, ViewQuery},
};

use crate::sample;

type Change = (&'static str, fn(&mut Definitions, &mut FeatureView));

/// The view's fingerprint before and after the change.
fn around(name: &str, change: fn(&mut Definitions, &mut FeatureView)) -> (String, String) {
    let mut definitions = sample::snapshot().definitions;
    let mut view = definitions.views[name].clone();
    let before = view.fingerprint(&definitions);
    change(&mut definitions, &mut view);
    definitions.views.insert(name.to_owned(), view.clone());
    (before, view.fingerprint(&definitions))
}

fn path(definitions: &mut Definitions, source: &str) {
    definitions.sources.get_mut(source).unwrap().parquet.path.push('x');
}

fn columns(
    view: &mut FeatureView,
) -> (&mut String, &mut std::collections::BTreeMap<String, String>, &mut Option<String>) {
    match &mut view.query {
        ViewQuery::Source { source, columns, filter } => (source, columns, filter),
        ViewQuery::Sql(sql) => panic!("{sql}"),
    }
}

#[test]
fn what_decides_a_rows_bytes_changes_the_fingerprint() {
    let new = || Feature {
        name: "new".to_owned(),
        default: None,
        ..sample::snapshot().definitions.views["by_source"].features[0].clone()
    };
    let of_sql: [Change; 15] = [
        ("SQL", |_, view| view.query = ViewQuery::Sql("SELECT * FROM tides JOIN Gates USING (gate, bay)".to_owned())),
        ("path of a source", |definitions, _| path(definitions, "tides")),
        ("path of a source in capitals", |definitions, _| path(definitions, "gates")),
        ("timestamp field", |_, view| view.timestamp_field.push('x')),
        ("created field", |_, view| view.created_timestamp_field = None),
        ("name of the created field", |_, view| view.created_timestamp_field = Some("known".to_owned())),
        ("deleted field", |_, view| view.deleted_field = None),
        ("created and deleted field changed about", |_, view| {
            std::mem::swap(&mut view.created_timestamp_field, &mut view.deleted_field);
        }),
        ("name of a join key", |_, view| view.join_keys[0].name.push('x')),
        ("type of a join key", |_, view| view.join_keys[0].key_type = KeyType::String),
        ("one more join key", |_, view| {
            view.join_keys.push(JoinKey { name: "pier".to_owned(), key_type: KeyType::String });
        }),
        ("name of a feature", |_, view| view.features[0].name.push('x')),
        ("type of a feature", |_, view| view.features[0].feature_type = FeatureType::Scalar(ScalarType::Float64)),
        ("order of features", |_, view| view.features.swap(0, 1)),
        ("one feature less", |_, view| drop(view.features.pop())),
    ];
    let of_source: [Change; 4] = [
        ("source", |_, view| *columns(view).0 = "tides".to_owned()),
        ("columns", |_, view| drop(columns(view).1.insert("total".to_owned(), "Total".to_owned()))),
        ("filter", |_, view| *columns(view).2 = None),
        ("path of the source", |definitions, _| path(definitions, "boats")),
    ];
    for (view, changes) in [("by_sql", &of_sql[..]), ("by_source", &of_source[..])] {
        for (what, change) in changes {
            let (before, after) = around(view, *change);
            assert_ne!(before, after, "{what}");
        }
    }
    let mut definitions = sample::snapshot().definitions;
    let mut view = definitions.views["by_sql"].clone();
    view.features.push(new());
    let before = definitions.views["by_sql"].fingerprint(&definitions);
    assert_ne!(before, view.fingerprint(&definitions), "one feature more");
    definitions.views.clear();
    assert_eq!(before, sample::snapshot().definitions.views["by_sql"].fingerprint(&definitions), "other views");
}

#[test]
fn what_decides_nothing_about_the_bytes_changes_no_fingerprint() {
    let changes: [Change; 12] = [
        ("default", |_, view| view.features[0].default = Some(DefaultValue::Float32(1))),
        ("no default", |_, view| view.features[0].default = None),
        ("description of a feature", |_, view| view.features[0].described.description = Some("new".to_owned())),
        ("description", |_, view| view.described.description = None),
        ("owner", |_, view| view.described.owner = None),
        ("tags", |_, view| view.described.tags.clear()),
        ("a shorter ttl", |_, view| view.ttl = Ttl::from_micros(1)),
        ("no ttl", |_, view| view.ttl = None),
        ("path of a source that is not read", |definitions, _| path(definitions, "boats")),
        ("description of a source", |definitions, _| {
            definitions.sources.get_mut("tides").unwrap().described.description = None;
        }),
        ("description of the entity", |definitions, _| {
            definitions.entities.get_mut("gate").unwrap().described.description = None;
        }),
        ("services and endpoints", |definitions, _| {
            definitions.services.clear();
            definitions.endpoints.clear();
        }),
    ];
    for (what, change) in changes {
        let (before, after) = around("by_sql", change);
        assert_eq!(before, after, "{what}");
    }
}

#[test]
fn sources_are_found_in_sql_as_words_whatever_their_case() {
    let definitions = sample::snapshot().definitions;
    let names = |sql: &str| {
        let view = FeatureView { query: ViewQuery::Sql(sql.to_owned()), ..definitions.views["by_sql"].clone() };
        view.source_names(&definitions).join(" ")
    };
    assert_eq!(names("SELECT * FROM tides"), "tides");
    assert_eq!(names("SELECT * FROM TIDES t, \"gates\""), "gates tides");
    assert_eq!(names("SELECT * FROM tides_of_gates, xboats"), "");
    assert_eq!(names("SELECT boats.n FROM(tides)"), "boats tides");
}
