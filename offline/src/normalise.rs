//! From a query's output to the normalised batch: fixed column order, the types of the definition, times in microseconds.
//!
//! Sub-microsecond feature times round up, so that no rounding can show the future. The only narrowing is float64 to
//! float32; everything else widens or changes its encoding. A row with a time that cannot be read, or that microseconds
//! cannot hold, stays in the batch, and its last column says why it is none.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, StringArray, cast::AsArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use tidegate_catalog::{FeatureType, ScalarType, definitions::FeatureView};

use crate::{
    Error,
    times::{micros_up, told},
    unread::unread,
};

/// Makes normalised batches of one view.
#[derive(Debug)]
pub(crate) struct Normaliser {
    view: String,
    columns: Vec<Target>,
    schema: SchemaRef,
}

/// One column of the result.
#[derive(Debug)]
struct Target {
    /// The query's column; `None` is a column of nulls.
    from: Option<String>,
    feature_type: FeatureType,
}

/// The column names that stand between join keys and features.
pub const EVENT: &str = "event";
/// Null throughout when the view declares no created time.
pub const CREATED: &str = "created";
/// Null throughout when the view declares no tombstones.
pub const DELETED: &str = "deleted";
/// The last column: why a row cannot be one of the view, null in every other.
pub const REFUSED: &str = "refused";

impl Normaliser {
    /// Checks the planned output against the definition.
    pub(crate) fn new(view: &FeatureView, planned: &Schema) -> Result<Self, Error> {
        let timestamp = FeatureType::Scalar(ScalarType::Timestamp);
        let mut names = Vec::new();
        let mut columns = Vec::new();
        let mut push = |name: &str, from: Option<&String>, feature_type: FeatureType| {
            names.push(name.to_owned());
            columns.push(Target { from: from.cloned(), feature_type });
        };
        for key in &view.join_keys {
            push(&key.name, Some(&key.name), FeatureType::Scalar(key.key_type.scalar()));
        }
        push(EVENT, Some(&view.timestamp_field), timestamp);
        push(CREATED, view.created_timestamp_field.as_ref(), timestamp);
        push(DELETED, view.deleted_field.as_ref(), FeatureType::Scalar(ScalarType::Bool));
        for feature in &view.features {
            push(&feature.name, Some(&feature.name), feature.feature_type);
        }
        for column in &columns {
            require_fit(&view.name, column, planned)?;
        }
        let fields = names.iter().zip(&columns).map(|(name, c)| Field::new(name, c.feature_type.arrow(), true));
        let refused = Field::new(REFUSED, DataType::Utf8, true);
        let schema = Arc::new(Schema::new(fields.chain([refused]).collect::<Vec<_>>()));
        Ok(Self { view: view.name.clone(), columns, schema })
    }

    /// One batch.
    pub(crate) fn normalise(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let mut arrays = Vec::with_capacity(self.columns.len() + 1);
        let mut refused = BTreeMap::new();
        for target in &self.columns {
            let Some(name) = &target.from else {
                arrays.push(arrow_array::new_null_array(&target.feature_type.arrow(), batch.num_rows()));
                continue;
            };
            let column = batch.column_by_name(name).ok_or_else(|| self.value_error(name, "is not in the batch"))?;
            let Converted { array, lost } = self.convert(name, column, target.feature_type)?;
            arrays.push(array);
            let why = format!("column {name:?} holds a time that microseconds cannot hold");
            refused.extend(lost.into_iter().map(|row| (row, why.clone())));
            if let Some(texts) = batch.column_by_name(&unread(name)).and_then(|column| column.as_string_opt::<i32>()) {
                let texts = texts.iter().enumerate().filter_map(|(row, text)| Some((row, text?)));
                refused.extend(texts.map(|(row, text)| (row, unreadable(name, text))));
            }
        }
        arrays.push(if refused.is_empty() {
            arrow_array::new_null_array(&DataType::Utf8, batch.num_rows())
        } else {
            Arc::new((0..batch.num_rows()).map(|row| refused.get(&row)).collect::<StringArray>())
        });
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|error| Error::Execution { view: self.view.clone(), reason: error.to_string() })
    }

    fn convert(&self, name: &str, column: &ArrayRef, feature_type: FeatureType) -> Result<Converted, Error> {
        let target = feature_type.arrow();
        let exact = CastOptions { safe: false, ..CastOptions::default() };
        let cast = |array: &ArrayRef, to: &DataType| {
            cast_with_options(array, to, &exact).map_err(|error| self.value_error(name, &error.to_string()))
        };
        match (feature_type, column.data_type()) {
            // naive is UTC: relabelled, never shifted; a zone is only a label, the instant stays
            (
                FeatureType::Scalar(ScalarType::Timestamp),
                DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64,
            ) => {
                let micros = micros_up(column).ok_or_else(|| self.value_error(name, "is no timestamp"))?;
                let (array, lost) = told(&micros);
                Ok(Converted { array, lost })
            }
            (_, same) if *same == target && feature_type.scalar() != ScalarType::Timestamp => {
                Ok(Converted { array: Arc::clone(column), lost: Vec::new() })
            }
            // not in one cast: it would round nanoseconds down
            (_, DataType::Dictionary(_, value)) => self.convert(name, &cast(column, value)?, feature_type),
            (_, DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)) => {
                let lists = cast(column, &DataType::List(Arc::clone(item)))?;
                let lists = lists.as_list_opt::<i32>().ok_or_else(|| self.value_error(name, "is no list"))?;
                let element = FeatureType::Scalar(feature_type.scalar());
                let Converted { array: values, lost } = self.convert(name, lists.values(), element)?;
                let field = Arc::new(Field::new_list_field(element.arrow(), true));
                let array = ListArray::try_new(field, lists.offsets().clone(), values, lists.nulls().cloned())
                    .map_err(|error| self.value_error(name, &error.to_string()))?;
                let of_row = |element: usize| lists.offsets().partition_point(|start| *start as usize <= element) - 1;
                Ok(Converted { array: Arc::new(array), lost: lost.into_iter().map(of_row).collect() })
            }
            _ => Ok(Converted { array: cast(column, &target)?, lost: Vec::new() }),
        }
    }

    fn value_error(&self, column: &str, reason: &str) -> Error {
        Error::Value { view: self.view.clone(), column: column.to_owned(), reason: reason.to_owned() }
    }
}

/// A column in its type, and the rows whose value that type could not hold; null there.
struct Converted {
    array: ArrayRef,
    lost: Vec<usize>,
}

fn unreadable(column: &str, text: &str) -> String {
    let start = text.chars().take(60).collect::<String>();
    format!("column {column:?} cannot be read as a time: {start:?}")
}

fn require_fit(view: &str, target: &Target, planned: &Schema) -> Result<(), Error> {
    let Some(name) = &target.from else { return Ok(()) };
    if planned.fields().iter().filter(|field| field.name() == name).count() > 1 {
        return Err(Error::Ambiguous { view: view.to_owned(), column: name.clone() });
    }
    let Ok(field) = planned.field_with_name(name) else {
        let has = planned.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
        return Err(Error::NoColumn { view: view.to_owned(), column: name.clone(), has });
    };
    // a column of nothing but nulls fits everything
    if field.data_type() == &DataType::Null || target.feature_type.accepts(field.data_type()) {
        return Ok(());
    }
    Err(Error::ColumnType {
        view: view.to_owned(),
        column: name.clone(),
        found: field.data_type().to_string(),
        expected: target.feature_type.to_string(),
    })
}
