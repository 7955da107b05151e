//! Entity keys: the injective bytes under which an entity's rows are stored.
//!
//! `varint project, varint key set, then per join key in name order: type tag, varint length, bytes`. Numbers come from
//! the registry, which begins at 1, and are never reused. int32 and int64 keys have one encoding, so they meet.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Micros, ScalarType};

/// The longest entity key in bytes; longer is a rejected row or a 400.
pub const MAX_KEY_BYTES: usize = 8 * 1024;

/// A project's number, given once by the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ProjectNumber(pub u32);

/// A key set's number (a key set is a sorted set of join-key names), given once by the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct KeySetNumber(pub u32);

/// The number of one generation of one view: the Redis hash field, the CQL clustering key, the embedded key's suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct FieldNumber(pub u32);

/// One component of an entity key, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyValue<'a> {
    /// A bool key.
    Bool(bool),
    /// An int32 or int64 key.
    Int64(i64),
    /// A timestamp key.
    Timestamp(Micros),
    /// A date key, in days since 1970.
    Date(i32),
    /// A string key; compared byte by byte, never normalised.
    String(&'a str),
    /// A bytes key.
    Bytes(&'a [u8]),
}

/// One component of an entity key, owned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OwnedKeyValue {
    /// A bool key.
    Bool(bool),
    /// An int32 or int64 key.
    Int64(i64),
    /// A timestamp key.
    Timestamp(Micros),
    /// A date key, in days since 1970.
    Date(i32),
    /// A string key.
    String(String),
    /// A bytes key.
    Bytes(Vec<u8>),
}

/// A key that cannot be stored, or bytes that are no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Over [`MAX_KEY_BYTES`].
    #[error("the entity key has {size_bytes} bytes, the limit is {MAX_KEY_BYTES}; use a shorter identifier")]
    TooLong {
        /// Its size.
        size_bytes: usize,
    },
    /// Bytes from a store that this encoding cannot have written.
    #[error("stored key bytes are not an entity key: {part} is cut off or wrong")]
    NotAKey {
        /// The part that could not be read.
        part: &'static str,
    },
}

/// The stored bytes of an entity key. A clone is a reference count.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityKey(Bytes);

/// An entity key taken apart again: for audits, `verify` and messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyParts {
    /// The project's number.
    pub project: ProjectNumber,
    /// The key set's number.
    pub key_set: KeySetNumber,
    /// The components in join-key-name order.
    pub values: Vec<OwnedKeyValue>,
}

impl KeyValue<'_> {
    const fn tag(self) -> u8 {
        // the numbers of the type table
        match self {
            Self::Bool(_) => ScalarType::Bool.number(),
            Self::Int64(_) => ScalarType::Int64.number(),
            Self::Timestamp(_) => ScalarType::Timestamp.number(),
            Self::Date(_) => ScalarType::Date.number(),
            Self::String(_) => ScalarType::String.number(),
            Self::Bytes(_) => ScalarType::Bytes.number(),
        }
    }

    /// A copy that owns its bytes.
    pub fn to_owned(self) -> OwnedKeyValue {
        match self {
            Self::Bool(value) => OwnedKeyValue::Bool(value),
            Self::Int64(value) => OwnedKeyValue::Int64(value),
            Self::Timestamp(value) => OwnedKeyValue::Timestamp(value),
            Self::Date(value) => OwnedKeyValue::Date(value),
            Self::String(value) => OwnedKeyValue::String(value.to_owned()),
            Self::Bytes(value) => OwnedKeyValue::Bytes(value.to_owned()),
        }
    }
}

impl OwnedKeyValue {
    /// A view of it.
    pub fn borrow(&self) -> KeyValue<'_> {
        match self {
            Self::Bool(value) => KeyValue::Bool(*value),
            Self::Int64(value) => KeyValue::Int64(*value),
            Self::Timestamp(value) => KeyValue::Timestamp(*value),
            Self::Date(value) => KeyValue::Date(*value),
            Self::String(value) => KeyValue::String(value),
            Self::Bytes(value) => KeyValue::Bytes(value),
        }
    }
}

/// As a person would write it; strings and bytes quoted, for they may hold anything.
impl std::fmt::Display for OwnedKeyValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int64(value) => write!(f, "{value}"),
            Self::Timestamp(value) => write!(f, "{value}"),
            Self::Date(value) => write!(f, "{}", Micros(i64::from(*value).saturating_mul(86_400_000_000))),
            Self::String(value) => write!(f, "{value:?}"),
            Self::Bytes(value) => write!(f, "b\"{}\"", value.escape_ascii()),
        }
    }
}

