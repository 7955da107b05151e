//! From row bytes back to values, borrowed; bytes that are not canonical are refused.

use super::{CANONICAL_NAN_32, CANONICAL_NAN_64, Check, RowHeader, RowLayout, Stamp, Value};
use crate::{FeatureType, Micros, ScalarType};

/// Why bytes are not a row of this cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The bytes end before this part does.
    #[error("row is cut off in its {0}")]
    Truncated(&'static str),
    /// The bytes are not what [`RowLayout::encode`] writes.
    #[error("row is not canonical: {0}")]
    NotCanonical(&'static str),
    /// The bytes are another cell's, or of another layout.
    #[error("row belongs to another cell: its check is {found:#06x}, this cell's is {expected:#06x}")]
    OtherCheck {
        /// The check in the row.
        found: u16,
        /// The check of the cell that was read.
        expected: u16,
    },
}

/// A stored row, borrowed from the reply buffer.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    header: RowHeader,
    layout: &'a RowLayout,
    nulls: &'a [u8],
    fixed: &'a [u8],
    variable: &'a [u8],
}

/// A list value, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct ListRef<'a> {
    scalar: ScalarType,
    len: usize,
    nulls: &'a [u8],
    fixed: &'a [u8],
    variable: &'a [u8],
}

impl<'a> RowRef<'a> {
    /// Views `bytes`, which come from a store and may be anything, as a row of `layout`.
    /// # Errors
    /// [`RowError`] says which part is missing or wrong; `OtherCheck` carries both checks. Never a panic.
    /// # Cost
    /// No allocation, no copy; one pass over the fixed part, and over the text of strings.
    pub fn parse(bytes: &'a [u8], layout: &'a RowLayout, expected: Check) -> Result<Self, RowError> {
        let (header, rest) = RowHeader::split(bytes).ok_or(RowError::Truncated("header"))?;
        if header.check != expected {
            return Err(RowError::OtherCheck { found: header.check.bits(), expected: expected.bits() });
        }
        if header.tombstone {
            if !rest.is_empty() {
                return Err(RowError::NotCanonical("bytes after a tombstone"));
            }
            return Ok(Self { header, layout, nulls: &[], fixed: &[], variable: &[] });
        }
        let (nulls, rest) = rest.split_at_checked(layout.null_bytes).ok_or(RowError::Truncated("null bitmap"))?;
        let (fixed, variable) = rest.split_at_checked(layout.fixed_bytes).ok_or(RowError::Truncated("values"))?;
        let row = Self { header, layout, nulls, fixed, variable };
        row.require_canonical()?;
        Ok(row)
    }

    /// Both times of the row.
    pub const fn stamp(&self) -> Stamp {
        self.header.stamp
    }

    /// Whether the row says "deleted"; it then has no values.
    pub const fn is_tombstone(&self) -> bool {
        self.header.tombstone
    }

    /// Whether feature `index` is null; a tombstone's are.
    /// # Cost
    /// One byte read.
    pub fn is_null(&self, index: usize) -> bool {
        self.header.tombstone || null_bit(self.nulls, index)
    }

    /// A float32 feature, for the copy into a tensor; `None` when it is null or of another type.
    /// # Cost
    /// Four bytes read.
    pub fn f32(&self, index: usize) -> Option<f32> {
        let slot = self.layout.slots().get(index)?;
        if self.is_null(index) || slot.feature_type != FeatureType::Scalar(ScalarType::Float32) {
            return None;
        }
        Some(f32::from_le_bytes(chunk(self.fixed, slot.offset)?))
    }

