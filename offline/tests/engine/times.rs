//! Times of every unit, and times that are none: a bad one is told beside its row and ends nothing.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, cast::AsArray, types::TimestampMicrosecondType,
};
use tidegate_catalog::ErrorCode;

use crate::project::{Project, ROOMY, ints, keys, plain, read, row, sources, sql, table, view};

fn events(batches: &[RecordBatch]) -> Vec<Option<i64>> {
    table(batches).into_iter().map(|row| row.1).collect()
}

/// Key, event time and what is said of the row, sorted by key.
fn refused(batches: &[RecordBatch]) -> Vec<(String, Option<i64>, Option<String>)> {
    let mut rows = Vec::new();
    for batch in batches {
        let said = batch.column(batch.num_columns() - 1).as_string::<i32>();
        let event = batch.column(1).as_primitive::<TimestampMicrosecondType>();
        for row in 0..batch.num_rows() {
            rows.push((
                batch.column(0).as_string::<i32>().value(row).to_owned(),
                event.is_valid(row).then(|| event.value(row)),
                said.is_valid(row).then(|| said.value(row).to_owned()),
            ));
        }
    }
    rows.sort();
    rows
}

fn said(key: &str, event: Option<i64>, words: Option<&str>) -> (String, Option<i64>, Option<String>) {
    (key.to_owned(), event, words.map(str::to_owned))
}

#[tokio::test]
async fn nanoseconds_round_up_and_a_null_event_time_passes_through() {
    let project = Project::new();
    let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![Some(1_001), Some(-1), Some(2_000), None]));
    let columns = vec![("k", keys(&["a", "b", "c", "d"])), ("ts", nanos), ("x", ints(vec![0; 4]))];
    project.parquet("s.parquet", columns);
    let batches = project.rows(plain(), "s.parquet").await.unwrap();
    assert_eq!(events(&batches), [Some(2), Some(0), Some(2), None]);
    assert!(refused(&batches).iter().all(|row| row.2.is_none()), "a null is no bad time");
}

#[tokio::test]
async fn files_of_one_source_may_hold_their_times_in_any_unit_and_round_up() {
    let project = Project::new();
    let files: [(&str, ArrayRef); 5] = [
        ("a", Arc::new(TimestampSecondArray::from(vec![2]))),
        ("b", Arc::new(TimestampMillisecondArray::from(vec![2_001]).with_timezone("UTC"))),
        ("c", Arc::new(TimestampMicrosecondArray::from(vec![2_000_001]).with_timezone("+02:00"))),
        ("d", Arc::new(TimestampNanosecondArray::from(vec![2_000_000_001]))),
        ("e", Arc::new(TimestampNanosecondArray::from(vec![-1]).with_timezone("UTC"))),
    ];
    for (key, times) in files {
        project.parquet(&format!("d/{key}.parquet"), vec![("k", keys(&[key])), ("ts", times), ("x", ints(vec![1]))]);
    }
    let expected = [2_000_000, 2_001_000, 2_000_001, 2_000_001, 0].map(Some);
    assert_eq!(events(&project.rows(plain(), "d").await.unwrap()), expected);
    // the same in SQL, where a filter may be looked up in a file's statistics
    let text = "SELECT k, ts, x FROM s WHERE ts >= TIMESTAMP '1970-01-01T00:00:02.000001Z'";
    assert_eq!(events(&project.rows(sql(text), "d").await.unwrap()), [2_001_000, 2_000_001, 2_000_001].map(Some));
}

#[tokio::test]
async fn a_time_outside_of_microseconds_is_told_and_the_other_rows_stay() {
    let words = Some("column \"ts\" holds a time that microseconds cannot hold");
    let millis: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![Some(7), Some(i64::MAX), None]));
    let project = Project::new();
    project.parquet("s.parquet", vec![("k", keys(&["a", "b", "c"])), ("ts", millis), ("x", ints(vec![0; 3]))]);
    let expected = [said("a", Some(7_000), None), said("b", None, words), said("c", None, None)];
    assert_eq!(refused(&project.rows(plain(), "s.parquet").await.unwrap()), expected);
    // and where a file of microseconds beside it makes the source one of microseconds
    std::fs::create_dir(project.folder.path().join("d")).unwrap();
    std::fs::rename(project.path("s.parquet"), project.path("d/s.parquet")).unwrap();
    project.parquet("d/t.parquet", row("d", 9, 1));
    let beside = [expected.as_slice(), &[said("d", Some(9), None)]].concat();
    assert_eq!(refused(&project.rows(plain(), "d").await.unwrap()), beside);
}

#[tokio::test]
async fn a_text_that_is_no_time_is_told_where_the_query_reads_it_as_the_views_time() {
    let project = Project::new();
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("1970-01-01T00:00:01Z"), Some("soon"), None]));
    let columns = vec![("k", keys(&["a", "b", "c"])), ("t", texts), ("x", ints(vec![0; 3]))];
    project.parquet("s.parquet", columns);
    let words = Some("column \"ts\" cannot be read as a time: \"soon\"");
    let expected = [said("a", Some(1_000_000), None), said("b", None, words), said("c", None, None)];
    for text in [
        "SELECT k, CAST(t AS TIMESTAMP) AS ts, x FROM s",
        "SELECT k, t::timestamptz AS ts, x FROM s ORDER BY k",
        "SELECT k, to_timestamp(t) AS ts, x FROM s",
        "SELECT k, to_timestamp_millis(t) AS ts, x FROM s WHERE x = 0",
    ] {
        assert_eq!(refused(&project.rows(sql(text), "s.parquet").await.unwrap()), expected, "{text}");
    }
    let created = "SELECT k, CAST('1970-01-01' AS TIMESTAMP) AS ts, CAST(t AS TIMESTAMP) AS seen, x FROM s";
    let mut view = view(sql(created), "int64");
    view.created_timestamp_field = Some("seen".to_owned());
    let batches = read(&project.engine(ROOMY, 1), &view, &sources(&[("s", "s.parquet")])).await.unwrap();
    let words = Some("column \"seen\" cannot be read as a time: \"soon\"");
    let expected = [said("a", Some(0), None), said("b", Some(0), words), said("c", Some(0), None)];
    assert_eq!(refused(&batches), expected);
}

#[tokio::test]
async fn a_row_that_cannot_be_computed_ends_the_query_in_words_that_say_what_would_help() {
    let project = Project::new();
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["soon"]));
    project.parquet("s.parquet", vec![("k", keys(&["a"])), ("t", texts), ("x", ints(vec![0]))]);
    let helps = "; where a null will do, TRY_CAST and NULLIF give one";
    for (text, words) in [
        (
            "SELECT k, to_timestamp(1) AS ts, CAST(t AS BIGINT) AS x FROM s",
            "Cannot cast string 'soon' to value of Int64 type",
        ),
        ("SELECT k, to_timestamp(1) AS ts, 1 / x AS x FROM s", "Divide by zero error"),
        (
            "SELECT k, to_timestamp(1) AS ts, x FROM s WHERE CAST(t AS TIMESTAMP) IS NOT NULL",
            "Error parsing timestamp from 'soon': timestamp must contain at least 10 characters",
        ),
    ] {
        let error = project.rows(sql(text), "s.parquet").await.unwrap_err();
        assert_eq!(error.to_string(), format!("feature view \"v\": a row cannot be computed: {words}{helps}"));
        assert_eq!(error.code(), ErrorCode::FailedPrecondition);
    }
}
