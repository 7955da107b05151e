//! Clocks, chance, and what depends on the order of rows: found in a query before it runs.

use tidegate_catalog::definitions::FeatureView;
use tidegate_offline::PlannedQuery;

use crate::project::{Project, ROOMY, ints, row, sources, sql, view};

/// Each query as planned over a source of `k`, `ts`, `x` and `n`.
async fn planned(queries: &[&str]) -> Vec<PlannedQuery> {
    let project = Project::new();
    let mut columns = row("a", 1, 1);
    columns.push(("n", ints(vec![1])));
    project.parquet("s.parquet", columns);
    let mut definitions = sources(&[("s", "s.parquet")]);
    for (number, text) in queries.iter().enumerate() {
        let name = format!("v{number:03}");
        definitions.views.insert(name.clone(), FeatureView { name, ..view(sql(text), "int64") });
    }
    let facts = project.engine(ROOMY, 1).describe(&definitions).await;
    let planned = facts.views.into_values().zip(queries);
    planned.map(|(planned, text)| planned.unwrap_or_else(|error| panic!("{text}: {error}"))).collect()
}

#[tokio::test]
async fn clocks_and_chance_are_found_by_name() {
    let cases: [(&str, &[&str]); 5] = [
        ("SELECT k, ts, CAST(x + extract(second FROM now()) AS BIGINT) AS x FROM s", &["now"]),
        ("SELECT k, ts, x FROM s WHERE ts < current_timestamp", &["now"]),
        ("SELECT k, ts, CAST(random() AS BIGINT) AS x FROM s", &["random"]),
        ("SELECT k, ts, x FROM s WHERE k IN (SELECT CAST(uuid() AS VARCHAR) FROM s)", &["uuid"]),
        ("SELECT k, ts, x FROM s", &[]),
    ];
    for (planned, (text, volatile)) in planned(&cases.map(|case| case.0)).await.iter().zip(cases) {
        assert_eq!(planned.volatile, volatile, "{text}");
        assert_eq!(planned.order_warnings, [""; 0], "{text}");
    }
}

const LIMIT: &str = "LIMIT without ORDER BY keeps rows by chance; order them by columns that are unique together";
const LIMIT_TS: &str = "LIMIT keeps rows that tie in ts by chance; add columns to its ORDER BY until no rows tie";

/// Every query that says something else than its warnings, at once.
async fn assert_warned(cases: Vec<(&str, &[&str])>) {
    let texts = cases.iter().map(|case| case.0).collect::<Vec<_>>();
    let planned = planned(&texts).await;
    let differ = planned.iter().zip(cases).filter(|(planned, (_, warnings))| planned.order_warnings != *warnings);
    let differ = differ.map(|(planned, (text, _))| format!("{text}: {:#?}\n", planned.order_warnings));
    assert_eq!(differ.collect::<String>(), "");
}

#[tokio::test]
async fn limit_and_distinct_on_are_warned_of_unless_their_order_settles_what_they_keep() {
    assert_warned(vec![
        ("SELECT k, ts, x FROM s LIMIT 1", &[LIMIT]),
        ("SELECT k, ts, x FROM s OFFSET 1", &[LIMIT]),
        ("SELECT k, ts, x FROM s ORDER BY ts LIMIT 1", &[LIMIT_TS]),
        (
            "SELECT k, ts, x FROM s ORDER BY ts, n LIMIT 1",
            &["LIMIT keeps rows that tie in ts, n by chance; add columns to its ORDER BY until no rows tie"],
        ),
        ("SELECT k, ts, x FROM (SELECT * FROM s ORDER BY ts LIMIT 1)", &[LIMIT_TS]),
        ("SELECT k, ts, x FROM s ORDER BY ts, k DESC, x LIMIT 1", &[]),
        ("SELECT k, max(ts) AS ts, sum(x) AS x FROM s GROUP BY k ORDER BY k LIMIT 1", &[]),
        (
            "SELECT k, max(ts) AS ts, sum(x) AS x FROM s GROUP BY k ORDER BY x LIMIT 1",
            &["LIMIT keeps rows that tie in x by chance; add columns to its ORDER BY until no rows tie"],
        ),
        ("SELECT 'a' AS k, max(ts) AS ts, sum(x) AS x FROM s LIMIT 1", &[]),
        ("SELECT k, ts, x FROM s WHERE EXISTS (SELECT 1 FROM s AS t WHERE t.x > s.x LIMIT 1)", &[]),
        ("SELECT k, ts, x FROM s WHERE x = (SELECT x FROM s LIMIT 1)", &[LIMIT]),
        ("SELECT k, ts, x FROM s ORDER BY ts", &[]),
        (
            "SELECT DISTINCT ON (k) k, ts, x FROM s",
            &["DISTINCT ON (k) without ORDER BY keeps a row by chance; order them by columns that are unique together"],
        ),
        (
            "SELECT DISTINCT ON (k) k, ts, x FROM s ORDER BY k, ts DESC",
            &[
                "DISTINCT ON (k) keeps one of the rows that tie in k, ts by chance; add columns to its ORDER BY until no rows tie",
            ],
        ),
        ("SELECT DISTINCT ON (k) k, ts, x FROM s ORDER BY k, ts DESC, x", &[]),
        ("SELECT DISTINCT k, ts, x FROM s", &[]),
    ])
    .await;
}