    /// Feature `index`; null where it is, or where there is no such feature.
    /// # Cost
    /// No allocation but for a list, which owns its elements.
    pub fn value(&self, index: usize) -> Value<'a> {
        let Some(slot) = self.layout.slots().get(index) else { return Value::Null };
        if self.is_null(index) {
            return Value::Null;
        }
        match slot.feature_type {
            FeatureType::Scalar(scalar) => {
                scalar_value(scalar, self.fixed, slot.offset, || self.variable_part(index)).unwrap_or(Value::Null)
            }
            FeatureType::List(_) => match self.list(index) {
                Some(list) => Value::List(list.values().collect()),
                None => Value::Null,
            },
        }
    }

    /// The list feature `index`; `None` when it is null or no list.
    pub fn list(&self, index: usize) -> Option<ListRef<'a>> {
        let FeatureType::List(scalar) = self.layout.feature_type(index)? else { return None };
        if self.is_null(index) {
            return None;
        }
        ListRef::parse(self.variable_part(index)?, scalar).ok()
    }

    /// The variable bytes of feature `index`: from the end of the variable feature before it to its own end.
    fn variable_part(&self, index: usize) -> Option<&'a [u8]> {
        let slots = self.layout.slots();
        let end = offset(self.fixed, slots.get(index)?.offset)?;
        let before = slots.get(..index)?.iter().rev().find(|slot| slot.feature_type.is_variable());
        let start = match before {
            Some(slot) => offset(self.fixed, slot.offset)?,
            None => 0,
        };
        self.variable.get(start..end)
    }

    fn require_canonical(&self) -> Result<(), RowError> {
        require_padding(self.nulls, self.layout.len())?;
        let mut end = 0_usize;
        for (index, slot) in self.layout.slots().iter().enumerate() {
            let null = null_bit(self.nulls, index);
            let bytes = require_slot(slot.feature_type, self.fixed, slot.offset, null)?;
            let Some(next) = bytes else { continue };
            let part = require_part(self.variable, &mut end, next, null)?;
            match slot.feature_type {
                FeatureType::Scalar(scalar) => require_text(scalar, part)?,
                FeatureType::List(scalar) if !null => {
                    ListRef::parse(part, scalar)?;
                }
                FeatureType::List(_) => {}
            }
        }
        if end != self.variable.len() {
            return Err(RowError::NotCanonical("bytes after the last value"));
        }
        Ok(())
    }
}

impl<'a> ListRef<'a> {
    fn parse(bytes: &'a [u8], scalar: ScalarType) -> Result<Self, RowError> {
        let (count, rest) = bytes.split_first_chunk::<4>().ok_or(RowError::Truncated("list count"))?;
        let len = u32::from_le_bytes(*count) as usize;
        let width = FeatureType::Scalar(scalar).slot_bytes();
        let fixed_bytes = len.checked_mul(width).ok_or(RowError::NotCanonical("list count"))?;
        let (nulls, rest) = rest.split_at_checked(len.div_ceil(8)).ok_or(RowError::Truncated("list null bitmap"))?;
        let (fixed, variable) = rest.split_at_checked(fixed_bytes).ok_or(RowError::Truncated("list elements"))?;
        let list = Self { scalar, len, nulls, fixed, variable };
        list.require_canonical(width)?;
        Ok(list)
    }

    /// How many elements it has, nulls included.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements in order.
    pub fn values(self) -> impl ExactSizeIterator<Item = Value<'a>> {
        let width = FeatureType::Scalar(self.scalar).slot_bytes();
        (0..self.len).map(move |index| {
            if null_bit(self.nulls, index) {
                return Value::Null;
            }
            let at = index.saturating_mul(width);
            scalar_value(self.scalar, self.fixed, at, || {
                let start = if index == 0 { 0 } else { offset(self.fixed, at.saturating_sub(width))? };
                self.variable.get(start..offset(self.fixed, at)?)
            })
            .unwrap_or(Value::Null)
        })
    }

    fn require_canonical(&self, width: usize) -> Result<(), RowError> {
        require_padding(self.nulls, self.len)?;
        let element = FeatureType::Scalar(self.scalar);
        let mut end = 0_usize;
        for index in 0..self.len {
            let null = null_bit(self.nulls, index);
            if let Some(next) = require_slot(element, self.fixed, index.saturating_mul(width), null)? {
                require_text(self.scalar, require_part(self.variable, &mut end, next, null)?)?;
            }
        }
        if end != self.variable.len() {
            return Err(RowError::NotCanonical("bytes after a list's last element"));
        }
        Ok(())
    }
}

