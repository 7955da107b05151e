//! What is read: names, folders, widened columns, times, and that memory changes nothing.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, ListArray, cast::AsArray};
use arrow_schema::Field;
use datafusion::arrow::buffer::OffsetBuffer;
use futures::TryStreamExt;
use tidegate_catalog::definitions::ViewQuery;

use crate::project::{Project, ROOMY, ints, keys, plain, read, row, sources, sql, table, times, view};

#[tokio::test]
async fn capitals_dots_and_spaces_in_column_names_are_reached_by_quoting() {
    let project = Project::new();
    project
        .parquet("s.parquet", vec![("Key Name", keys(&["a"])), ("event.Time", times(vec![7])), ("X", ints(vec![3]))]);
    let expected = vec![("a".to_owned(), Some(7), "3".to_owned())];
    let text = r#"SELECT "Key Name" AS k, "event.Time" AS ts, "X" AS x FROM s"#;
    assert_eq!(table(&project.rows(sql(text), "s.parquet").await.unwrap()), expected);
    let columns = [("k", "Key Name"), ("ts", "event.Time"), ("x", "X")];
    let columns = columns.map(|(to, from)| (to.to_owned(), from.to_owned())).into();
    let renamed = ViewQuery::Source { source: "s".to_owned(), columns, filter: Some("\"X\" = 3".to_owned()) };
    assert_eq!(table(&project.rows(renamed, "s.parquet").await.unwrap()), expected);
}

#[tokio::test]
async fn hive_folders_become_columns_and_columns_may_be_added_reordered_and_widened() {
    let project = Project::new();
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    project.parquet("d/year=2012/a.parquet", vec![("x", narrow), ("k", keys(&["a"])), ("ts", times(vec![1]))]);
    let mut later = row("b", 2, 1 << 40);
    later.push(("added", ints(vec![5])));
    project.parquet("d/year=2013/a.parquet", later);
    let both = table(&project.rows(plain(), "d").await.unwrap());
    assert_eq!(both, [("a".into(), Some(1), "1".into()), ("b".into(), Some(2), (1_i64 << 40).to_string())]);
    let years = project.rows(sql("SELECT k, ts, year + coalesce(added, 0) AS x FROM s"), "d").await.unwrap();
    assert_eq!(table(&years), [("a".into(), Some(1), "2012".into()), ("b".into(), Some(2), "2018".into())]);
}

#[tokio::test]
async fn a_glob_counts_the_files_of_a_folder_named_like_a_file_once() {
    let project = Project::new();
    project.parquet("d/out.parquet/part-0.parquet", row("a", 1, 1));
    for source in ["d", "d/**/*.parquet", "d/*.parquet"] {
        assert_eq!(table(&project.rows(plain(), source).await.unwrap()).len(), 1, "{source}");
    }
}

#[tokio::test]
async fn a_file_replaced_while_it_is_read_is_named() {
    let project = Project::new();
    project.parquet("s.parquet", row("a", 1, 1));
    let (engine, view, definitions) =
        (project.engine(ROOMY, 1), view(plain(), "int64"), sources(&[("s", "s.parquet")]));
    let opened = engine.view_rows(&view, &definitions).await.unwrap();
    let longer = vec![("k", keys(&["a"; 9])), ("ts", times(vec![1; 9])), ("x", ints((0..9).collect()))];
    project.parquet("s.parquet", longer);
    let error = opened.batches.try_collect::<Vec<_>>().await.unwrap_err().to_string();
    assert!(error.contains("s.parquet changed while it was read"), "{error}");
}

#[tokio::test]
async fn float64_narrows_to_float32_and_nothing_else_narrows() {
    let project = Project::new();
    let x: ArrayRef = Arc::new(Float64Array::from(vec![0.1]));
    project.parquet("s.parquet", vec![("k", keys(&["a"])), ("ts", times(vec![1])), ("x", x)]);
    let definitions = sources(&[("s", "s.parquet")]);
    let engine = project.engine(ROOMY, 1);
    let batches = read(&engine, &view(plain(), "float32"), &definitions).await.unwrap();
    assert_eq!(batches[0].column(4).as_primitive::<arrow_array::types::Float32Type>().value(0), 0.1_f32);
    let error = read(&engine, &view(plain(), "int32"), &definitions).await.unwrap_err().to_string();
    assert_eq!(error, "feature view \"v\": column \"x\" is Float64, which is no int32; cast it in the SQL");
}

#[tokio::test]
async fn a_file_without_rows_is_a_file_and_one_without_a_column_has_nulls_in_it() {
    let project = Project::new();
    project.parquet("d/a.parquet", vec![("k", keys(&[])), ("ts", times(vec![])), ("x", ints(vec![]))]);
    assert_eq!(table(&project.rows(plain(), "d").await.unwrap()), []);
    project.parquet("d/b.parquet", vec![("k", keys(&["b"])), ("ts", times(vec![2]))]);
    assert_eq!(table(&project.rows(plain(), "d").await.unwrap()), [("b".into(), Some(2), String::new())]);
}

#[tokio::test]
async fn lists_whose_writers_name_their_elements_otherwise_are_one_column() {
    let project = Project::new();
    let list = |name: &str, values: ArrayRef| -> ArrayRef {
        let field = Arc::new(Field::new(name, values.data_type().clone(), name == "item"));
        Arc::new(ListArray::new(field, OffsetBuffer::from_lengths([2]), values, None))
    };
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    for (key, x) in [("a", list("element", narrow)), ("b", list("item", ints(vec![3, 1 << 40])))] {
        project.parquet(&format!("d/{key}.parquet"), vec![("k", keys(&[key])), ("ts", times(vec![1])), ("x", x)]);
    }
    let engine = project.engine(ROOMY, 1);
    let batches = read(&engine, &view(plain(), "list<int64>"), &sources(&[("s", "d")])).await.unwrap();
    let expected = [("a".into(), Some(1), "[1, 2]".into()), ("b".into(), Some(1), "[3, 1099511627776]".into())];
    assert_eq!(table(&batches), expected);
}
