//! Texts that a query reads as a view's times, and cannot: such a row becomes one without that time, and says why.
//!
//! `CAST(text AS TIMESTAMP)` and `to_timestamp(text)` end a query at the first text that is no time. Where such a call is
//! what the query yields as the view's event or created time, it is read as TRY_CAST, and a column beside it holds the text
//! that could not be read. Anywhere else in a query (in a filter, below a window) a null would silently change what other
//! rows say: there the query ends as SQL has it.

use std::sync::Arc;

use arrow_schema::DataType;
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, Projection, TryCast, lit, when},
};

/// The column that holds what could not be read as the time `column`.
pub(crate) fn unread(column: &str) -> String {
    format!("unread time {column}")
}

/// `plan` with a column [`unread`] for each of `times` that it reads from a text.
/// # Errors
/// When the planner refuses what was put together here: a fault of ours.
pub(crate) fn keep_unread(plan: LogicalPlan, times: &[&String]) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Projection(Projection { expr, input, .. }) => {
            let mut columns = Vec::with_capacity(expr.len());
            for column in expr {
                let name = column.schema_name().to_string();
                let read = if times.contains(&&name) { read_text(&column, &input)? } else { None };
                let Some((text, time_type)) = read else {
                    columns.push(column);
                    continue;
                };
                let time = Expr::TryCast(TryCast::new(Box::new(text.clone()), time_type));
                let text_only = Expr::Cast(Cast::new(Box::new(text), DataType::Utf8));
                let lost = when(time.clone().is_null(), text_only).otherwise(lit(ScalarValue::Utf8(None)))?;
                columns.push(time.alias(&name));
                columns.push(lost.alias(unread(&name)));
            }
            Projection::try_new(columns, input).map(LogicalPlan::Projection)
        }
        // an ORDER BY of a view's rows changes nothing
        LogicalPlan::Sort(sort) => keep_unread(Arc::unwrap_or_clone(sort.input), times),
        other => Ok(other),
    }
}

/// The text and the type of a time that `column` reads.
fn read_text(column: &Expr, input: &LogicalPlan) -> Result<Option<(Expr, DataType)>> {
    let (text, time_type) = match column.clone().unalias_nested().data {
        Expr::Cast(Cast { expr, field }) => (*expr, field.data_type().clone()),
        Expr::ScalarFunction(mut call) if call.name().starts_with("to_timestamp") && call.args.len() == 1 => {
            let time_type = Expr::ScalarFunction(call.clone()).get_type(input.schema())?;
            (call.args.remove(0), time_type)
        }
        _ => return Ok(None),
    };
    let is_time = matches!(time_type, DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64);
    let text_type = text.get_type(input.schema())?;
    let is_text = matches!(text_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    Ok((is_time && is_text).then_some((text, time_type)))
}
