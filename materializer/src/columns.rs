//! Reading normalised Arrow columns value by value: the type is matched once a batch, not once a value.

use arrow_array::{
    Array, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int32Array, Int64Array, ListArray,
    StringArray, TimestampMicrosecondArray,
};
use tidegate_catalog::{Micros, Value};

/// A column of one of the types that [`tidegate_catalog::FeatureType::arrow`] names.
pub(crate) enum Column<'a> {
    Bool(&'a BooleanArray),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Timestamp(&'a TimestampMicrosecondArray),
    Date(&'a Date32Array),
    String(&'a StringArray),
    Bytes(&'a BinaryArray),
    /// The lists, and all their elements in one column.
    List(&'a ListArray, Box<Column<'a>>),
}

impl<'a> Column<'a> {
    /// `None` for an array that no feature type names.
    pub(crate) fn of(array: &'a dyn Array) -> Option<Self> {
        let any = array.as_any();
        if let Some(lists) = any.downcast_ref::<ListArray>() {
            return Some(Self::List(lists, Box::new(Self::of(lists.values().as_ref())?)));
        }
        None.or_else(|| any.downcast_ref().map(Self::Float32))
            .or_else(|| any.downcast_ref().map(Self::Float64))
            .or_else(|| any.downcast_ref().map(Self::Int64))
            .or_else(|| any.downcast_ref().map(Self::Int32))
            .or_else(|| any.downcast_ref().map(Self::String))
            .or_else(|| any.downcast_ref().map(Self::Timestamp))
            .or_else(|| any.downcast_ref().map(Self::Bool))
            .or_else(|| any.downcast_ref().map(Self::Date))
            .or_else(|| any.downcast_ref().map(Self::Bytes))
    }

    fn array(&self) -> &'a dyn Array {
        match self {
            Self::Bool(array) => *array,
            Self::Int32(array) => *array,
            Self::Int64(array) => *array,
            Self::Float32(array) => *array,
            Self::Float64(array) => *array,
            Self::Timestamp(array) => *array,
            Self::Date(array) => *array,
            Self::String(array) => *array,
            Self::Bytes(array) => *array,
            Self::List(array, _) => *array,
        }
    }

    /// Whether `row` is null.
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.array().is_null(row)
    }

    /// The value of `row`, which is below the column's length.
    /// # Cost
    /// No allocation but for a list, which owns its elements.
    pub(crate) fn value(&self, row: usize) -> Value<'a> {
        // each arm asks its own array, so that no value costs a call through the vtable
        match self {
            Self::Float32(array) if array.is_valid(row) => Value::Float32(array.value(row)),
            Self::Float64(array) if array.is_valid(row) => Value::Float64(array.value(row)),
            Self::Int64(array) if array.is_valid(row) => Value::Int64(array.value(row)),
            Self::Int32(array) if array.is_valid(row) => Value::Int32(array.value(row)),
            Self::Bool(array) if array.is_valid(row) => Value::Bool(array.value(row)),
            Self::Timestamp(array) if array.is_valid(row) => Value::Timestamp(Micros(array.value(row))),
            Self::Date(array) if array.is_valid(row) => Value::Date(array.value(row)),
            Self::String(array) if array.is_valid(row) => Value::String(array.value(row)),
            Self::Bytes(array) if array.is_valid(row) => Value::Bytes(array.value(row)),
            Self::List(lists, elements) if lists.is_valid(row) => {
                let offsets = lists.value_offsets();
                let at = |index: usize| offsets.get(index).map_or(0, |offset| *offset as usize);
                Value::List((at(row)..at(row + 1)).map(|element| elements.value(element)).collect())
            }
            _ => Value::Null,
        }
    }

    /// The value of `row` for people.
    pub(crate) fn text(&self, row: usize) -> String {
        match self.value(row) {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int32(value) | Value::Date(value) => value.to_string(),
            Value::Int64(value) => value.to_string(),
            Value::Float32(value) => value.to_string(),
            Value::Float64(value) => value.to_string(),
            Value::Timestamp(value) => value.to_string(),
            Value::String(value) => format!("{:?}", value.chars().take(128).collect::<String>()),
            Value::Bytes(value) => {
                format!("b\"{}\"", value.get(..value.len().min(128)).unwrap_or_default().escape_ascii())
            }
            Value::List(values) => format!("a list of {}", values.len()),
        }
    }
}

impl std::fmt::Debug for Column<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Column({})", self.array().data_type())
    }
}
