//! Sources and queries that are refused: each by its name, in exact words.

use std::{fs, path::Path};

use tidegate_catalog::{ErrorCode, definitions::ViewQuery};
use tidegate_offline::Error;

use crate::project::{Project, ints, keys, plain, row, sql, times};

fn cut(from: &Path, to: &Path, bytes: usize) {
    fs::write(to, fs::read(from).unwrap().get(..bytes).unwrap()).unwrap();
}

/// What is said of `query` over `source`, without the folder that the test lies in.
async fn said(project: &Project, query: ViewQuery, source: &str) -> String {
    let folder = fs::canonicalize(project.folder.path()).unwrap();
    let error = project.rows(query, source).await.unwrap_err();
    error.to_string().replace(&format!("{}/", folder.display()), "")
}

/// Every difference at once.
fn assert_said(found: &[(String, String)], expected: &[&str]) {
    let differ = found.iter().zip(expected).filter(|((_, said), words)| said != *words);
    let differ = differ.map(|((of, said), words)| format!("{of}\n  says     {said}\n  and not  {words}\n"));
    let differ = differ.collect::<String>();
    assert!(differ.is_empty(), "{differ}");
    assert_eq!(found.len(), expected.len());
}

#[tokio::test]
async fn a_bad_source_is_refused_by_the_name_of_its_file() {
    let project = Project::new();
    project.parquet("good.parquet", row("a", 1, 1));
    cut(&project.path("good.parquet"), &project.path("cut/a.parquet"), 40);
    fs::write(project.path("empty/a.parquet"), "").unwrap();
    fs::write(project.path("foreign/a.parquet"), "k,ts,x\na,1,1\n").unwrap();
    project.parquet("siblings/a.parquet", row("a", 1, 1));
    project.parquet("siblings/b.parquet", vec![("k", keys(&["a"])), ("ts", times(vec![1])), ("x", keys(&["one"]))]);
    fs::write(project.path("unfinished/a.parquet.tmp"), "").unwrap();
    fs::write(project.path("hidden/.a.parquet"), "").unwrap();
    let cases = [
        (
            "cut",
            "source \"s\": cut/a.parquet: not a readable Parquet file: Parquet error: Invalid Parquet file. Corrupt footer",
        ),
        ("empty", "source \"s\": empty/a.parquet: not a readable Parquet file: it is empty"),
        (
            "foreign",
            "source \"s\": foreign/a.parquet: not a readable Parquet file: Parquet error: Invalid Parquet file. Corrupt footer",
        ),
        ("siblings", "source \"s\": siblings/b.parquet: column \"x\" is Utf8, in the files before it Int64"),
        (
            "unfinished",
            "source \"s\": \"unfinished\" names no Parquet file (hidden and unfinished files are passed over)",
        ),
        ("hidden", "source \"s\": \"hidden\" names no Parquet file (hidden and unfinished files are passed over)"),
        (
            "*/none-*.parquet",
            "source \"s\": \"*/none-*.parquet\" names no Parquet file (hidden and unfinished files are passed over)",
        ),
        ("nowhere", "source \"s\": nowhere: No such file or directory (os error 2)"),
        ("s3://bucket/x", "source \"s\": s3:// is not yet a place for sources; use a local file, glob or folder"),
    ];
    let mut found = Vec::new();
    for (source, _) in cases {
        found.push((source.to_owned(), said(&project, plain(), source).await));
    }
    assert_said(&found, &cases.map(|case| case.1));
}

#[tokio::test]
async fn a_bad_query_is_refused_by_view_and_name() {
    let project = Project::new();
    project.parquet("s.parquet", row("a", 1, 1));
    let cases = [
        ("SELECT k, ts x y FROM s", "feature view \"v\": Expected: end of statement, found: y at Line: 1, Column: 16"),
        ("SELECT k, x FROM s", "feature view \"v\": its query yields no column \"ts\" (it yields: k, x)"),
        ("SELECT k, ts FROM s", "feature view \"v\": its query yields no column \"x\" (it yields: k, ts)"),
        (
            "SELECT k, ts, 'a' AS x FROM s",
            "feature view \"v\": column \"x\" is Utf8, which is no int64; cast it in the SQL",
        ),
        ("SELECT k, ts, y AS x FROM s", "feature view \"v\": no column is named y (there are: s.k, s.ts, s.x)"),
        ("SELECT * FROM elsewhere", "feature view \"v\": table 'elsewhere' not found"),
        ("SELECT * FROM 's.parquet'", "feature view \"v\": table 's.parquet' not found"),
        (
            "SELECT nothing(k) AS k, ts, x FROM s",
            "feature view \"v\": Invalid function 'nothing'. Did you mean 'contains'?",
        ),
        ("DROP TABLE s", "feature view \"v\": DDL not supported: DropTable"),
        ("SET datafusion.execution.batch_size = 1", "feature view \"v\": Statement not supported: SetVariable"),
        ("COPY s TO 'out.parquet'", "feature view \"v\": DML not supported: COPY"),
        (
            "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 's.parquet'",
            "feature view \"v\": DDL not supported: CreateExternalTable",
        ),
        ("SELECT 1; SELECT 2", "feature view \"v\": The context currently only supports a single SQL statement"),
        ("", "feature view \"v\": No SQL statements were provided in the query string"),
        // a name that stands for two columns, inside the query and in what it yields
        (
            "SELECT k, a.ts, a.x FROM s AS a JOIN s AS b ON a.k = b.k",
            "feature view \"v\": Ambiguous reference to unqualified field k",
        ),
        (
            "SELECT a.k, b.k, a.ts, a.x FROM s AS a JOIN s AS b ON a.k = b.k",
            "feature view \"v\": its query yields more than one column \"k\"; give each a name of its own with AS",
        ),
    ];
    let mut found = Vec::new();
    for (text, _) in cases {
        let error = project.rows(sql(text), "s.parquet").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{text}: {error}");
        found.push((text.to_owned(), said(&project, sql(text), "s.parquet").await));
    }
    assert_said(&found, &cases.map(|case| case.1));
}

