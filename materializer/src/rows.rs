//! From a view's normalised batches to entity keys and row bytes; every row that is not one is counted, with its reason.
//!
//! Column order of a normalised batch: join keys sorted by name, event, created, deleted, features in declared order, and
//! last why a row is none.

use arrow_array::{
    Array, ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, cast::AsArray,
    types::TimestampMicrosecondType,
};
use bytes::BytesMut;
use tidegate_catalog::{
    EntityKey, KeySetNumber, KeyValue, Micros, ProjectNumber, RowLayout, Stamp, Value,
    entity_key::KeyError,
    row::{CellCheck, EncodeError},
    snapshot::Generation,
};

use crate::{
    Counts, Coverage, Error,
    columns::Column,
    counts::{Example, RejectReason},
    interval::Place,
};

/// Which rows a run or an audit takes.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// The run's interval, or all that acknowledged runs cover.
    pub(crate) covered: Coverage,
    /// Event time now; what is after it is never stored.
    pub(crate) now: Micros,
}

/// Encodes one generation's rows.
#[derive(Debug)]
pub(crate) struct RowEncoder {
    view: String,
    project: ProjectNumber,
    key_set: KeySetNumber,
    features: Vec<String>,
    layout: RowLayout,
    check: CellCheck,
    join_keys: usize,
    key_buffer: BytesMut,
    row_buffer: BytesMut,
}

/// The columns of one batch, by role.
struct Columns<'b> {
    keys: Vec<Column<'b>>,
    event: &'b TimestampMicrosecondArray,
    created: &'b TimestampMicrosecondArray,
    deleted: &'b BooleanArray,
    features: Vec<Column<'b>>,
    refused: &'b StringArray,
}

impl Window {
    fn takes(&self, event: Micros) -> bool {
        self.covered.place(event, self.now) == Place::Inside
    }
}

impl Columns<'_> {
    fn key_text(&self, row: usize) -> String {
        self.keys.iter().map(|column| column.text(row)).collect::<Vec<_>>().join(", ")
    }
}

impl RowEncoder {
    pub(crate) fn new(view: &str, project: ProjectNumber, generation: &Generation) -> Self {
        let types = generation.features.iter().map(|feature| feature.feature_type).collect::<Vec<_>>();
        let layout = RowLayout::new(&types);
        let check = layout.cell_check(generation.field);
        Self {
            view: view.to_owned(),
            project,
            key_set: generation.key_set,
            features: generation.features.iter().map(|feature| feature.name.clone()).collect(),
            layout,
            check,
            join_keys: generation.join_keys.len(),
            key_buffer: BytesMut::new(),
            row_buffer: BytesMut::new(),
        }
    }