impl EntityKey {
    /// Encodes `values`, which stand in join-key-name order.
    /// # Errors
    /// [`KeyError::TooLong`] over 8 KiB.
    /// # Cost
    /// Written to the end of `buffer` and split off: no allocation while its capacity lasts.
    pub fn encode<'a>(
        project: ProjectNumber,
        key_set: KeySetNumber,
        values: impl IntoIterator<Item = KeyValue<'a>>,
        buffer: &mut BytesMut,
    ) -> Result<Self, KeyError> {
        buffer.clear();
        put_varint(buffer, u64::from(project.0));
        put_varint(buffer, u64::from(key_set.0));
        for value in values {
            buffer.put_u8(value.tag());
            match value {
                KeyValue::Bool(value) => put_component(buffer, &[u8::from(value)]),
                KeyValue::Int64(value) => put_component(buffer, &ordered(value)),
                KeyValue::Timestamp(value) => put_component(buffer, &ordered(value.0)),
                KeyValue::Date(value) => put_component(buffer, &ordered(i64::from(value))),
                KeyValue::String(value) => put_component(buffer, value.as_bytes()),
                KeyValue::Bytes(value) => put_component(buffer, value),
            }
            if buffer.len() > MAX_KEY_BYTES {
                let size_bytes = buffer.len();
                buffer.clear();
                return Err(KeyError::TooLong { size_bytes });
            }
        }
        Ok(Self(buffer.split().freeze()))
    }

    /// Takes bytes that were an entity key's, from a store's scan; [`EntityKey::parts`] says whether they are.
    pub const fn from_stored(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes under which a store keeps the entity.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The shared bytes themselves.
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Takes the key apart.
    /// # Errors
    /// [`KeyError::NotAKey`] where the bytes are not what [`EntityKey::encode`] writes.
    pub fn parts(&self) -> Result<KeyParts, KeyError> {
        let mut rest: &[u8] = &self.0;
        let project = ProjectNumber(take_given(&mut rest, "the project number")?);
        let key_set = KeySetNumber(take_given(&mut rest, "the key-set number")?);
        let mut values = Vec::new();
        while let Some((tag, after)) = rest.split_first() {
            rest = after;
            let length = take_number(&mut rest, "a component's length")? as usize;
            let (component, after) = rest.split_at_checked(length).ok_or(KeyError::NotAKey { part: "a component" })?;
            rest = after;
            values.push(component_value(*tag, component)?);
        }
        Ok(KeyParts { project, key_set, values })
    }
}

fn component_value(tag: u8, component: &[u8]) -> Result<OwnedKeyValue, KeyError> {
    let wrong = |part| KeyError::NotAKey { part };
    let int = || {
        let bytes = <[u8; 8]>::try_from(component).map_err(|_| wrong("an eight-byte component"))?;
        Ok::<i64, KeyError>((u64::from_be_bytes(bytes) ^ SIGN).cast_signed())
    };
    let scalar = ScalarType::ALL.into_iter().find(|scalar| scalar.number() == tag);
    match scalar {
        Some(ScalarType::Bool) => match component {
            [0] => Ok(OwnedKeyValue::Bool(false)),
            [1] => Ok(OwnedKeyValue::Bool(true)),
            _ => Err(wrong("a bool component")),
        },
        Some(ScalarType::Int64) => Ok(OwnedKeyValue::Int64(int()?)),
        Some(ScalarType::Timestamp) => Ok(OwnedKeyValue::Timestamp(Micros(int()?))),
        Some(ScalarType::Date) => {
            Ok(OwnedKeyValue::Date(i32::try_from(int()?).map_err(|_| wrong("a date component"))?))
        }
        Some(ScalarType::String) => {
            let text = std::str::from_utf8(component).map_err(|_| wrong("a string component"))?;
            Ok(OwnedKeyValue::String(text.to_owned()))
        }
        Some(ScalarType::Bytes) => Ok(OwnedKeyValue::Bytes(component.to_vec())),
        Some(ScalarType::Int32 | ScalarType::Float32 | ScalarType::Float64) | None => Err(wrong("a component's type")),
    }
}

const SIGN: u64 = 1 << 63;

const fn ordered(value: i64) -> [u8; 8] {
    (value.cast_unsigned() ^ SIGN).to_be_bytes()
}

fn put_component(buffer: &mut BytesMut, component: &[u8]) {
    put_varint(buffer, component.len() as u64);
    buffer.put_slice(component);
}

fn put_varint(buffer: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        buffer.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    buffer.put_u8(value as u8);
}

/// Reads a number that the registry gave: none is zero, which keeps keys apart from what a store keeps beside them.
fn take_given(rest: &mut &[u8], part: &'static str) -> Result<u32, KeyError> {
    take_number(rest, part).and_then(|number| if number == 0 { Err(KeyError::NotAKey { part }) } else { Ok(number) })
}

/// Reads a varint of at most 32 bits in its shortest form.
fn take_number(rest: &mut &[u8], part: &'static str) -> Result<u32, KeyError> {
    let mut value = 0_u64;
    for shift in [0_u32, 7, 14, 21, 28] {
        let (byte, after) = rest.split_first().ok_or(KeyError::NotAKey { part })?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let shortest = *byte != 0 || shift == 0;
            return match u32::try_from(value) {
                Ok(value) if shortest => Ok(value),
                _ => Err(KeyError::NotAKey { part }),
            };
        }
    }
    Err(KeyError::NotAKey { part })
}

#[cfg(test)]
mod tests;