#[tokio::test]
async fn a_name_with_capitals_dots_or_spaces_without_quotes_is_refused_showing_how_it_is_written() {
    let project = Project::new();
    project
        .parquet("s.parquet", vec![("Key Name", keys(&["a"])), ("event.Time", times(vec![7])), ("X", ints(vec![3]))]);
    let cases = [
        (
            "SELECT \"Key Name\" AS k, \"event.Time\" AS ts, X AS x FROM s",
            "feature view \"v\": no column is named x (there are: s.\"Key Name\", s.\"event.Time\", s.\"X\"); in double quotes there is \"X\"",
        ),
        (
            "SELECT \"Key Name\" AS k, \"event.Time\" AS ts, s.X AS x FROM s",
            "feature view \"v\": no column is named s.x (there are: s.\"Key Name\", s.\"event.Time\", s.\"X\"); in double quotes there is \"X\"",
        ),
        (
            "SELECT \"Key Name\" AS k, event.Time AS ts, \"X\" AS x FROM s",
            "feature view \"v\": no column is named event.time (there are: s.\"Key Name\", s.\"event.Time\", s.\"X\"); in double quotes there is \"event.Time\"",
        ),
        (
            "SELECT Key Name, \"event.Time\" AS ts, \"X\" AS x FROM s",
            "feature view \"v\": no column is named key (there are: s.\"Key Name\", s.\"event.Time\", s.\"X\"); in double quotes there is \"Key Name\"",
        ),
        (
            "SELECT Key Name AS k, \"event.Time\" AS ts, \"X\" AS x FROM s",
            "feature view \"v\": Expected: end of statement, found: AS at Line: 1, Column: 17; in double quotes there is \"Key Name\"",
        ),
        (
            "SELECT \"Key Name\" AS k, \"event.Time\" AS ts, y AS x FROM s",
            "feature view \"v\": no column is named y (there are: s.\"Key Name\", s.\"event.Time\", s.\"X\")",
        ),
    ];
    let mut found = Vec::new();
    for (text, _) in cases {
        found.push((text.to_owned(), said(&project, sql(text), "s.parquet").await));
    }
    assert_said(&found, &cases.map(|case| case.1));
    let columns = [("k", "Key Name"), ("ts", "event.time"), ("x", "X")];
    let columns = columns.map(|(to, from)| (to.to_owned(), from.to_owned())).into();
    let plain = ViewQuery::Source { source: "s".to_owned(), columns, filter: None };
    assert_said(
        &[("plain".to_owned(), said(&project, plain, "s.parquet").await)],
        &[
            "feature view \"v\": no column is named \"event.time\" (there are: s.\"Key Name\", s.\"event.Time\", s.\"X\"); in double quotes there is \"event.Time\"",
        ],
    );
}

#[tokio::test]
async fn a_position_is_a_place_in_the_text_that_was_written() {
    let project = Project::new();
    project.parquet("s.parquet", row("a", 1, 1));
    let error = project.rows(sql("SELECT k, ts\n  FROM s GROUP x"), "s.parquet").await.unwrap_err();
    assert!(matches!(error, Error::Query { position: Some((2, _)), .. }), "{error:?}");
    // the filter stands inside SQL that nobody wrote; its lines are counted from its own first
    for (filter, line) in [("x >> > 1", 1), ("x > 1\n  AND > 2", 2)] {
        let filter = ViewQuery::Source { source: "s".to_owned(), columns: [].into(), filter: Some(filter.to_owned()) };
        let Err(Error::Query { position: Some((found, _)), message, .. }) = project.rows(filter, "s.parquet").await
        else {
            panic!("the filter does not parse");
        };
        assert_eq!(found, line, "{message}");
        assert!(message.contains(&format!("Line: {line},")), "{message}");
    }
}