    /// Calls `each` with entity key and row bytes of every row of `batch` that `window` takes, and counts all others.
    /// # Errors
    /// [`Error::Batch`] when the batch has not the columns of this generation; what `each` answers.
    /// # Cost
    /// One buffer for the key and one for the row, reused; lists own their elements while they are encoded.
    pub(crate) fn encode(
        &mut self,
        batch: &RecordBatch,
        window: &Window,
        counts: &mut Counts,
        mut each: impl FnMut(&EntityKey, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let columns = self.columns(batch)?;
        counts.read += batch.num_rows() as u64;
        let mut values = Vec::with_capacity(columns.features.len());
        for row in 0..batch.num_rows() {
            let event = time(columns.event, row);
            if columns.refused.is_valid(row) && event.is_none_or(|event| window.takes(event)) {
                let why = || columns.refused.value(row).to_owned();
                counts.reject(RejectReason::WrongType, || Example { key: columns.key_text(row), why: why() });
                continue;
            }
            let Some(event) = wanted(event, window, counts) else { continue };
            let Some(key) = self.key(&columns, row, counts) else { continue };
            let stamp = Stamp { event, created: time(columns.created, row) };
            let deleted = columns.deleted.is_valid(row) && columns.deleted.value(row);
            values.clear();
            if !deleted {
                values.extend(columns.features.iter().map(|column| column.value(row)));
            }
            match self.row(&key, stamp, (!deleted).then_some(values.as_slice())) {
                Ok(()) => each(&key, &self.row_buffer)?,
                Err(error) => {
                    let (reason, why) = self.name(&error);
                    counts.reject(reason, || Example { key: key_text(&key), why });
                }
            }
        }
        Ok(())
    }

    fn columns<'b>(&self, batch: &'b RecordBatch) -> Result<Columns<'b>, Error> {
        let wrong = |what: &str| Error::Batch { view: self.view.clone(), what: what.to_owned() };
        let expected = self.join_keys + 4 + self.features.len();
        if batch.num_columns() != expected {
            return Err(wrong(&format!("{} columns instead of {expected}", batch.num_columns())));
        }
        let (keys, rest) = batch.columns().split_at(self.join_keys);
        let [event, created, deleted, features @ .., refused] = rest else { return Err(wrong("no time columns")) };
        let column =
            |array: &'b ArrayRef| Column::of(array).ok_or_else(|| wrong(&format!("a column of {}", array.data_type())));
        Ok(Columns {
            keys: keys.iter().map(column).collect::<Result<_, _>>()?,
            event: event.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| wrong("its event time"))?,
            created: created.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| wrong("its created time"))?,
            deleted: deleted.as_boolean_opt().ok_or_else(|| wrong("its deleted flag"))?,
            features: features.iter().map(column).collect::<Result<_, _>>()?,
            refused: refused.as_string_opt().ok_or_else(|| wrong("why rows are refused"))?,
        })
    }

    /// The row's entity key; a null part or a key that is too long is counted.
    fn key(&mut self, columns: &Columns<'_>, row: usize, counts: &mut Counts) -> Option<EntityKey> {
        if columns.keys.iter().any(|column| column.is_null(row)) {
            let why = || "a part of the entity key is null".to_owned();
            counts.count_null_key(|| Example { key: columns.key_text(row), why: why() });
            return None;
        }
        let values = columns.keys.iter().filter_map(|column| key_value(column.value(row)));
        match EntityKey::encode(self.project, self.key_set, values, &mut self.key_buffer) {
            Ok(key) => Some(key),
            Err(error @ (KeyError::TooLong { .. } | KeyError::NotAKey { .. })) => {
                let why = || error.to_string();
                counts.reject(RejectReason::KeyTooLong, || Example { key: columns.key_text(row), why: why() });
                None
            }
        }
    }

    /// Writes the row, or a tombstone where there are no values, into the row buffer.
    fn row(&mut self, key: &EntityKey, stamp: Stamp, values: Option<&[Value<'_>]>) -> Result<(), EncodeError> {
        self.row_buffer.clear();
        let check = self.check.of(key);
        match values {
            Some(values) => self.layout.encode(stamp, check, values, &mut self.row_buffer),
            None => {
                RowLayout::encode_tombstone(stamp, check, &mut self.row_buffer);
                Ok(())
            }
        }
    }

    fn name(&self, error: &EncodeError) -> (RejectReason, String) {
        match error {
            EncodeError::TooLarge { .. } => (RejectReason::RowTooLarge, error.to_string()),
            EncodeError::Count { .. } => (RejectReason::WrongType, error.to_string()),
            EncodeError::Type { index, expected } => {
                let name = self.features.get(*index).map_or("?", String::as_str);
                (RejectReason::WrongType, format!("feature {name:?} is {expected}, the value is not"))
            }
        }
    }
}

/// The event time of a row that is to be taken; another's is counted.
fn wanted(event: Option<Micros>, window: &Window, counts: &mut Counts) -> Option<Micros> {
    let Some(event) = event else {
        counts.null_time += 1;
        return None;
    };
    match window.covered.place(event, window.now) {
        Place::Inside => return Some(event),
        Place::Future => counts.future += 1,
        Place::Outside => counts.outside_interval += 1,
    }
    None
}

fn time(column: &TimestampMicrosecondArray, row: usize) -> Option<Micros> {
    column.is_valid(row).then(|| Micros(column.value(row)))
}

fn key_value(value: Value<'_>) -> Option<KeyValue<'_>> {
    match value {
        Value::Bool(value) => Some(KeyValue::Bool(value)),
        Value::Int32(value) => Some(KeyValue::Int64(i64::from(value))),
        Value::Int64(value) => Some(KeyValue::Int64(value)),
        Value::Timestamp(value) => Some(KeyValue::Timestamp(value)),
        Value::Date(value) => Some(KeyValue::Date(value)),
        Value::String(value) => Some(KeyValue::String(value)),
        Value::Bytes(value) => Some(KeyValue::Bytes(value)),
        Value::Null | Value::Float32(_) | Value::Float64(_) | Value::List(_) => None,
    }
}

/// An entity key for people: its components joined with commas.
pub(crate) fn key_text(key: &EntityKey) -> String {
    match key.parts() {
        Ok(parts) => parts.values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