#[tokio::test]
async fn aggregates_that_show_their_rows_order_are_warned_of_unless_it_is_settled() {
    assert_warned(vec![
        (
            "SELECT k, max(ts) AS ts, array_agg(x) AS x FROM s GROUP BY k",
            &["array_agg() without ORDER BY depends on the order of rows; add one inside it"],
        ),
        (
            "SELECT k, max(ts) AS ts, array_agg(x ORDER BY ts) AS x FROM s GROUP BY k",
            &["array_agg() depends on the order of rows that tie in ts; add columns to its ORDER BY until no rows tie"],
        ),
        ("SELECT k, max(ts) AS ts, array_agg(x ORDER BY ts, x) AS x FROM s GROUP BY k", &[]),
        (
            "SELECT k, max(ts) AS ts, first_value(x) AS x FROM s GROUP BY k",
            &["first_value() without ORDER BY depends on the order of rows; add one inside it"],
        ),
        (
            "SELECT k, max(ts) AS ts, last_value(x ORDER BY ts) AS x FROM s GROUP BY k",
            &[
                "last_value() depends on the order of rows that tie in ts; add columns to its ORDER BY until no rows tie",
            ],
        ),
        ("SELECT k, max(ts) AS ts, last_value(x ORDER BY ts, x) AS x FROM s GROUP BY k", &[]),
        ("SELECT k, first_value(ts) AS ts, 1 AS x FROM s GROUP BY k, ts", &[]),
        ("SELECT k, max(ts) AS ts, CAST(avg(x) AS BIGINT) AS x FROM s GROUP BY k", &[]),
    ])
    .await;
}

#[tokio::test]
async fn windows_that_count_rows_are_warned_of_unless_no_rows_tie_that_differ() {
    assert_warned(vec![
        (
            "SELECT k, ts, CAST(row_number() OVER () AS BIGINT) AS x FROM s",
            &["row_number() without ORDER BY in its window depends on the order of rows; add one"],
        ),
        (
            "SELECT k, ts, x FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY ts DESC) AS nth FROM s) WHERE nth = 1",
            &[
                "row_number() depends on the order of rows that tie in ts; add columns to its ORDER BY until no rows tie",
            ],
        ),
        (
            "SELECT k, ts, x FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY ts, x) AS nth FROM s) WHERE nth = 1",
            &[],
        ),
        ("SELECT k, ts, CAST(row_number() OVER (PARTITION BY k ORDER BY ts) AS BIGINT) AS x FROM s", &[]),
        ("SELECT k, ts, CAST(rank() OVER (ORDER BY ts) AS BIGINT) AS x FROM s", &[]),
        ("SELECT k, ts, CAST(rank() OVER () AS BIGINT) AS x FROM s", &[]),
        (
            "SELECT k, ts, lag(x) OVER (PARTITION BY k ORDER BY ts) AS x FROM s",
            &["lag() depends on the order of rows that tie in ts; add columns to its ORDER BY until no rows tie"],
        ),
        ("SELECT k, ts, lag(x) OVER (PARTITION BY k ORDER BY ts, x) AS x FROM s", &[]),
        (
            "SELECT k, ts, sum(x) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS x FROM s",
            &[
                "sum() over a ROWS frame depends on the order of rows that tie in ts; add columns to its ORDER BY until no rows tie",
            ],
        ),
        (
            "SELECT k, ts, sum(x) OVER (PARTITION BY k ORDER BY ts, x ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS x FROM s",
            &[],
        ),
        (
            "SELECT k, ts, sum(x) OVER (PARTITION BY k ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM s",
            &["sum() over a ROWS frame without ORDER BY in its window depends on the order of rows; add one"],
        ),
        (
            "SELECT k, ts, sum(x) OVER (PARTITION BY k ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS x FROM s",
            &[],
        ),
        ("SELECT k, ts, sum(x) OVER (PARTITION BY k ORDER BY ts) AS x FROM s", &[]),
        ("SELECT k, ts, sum(x) OVER (PARTITION BY k ORDER BY ts RANGE INTERVAL '1' DAY PRECEDING) AS x FROM s", &[]),
        ("SELECT k, ts, sum(x) OVER (PARTITION BY k) AS x FROM s", &[]),
        (
            "SELECT k, ts, last_value(x) OVER (PARTITION BY k ORDER BY ts) AS x FROM s",
            &[
                "last_value() depends on the order of rows that tie in ts; add columns to its ORDER BY until no rows tie",
            ],
        ),
        ("SELECT k, last_value(ts) OVER (PARTITION BY k ORDER BY ts) AS ts, x FROM s", &[]),
        (
            "SELECT k, ts, x FROM (SELECT k, ts, lag(x) OVER (ORDER BY ts) AS x FROM s) LIMIT 1",
            &[
                LIMIT,
                "lag() depends on the order of rows that tie in ts; add columns to its ORDER BY until no rows tie",
            ],
        ),
        ("SELECT k, ts, lag(x) OVER (ORDER BY k, ts, x) + lead(x) OVER (ORDER BY x, ts, k) AS x FROM s", &[]),
        ("SELECT k, ts, x, row_number() OVER (ORDER BY ts) AS unused FROM s", &[]),
    ])
    .await;
}
