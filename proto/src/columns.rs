//! Columns of a request body: name -> one value per row, kept flat and borrowed until a plan says their types.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::borrow::Cow;

use crate::json::{JsonError, JsonValue, Reader};

/// Most rows of one request; more are refused before they are in memory.
pub const MAX_ROWS: usize = 10_000;

/// Most columns of one object: far above any plan, low enough to compare each name with all others.
pub const MAX_COLUMNS: usize = 1_024;

/// Named columns in the caller's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns<'a> {
    columns: Vec<Column<'a>>,
    values: Vec<JsonValue<'a>>,
}

/// One column's name and place.
#[derive(Clone, Debug, PartialEq)]
pub struct Column<'a> {
    /// Its name, as the caller wrote it.
    pub name: Cow<'a, str>,
    start: usize,
    rows: usize,
}

/// Two columns of one request have different lengths.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column:?} has {rows} rows, column {other:?} has {other_rows}; every column needs the same number")]
pub struct Ragged {
    /// A column.
    pub column: String,
    /// Its rows.
    pub rows: usize,
    /// One that came before.
    pub other: String,
    /// That one's rows.
    pub other_rows: usize,
}

/// Why an object is not columns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnsError {
    /// Not the JSON that columns are.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A name stands twice.
    #[error("column {name:?} stands twice; send each column once")]
    Duplicate {
        /// The name, cut.
        name: String,
    },
    /// Over [`MAX_COLUMNS`].
    #[error("more than {MAX_COLUMNS} columns")]
    TooMany,
    /// Over [`MAX_ROWS`].
    #[error("column {name:?} has more than {MAX_ROWS} rows; split the request")]
    TooManyRows {
        /// The first such column, cut.
        name: String,
    },
}

impl<'a> Columns<'a> {
    /// Reads an object of columns, each a list of values, or a scalar that stands for a list of one.
    /// # Errors
    /// Other JSON, a name that stands twice, more than [`MAX_COLUMNS`] or [`MAX_ROWS`].
    /// # Cost
    /// Two allocations that grow, whatever the number of columns and rows; names are compared with each other. What is
    /// over a limit is not read on.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, ColumnsError> {
        let mut read = Self::default();
        reader.object(|reader, name| {
            if read.find(&name).is_some() {
                return Err(ColumnsError::Duplicate { name: shown(&name) });
            }
            if read.columns.len() == MAX_COLUMNS {
                return Err(ColumnsError::TooMany);
            }
            let start = read.values.len();
            if reader.peek() == Some(b'[') {
                reader.list(|reader| {
                    if read.values.len().saturating_sub(start) == MAX_ROWS {
                        return Err(ColumnsError::TooManyRows { name: shown(&name) });
                    }
                    read.values.push(reader.value()?);
                    Ok(())
                })?;
            } else {
                read.values.push(reader.value()?);
            }
            let rows = read.values.len().saturating_sub(start);
            read.columns.push(Column { name, start, rows });
            Ok(())
        })?;
        Ok(read)
    }

    /// The columns in the caller's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Column<'a>> {
        self.columns.iter()
    }

    /// How many columns there are.
    pub const fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is no column.
    pub const fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The column of this name.
    pub fn find(&self, name: &str) -> Option<&Column<'a>> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The values of one of these columns.
    pub fn values(&self, column: &Column<'_>) -> &[JsonValue<'a>] {
        self.values.get(column.start..column.start.saturating_add(column.rows)).unwrap_or(&[])
    }

    /// How many rows the columns have together; none has none.
    /// # Errors
    /// [`Ragged`] names the first two that differ.
    pub fn rows(&self) -> Result<usize, Ragged> {
        let Some((first, rest)) = self.columns.split_first() else { return Ok(0) };
        match rest.iter().find(|column| column.rows != first.rows) {
            None => Ok(first.rows),
            Some(column) => Err(column.ragged(first)),
        }
    }
}

impl Column<'_> {
    /// How many rows it has.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The error of this column's length being another than `other`'s.
    pub fn ragged(&self, other: &Column<'_>) -> Ragged {
        Ragged { column: shown(&self.name), rows: self.rows, other: shown(&other.name), other_rows: other.rows }
    }
}

/// A name from outside, cut for a message.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}
