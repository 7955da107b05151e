//! Files of one source with times of different units: read as microseconds, rounded up.
//!
//! The engine's own adapter casts a file's column to the table's type, which rounds down and fails the query where a value
//! does not fit; for times this one stands in its place.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow_array::{ArrayRef, RecordBatch};
use datafusion::{
    arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit},
    common::{
        DataFusionError, Result,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    logical_expr::ColumnarValue,
    physical_expr::{
        PhysicalExpr,
        expressions::{CastExpr, Column},
    },
    physical_expr_adapter::{DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory},
};

use crate::times::micros_up;

/// Makes adapters for files whose times have another unit than the table's.
#[derive(Debug)]
pub(super) struct TimesUpFactory;

impl PhysicalExprAdapterFactory for TimesUpFactory {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let default = DefaultPhysicalExprAdapterFactory.create(Arc::clone(&table), Arc::clone(&file))?;
        Ok(Arc::new(TimesUp { default, table, file }))
    }
}

#[derive(Debug)]
struct TimesUp {
    default: Arc<dyn PhysicalExprAdapter>,
    table: SchemaRef,
    file: SchemaRef,
}

impl TimesUp {
    /// The column below the cast that the default adapter has put around a time of another unit.
    fn file_time<'e>(&self, expression: &'e Arc<dyn PhysicalExpr>) -> Option<(&'e Arc<dyn PhysicalExpr>, FieldRef)> {
        let column = expression.downcast_ref::<CastExpr>()?.expr();
        let name = column.downcast_ref::<Column>()?.name();
        let (_, table) = self.table.fields().find(name)?;
        let (_, file) = self.file.fields().find(name)?;
        let micros = matches!(table.data_type(), DataType::Timestamp(TimeUnit::Microsecond, _));
        let other = matches!(file.data_type(), DataType::Timestamp(_, _)) && file.data_type() != table.data_type();
        (micros && other).then(|| (column, Arc::clone(table)))
    }
}

impl PhysicalExprAdapter for TimesUp {
    fn rewrite(&self, expression: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let rewritten = self.default.rewrite(expression)?;
        let up = rewritten.transform_down(|part| {
            let Some((time, field)) = self.file_time(&part) else { return Ok(Transformed::no(part)) };
            Ok(Transformed::yes(Arc::new(MicrosUp { time: Arc::clone(time), field }) as _))
        });
        up.data()
    }
}

/// A file's time as the table's microseconds.
#[derive(Debug)]
struct MicrosUp {
    time: Arc<dyn PhysicalExpr>,
    field: FieldRef,
}

// by hand: a derived comparison would move the expression out of its Arc
impl PartialEq for MicrosUp {
    fn eq(&self, other: &Self) -> bool {
        self.time.as_ref() == other.time.as_ref() && self.field == other.field
    }
}

impl Eq for MicrosUp {}

impl Hash for MicrosUp {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.time.hash(state);
        self.field.hash(state);
    }
}

impl fmt::Display for MicrosUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "micros_up({})", self.time)
    }
}

impl PhysicalExpr for MicrosUp {
    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.field.name(), self.field.data_type().clone(), true)))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let times = self.time.evaluate(batch)?.into_array(batch.num_rows())?;
        let micros = micros_up(&times).ok_or_else(|| DataFusionError::Internal(format!("{self} of no time")))?;
        let zone = match self.field.data_type() {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        };
        Ok(ColumnarValue::Array(Arc::new(micros.with_timezone_opt(zone)) as ArrayRef))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.time]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let time = children.pop().unwrap_or_else(|| Arc::clone(&self.time));
        Ok(Arc::new(Self { time, field: Arc::clone(&self.field) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "micros_up(")?;
        self.time.fmt_sql(f)?;
        write!(f, ")")
    }
}
