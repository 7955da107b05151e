//! From a query's output to the normalised batch: fixed column order, the types of the definition, times in microseconds.
//!
//! Sub-microsecond feature times round up, so that no rounding can show the future. The only narrowing is float64 to
//! float32; everything else widens or changes its encoding.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, TimestampMicrosecondArray, TimestampNanosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use tidegate_catalog::{FeatureType, Micros, ScalarType, definitions::FeatureView};

use crate::Error;

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
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Self { view: view.name.clone(), columns, schema })
    }

    /// One batch.
    pub(crate) fn normalise(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let arrays = self.columns.iter().map(|target| match &target.from {
            None => Ok(arrow_array::new_null_array(&target.feature_type.arrow(), batch.num_rows())),
            Some(name) => {
                let column = batch.column_by_name(name).ok_or_else(|| self.value_error(name, "is not in the batch"))?;
                self.convert(name, column, target.feature_type)
            }
        });
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|error| Error::Execution { view: self.view.clone(), reason: error.to_string() })
    }

    fn convert(&self, name: &str, column: &ArrayRef, feature_type: FeatureType) -> Result<ArrayRef, Error> {
        let target = feature_type.arrow();
        if column.data_type() == &target {
            return Ok(Arc::clone(column));
        }
        if let DataType::Timestamp(TimeUnit::Nanosecond, _) = column.data_type() {
            return Ok(round_up(column));
        }
        let exact = CastOptions { safe: false, ..CastOptions::default() };
        let cast = |array: &ArrayRef, to: &DataType| {
            cast_with_options(array, to, &exact).map_err(|error| self.value_error(name, &error.to_string()))
        };
        match column.data_type() {
            // naive is UTC: relabelled, never shifted; a zone is only a label, the instant stays
            DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => {
                let micros = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
                let instants = micros.as_any().downcast_ref::<TimestampMicrosecondArray>();
                let instants = instants.ok_or_else(|| self.value_error(name, "is no timestamp"))?;
                Ok(Arc::new(instants.clone().with_timezone("UTC")))
            }
            // not in one cast: it would round nanoseconds down
            DataType::Dictionary(_, value) => self.convert(name, &cast(column, value)?, feature_type),
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                let lists = cast(column, &DataType::List(Arc::clone(item)))?;
                let lists = lists.as_any().downcast_ref::<ListArray>();
                let lists = lists.ok_or_else(|| self.value_error(name, "is no list"))?;
                let element = FeatureType::Scalar(feature_type.scalar());
                let values = self.convert(name, lists.values(), element)?;
                let field = Arc::new(Field::new_list_field(element.arrow(), true));
                ListArray::try_new(field, lists.offsets().clone(), values, lists.nulls().cloned())
                    .map(|lists| Arc::new(lists) as ArrayRef)
                    .map_err(|error| self.value_error(name, &error.to_string()))
            }
            _ => cast(column, &target),
        }
    }

    fn value_error(&self, column: &str, reason: &str) -> Error {
        Error::Value { view: self.view.clone(), column: column.to_owned(), reason: reason.to_owned() }
    }
}

/// Nanoseconds to microseconds, up.
fn round_up(column: &ArrayRef) -> ArrayRef {
    let nanos = column.as_any().downcast_ref::<TimestampNanosecondArray>();
    let nanos = nanos.expect("a column of nanoseconds is an array of nanoseconds");
    let micros: TimestampMicrosecondArray = nanos.unary(|value| Micros::from_nanos_up(value).0);
    Arc::new(micros.with_timezone("UTC"))
}

fn require_fit(view: &str, target: &Target, planned: &Schema) -> Result<(), Error> {
    let Some(name) = &target.from else { return Ok(()) };
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
