//! From the caller's columns to a plan's: which is which, how many rows, what is missing or too much.

use tidegate_catalog::FeatureType;
use tidegate_proto::{
    Columns,
    columns::Ragged,
    json::JsonValue,
    typed::{Mismatch, TimeForm, Typed},
};

use crate::plan::lookup::KeyColumn;

/// What is wrong with a column or one of its values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ColumnError {
    #[error("{field}: column {column:?} is missing")]
    Missing { field: &'static str, column: String },
    #[error("{field}: {column:?} is not one of its columns ({known})")]
    Unknown { field: &'static str, column: String, known: String },
    #[error("{field}.{column}[{row}]: {source}")]
    Value { field: &'static str, column: String, row: usize, source: Mismatch },
}

/// The field of join keys, on both faces.
pub(crate) const ENTITIES: &str = "entities";
/// The field of request values.
pub(crate) const REQUEST: &str = "request";

/// The values of a plan's columns, in the plan's order; `None` for one that was not sent and need not be.
#[derive(Debug)]
pub(crate) struct Bound<'r> {
    columns: Vec<Option<&'r [JsonValue<'r>]>>,
}

/// A column that a plan knows.
pub(crate) trait PlanColumn {
    fn name(&self) -> &str;
    fn needed(&self) -> bool;
}

impl PlanColumn for KeyColumn {
    fn name(&self) -> &str {
        &self.name
    }
    fn needed(&self) -> bool {
        self.needed
    }
}

impl<'r> Bound<'r> {
    /// Binds `sent` to `planned`; `also` names columns that may be sent and are not bound.
    /// # Errors
    /// A needed column that is missing, a column that the plan does not know.
    /// # Cost
    /// One allocation; names are compared, columns squared, once per request.
    pub(crate) fn bind<P: PlanColumn>(
        field: &'static str,
        planned: &[P],
        also: &[String],
        sent: &'r Columns<'r>,
    ) -> Result<Self, ColumnError> {
        let known = |name: &str| planned.iter().any(|column| column.name() == name) || also.iter().any(|a| a == name);
        if let Some(unknown) = sent.iter().find(|column| !known(&column.name)) {
            let column = unknown.name.chars().take(64).collect();
            let mut names = planned.iter().map(PlanColumn::name).chain(also.iter().map(String::as_str));
            return Err(ColumnError::Unknown { field, column, known: listed(&mut names) });
        }
        let columns = planned.iter().map(|column| {
            let found = sent.find(column.name()).map(|found| sent.values(found));
            if found.is_none() && column.needed() {
                return Err(ColumnError::Missing { field, column: column.name().to_owned() });
            }
            Ok(found)
        });
        Ok(Self { columns: columns.collect::<Result<_, _>>()? })
    }

    /// The value of a column's row; `None` for a column that was not sent.
    pub(crate) fn value(&self, column: usize, row: usize) -> Option<&'r JsonValue<'r>> {
        (*self.columns.get(column)?)?.get(row)
    }
}

/// Reads one value under its type, naming its place where it is of another.
pub(crate) fn typed<'r>(
    (field, column, row): (&'static str, &str, usize),
    value: &'r JsonValue<'r>,
    wanted: FeatureType,
    form: TimeForm,
) -> Result<Typed<'r>, ColumnError> {
    Typed::read(value, wanted, form).map_err(|source| ColumnError::Value {
        field,
        column: column.to_owned(),
        row,
        source,
    })
}

/// How many rows a request has. Without any column there is one row when the plan needs none, else none.
/// # Errors
/// [`Ragged`] names the first two columns that differ.
pub(crate) fn count(entities: &Columns<'_>, request: &Columns<'_>) -> Result<usize, Ragged> {
    let rows = entities.rows()?;
    let request_rows = request.rows()?;
    match (entities.iter().next(), request.iter().next()) {
        (None, None) => Ok(1),
        (Some(_), None) => Ok(rows),
        (None, Some(_)) => Ok(request_rows),
        (Some(entity), Some(value)) if rows != request_rows => Err(value.ragged(entity)),
        (Some(_), Some(_)) => Ok(rows),
    }
}

fn listed(names: &mut dyn Iterator<Item = &str>) -> String {
    const SHOWN: usize = 20;
    let mut names = names.map(str::to_owned).collect::<Vec<_>>();
    if names.is_empty() {
        return "it has none".to_owned();
    }
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("they are {}{more}", names.join(", "))
}