fn null_bit(nulls: &[u8], index: usize) -> bool {
    nulls.get(index / 8).is_some_and(|bits| bits & (1 << (index % 8)) != 0)
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

fn offset(fixed: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(chunk(fixed, at)?) as usize)
}

fn scalar_value<'a>(
    scalar: ScalarType,
    fixed: &[u8],
    at: usize,
    variable: impl FnOnce() -> Option<&'a [u8]>,
) -> Option<Value<'a>> {
    Some(match scalar {
        ScalarType::Bool => Value::Bool(chunk::<1>(fixed, at)? == [1]),
        ScalarType::Int32 => Value::Int32(i32::from_le_bytes(chunk(fixed, at)?)),
        ScalarType::Date => Value::Date(i32::from_le_bytes(chunk(fixed, at)?)),
        ScalarType::Int64 => Value::Int64(i64::from_le_bytes(chunk(fixed, at)?)),
        ScalarType::Timestamp => Value::Timestamp(Micros(i64::from_le_bytes(chunk(fixed, at)?))),
        ScalarType::Float32 => Value::Float32(f32::from_le_bytes(chunk(fixed, at)?)),
        ScalarType::Float64 => Value::Float64(f64::from_le_bytes(chunk(fixed, at)?)),
        ScalarType::String => Value::String(std::str::from_utf8(variable()?).ok()?),
        ScalarType::Bytes => Value::Bytes(variable()?),
    })
}

fn require_padding(nulls: &[u8], len: usize) -> Result<(), RowError> {
    let used = len % 8;
    let padded = used != 0 && nulls.last().is_some_and(|last| last >> used != 0);
    if padded { Err(RowError::NotCanonical("null bitmap padding")) } else { Ok(()) }
}

/// Checks one fixed slot; a variable one answers its end offset.
fn require_slot(feature_type: FeatureType, fixed: &[u8], at: usize, null: bool) -> Result<Option<usize>, RowError> {
    const CUT: RowError = RowError::Truncated("values");
    if feature_type.is_variable() {
        return offset(fixed, at).map(Some).ok_or(CUT);
    }
    if null {
        let end = at.saturating_add(feature_type.slot_bytes());
        let zero = fixed.get(at..end).ok_or(CUT)?.iter().all(|byte| *byte == 0);
        return if zero { Ok(None) } else { Err(RowError::NotCanonical("a null's slot")) };
    }
    match feature_type.scalar() {
        ScalarType::Bool if chunk::<1>(fixed, at).ok_or(CUT)? > [1] => Err(RowError::NotCanonical("a bool")),
        ScalarType::Float32 => {
            let bits = u32::from_le_bytes(chunk(fixed, at).ok_or(CUT)?);
            let odd = f32::from_bits(bits).is_nan() && bits != CANONICAL_NAN_32;
            if odd { Err(RowError::NotCanonical("a NaN")) } else { Ok(None) }
        }
        ScalarType::Float64 => {
            let bits = u64::from_le_bytes(chunk(fixed, at).ok_or(CUT)?);
            let odd = f64::from_bits(bits).is_nan() && bits != CANONICAL_NAN_64;
            if odd { Err(RowError::NotCanonical("a NaN")) } else { Ok(None) }
        }
        _ => Ok(None),
    }
}

/// Takes the variable bytes from `end` to `next`, moving `end` on.
fn require_part<'a>(variable: &'a [u8], end: &mut usize, next: usize, null: bool) -> Result<&'a [u8], RowError> {
    if null && next != *end {
        return Err(RowError::NotCanonical("a null's offset"));
    }
    if next < *end {
        return Err(RowError::NotCanonical("offsets that go back"));
    }
    let part = variable.get(*end..next).ok_or(RowError::Truncated("variable values"))?;
    *end = next;
    Ok(part)
}

fn require_text(scalar: ScalarType, part: &[u8]) -> Result<(), RowError> {
    if scalar == ScalarType::String && std::str::from_utf8(part).is_err() {
        return Err(RowError::NotCanonical("a string that is not UTF-8"));
    }
    Ok(())
}
