//! What the store's cells say about each feature: the statuses, judged once per cell against the event clock.

use tidegate_catalog::{
    ErrorCode, FieldStatus, Micros, RowLayout, Stamp, Ttl, Value,
    definitions::DefaultValue,
    row::{Check, RowError, RowRef},
};

use crate::plan::lookup::PlannedFeature;

/// One cell of one row, judged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CellState<'c> {
    /// A row young enough.
    Fresh(RowRef<'c>),
    /// A row older than the view's ttl.
    Expired(RowRef<'c>),
    /// No row, or a tombstone.
    Absent,
    /// The store did not answer it, or answered what is no row of this cell.
    Failed,
}

/// What one feature of one row is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer<'c> {
    /// The stored value, also one that is too old; null where there is none.
    pub(crate) value: Value<'c>,
    /// `None` for a cell that failed.
    pub(crate) status: Option<FieldStatus>,
    /// The row's event time, where there is one.
    pub(crate) event_time: Option<Micros>,
}

impl<'c> CellState<'c> {
    /// Judges the bytes that a store holds in a cell of `view`.
    /// # Errors
    /// [`RowError`] for bytes that are not a row of this cell: the cell has then failed.
    /// # Cost
    /// No allocation; one pass over the row.
    pub(crate) fn judge(
        bytes: &'c [u8],
        layout: &'c RowLayout,
        ttl: Option<Ttl>,
        expected: Check,
        now: Micros,
    ) -> Result<Self, RowError> {
        let row = RowRef::parse(bytes, layout, expected)?;
        Ok(if row.is_tombstone() {
            Self::Absent
        } else if ttl.is_some_and(|ttl| ttl.expired(row.stamp().event, now)) {
            Self::Expired(row)
        } else {
            Self::Fresh(row)
        })
    }
}

/// The states of all cells of a request, row after row.
#[derive(Debug)]
pub(crate) struct Answers<'c> {
    pub(crate) states: Vec<CellState<'c>>,
    /// Cells per row.
    pub(crate) cells: usize,
    /// The event clock's reading that judged them.
    pub(crate) now: Micros,
    /// The code of the store's failure, where a cell failed.
    pub(crate) failed: Option<ErrorCode>,
}

impl<'c> Answers<'c> {
    /// The state of a row's cell.
    pub(crate) fn state(&self, slot: usize, cell: usize) -> CellState<'c> {
        self.states.get(slot * self.cells + cell).copied().unwrap_or(CellState::Failed)
    }

    /// What a feature of a row is.
    pub(crate) fn feature(&self, slot: usize, feature: &PlannedFeature) -> Answer<'c> {
        const NOT_FOUND: Answer<'static> =
            Answer { value: Value::Null, status: Some(FieldStatus::NotFound), event_time: None };
        let Some(place) = feature.place else { return NOT_FOUND };
        match self.state(slot, place.cell) {
            CellState::Absent => NOT_FOUND,
            CellState::Failed => Answer { value: Value::Null, status: None, event_time: None },
            CellState::Expired(row) => Answer {
                value: row.value(place.index),
                status: Some(FieldStatus::OutsideMaxAge),
                event_time: Some(row.stamp().event),
            },
            CellState::Fresh(row) => {
                let null = row.is_null(place.index);
                let status = if null { FieldStatus::NullValue } else { FieldStatus::Present };
                Answer { value: row.value(place.index), status: Some(status), event_time: Some(row.stamp().event) }
            }
        }
    }

    /// The stamp of the row that a feature is in, also of one that is too old.
    pub(crate) fn stamp(&self, slot: usize, feature: &PlannedFeature) -> Option<Stamp> {
        match self.state(slot, feature.place?.cell) {
            CellState::Fresh(row) | CellState::Expired(row) => Some(row.stamp()),
            CellState::Absent | CellState::Failed => None,
        }
    }

    /// A feature's status and event time, without its value.
    pub(crate) fn status(&self, slot: usize, feature: &PlannedFeature) -> (Option<FieldStatus>, Option<Micros>) {
        let Some(place) = feature.place else { return (Some(FieldStatus::NotFound), None) };
        match self.state(slot, place.cell) {
            CellState::Absent => (Some(FieldStatus::NotFound), None),
            CellState::Failed => (None, None),
            CellState::Expired(row) => (Some(FieldStatus::OutsideMaxAge), Some(row.stamp().event)),
            CellState::Fresh(row) => {
                let null = row.is_null(place.index);
                let status = if null { FieldStatus::NullValue } else { FieldStatus::Present };
                (Some(status), Some(row.stamp().event))
            }
        }
    }
}

/// A declared default as a value.
pub(crate) fn default_value(default: &DefaultValue) -> Value<'_> {
    match default {
        DefaultValue::Bool(value) => Value::Bool(*value),
        DefaultValue::Int32(value) => Value::Int32(*value),
        DefaultValue::Int64(value) => Value::Int64(*value),
        DefaultValue::Float32(bits) => Value::Float32(f32::from_bits(*bits)),
        DefaultValue::Float64(bits) => Value::Float64(f64::from_bits(*bits)),
        DefaultValue::Timestamp(value) => Value::Timestamp(*value),
        DefaultValue::Date(value) => Value::Date(*value),
        DefaultValue::String(value) => Value::String(value),
        DefaultValue::Bytes(value) => Value::Bytes(value),
        DefaultValue::List(elements) => {
            Value::List(elements.iter().map(|element| element.as_ref().map_or(Value::Null, default_value)).collect())
        }
    }
}
