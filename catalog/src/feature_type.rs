//! The one table of feature and key types: number, width, Arrow types accepted, Open Inference Protocol name.
//!
//! The list is closed. Numbers are for ever: they go into row checks and fingerprints.

use arrow_schema::{DataType, TimeUnit};

/// A type that has one value: everything but lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ScalarType {
    /// True or false.
    Bool,
    /// Signed 32-bit integer.
    Int32,
    /// Signed 64-bit integer.
    Int64,
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary64.
    Float64,
    /// Microseconds since 1970, UTC.
    Timestamp,
    /// Days since 1970; as an instant, midnight UTC.
    Date,
    /// UTF-8 text.
    String,
    /// Bytes.
    Bytes,
}

/// The type of a feature: a scalar or a list of them, whose elements may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FeatureType {
    /// One value.
    Scalar(ScalarType),
    /// Any number of values.
    List(ScalarType),
}

/// A name that is not a feature type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeNameError {
    /// Not in the table.
    #[error("{name:?} is not a feature type (types: {})", FeatureType::names())]
    Unknown {
        /// What was written.
        name: String,
    },
    /// Reserved for later.
    #[error("{name:?} is not yet a feature type; its number is reserved")]
    NotYet {
        /// What was written.
        name: String,
    },
}

struct TypeRow {
    scalar: ScalarType,
    number: u8,
    name: &'static str,
    width: Option<usize>,
    open_inference: &'static str,
}

#[rustfmt::skip]
const TABLE: [TypeRow; 9] = [
    //      type                   number  name         bytes in a row  Open Inference Protocol
    row(ScalarType::Bool,      1,  "bool",      Some(1),        "BOOL"),
    row(ScalarType::Int32,     2,  "int32",     Some(4),        "INT32"),
    row(ScalarType::Int64,     3,  "int64",     Some(8),        "INT64"),
    row(ScalarType::Float32,   4,  "float32",   Some(4),        "FP32"),
    row(ScalarType::Float64,   5,  "float64",   Some(8),        "FP64"),
    row(ScalarType::Timestamp, 6,  "timestamp", Some(8),        "INT64"),
    row(ScalarType::Date,      7,  "date",      Some(4),        "INT32"),
    row(ScalarType::String,    8,  "string",    None,           "BYTES"),
    row(ScalarType::Bytes,     9,  "bytes",     None,           "BYTES"),
];

/// Added to a scalar's number for the list of it. 32 to 35 are reserved: decimal128, vector, struct, map.
const LIST: u8 = 64;
const RESERVED: [&str; 4] = ["decimal128", "vector", "struct", "map"];

const fn row(
    scalar: ScalarType,
    number: u8,
    name: &'static str,
    width: Option<usize>,
    open_inference: &'static str,
) -> TypeRow {
    TypeRow { scalar, number, name, width, open_inference }
}

impl ScalarType {
    /// Every scalar type, in the table's order.
    pub const ALL: [Self; 9] = [
        Self::Bool,
        Self::Int32,
        Self::Int64,
        Self::Float32,
        Self::Float64,
        Self::Timestamp,
        Self::Date,
        Self::String,
        Self::Bytes,
    ];

    const fn entry(self) -> &'static TypeRow {
        // the enum and the table have one order; a test compares them
        &TABLE[self as usize]
    }

    /// The number that stands for this type in checks and fingerprints.
    pub const fn number(self) -> u8 {
        self.entry().number
    }

    /// The name in definitions.
    pub const fn name(self) -> &'static str {
        self.entry().name
    }

    /// Bytes of a value in a row; `None` for string and bytes.
    pub const fn width(self) -> Option<usize> {
        self.entry().width
    }

    /// The type's name in the Open Inference Protocol.
    pub const fn open_inference(self) -> &'static str {
        self.entry().open_inference
    }

    /// The Arrow type that a column of this feature type has in our batches.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Date => DataType::Date32,
            Self::String => DataType::Utf8,
            Self::Bytes => DataType::Binary,
        }
    }

    /// Whether a column of `arrow` may feed this type without a cast in the SQL: the same type in any of Arrow's
    /// encodings, an integer widened, or float64 narrowed to float32 (the only narrowing).
    pub fn accepts(self, arrow: &DataType) -> bool {
        if let DataType::Dictionary(_, value) = arrow {
            return self.accepts(value);
        }
        match self {
            Self::Bool => matches!(arrow, DataType::Boolean),
            Self::Int32 => {
                matches!(arrow, DataType::Int32 | DataType::Int16 | DataType::Int8 | DataType::UInt16 | DataType::UInt8)
            }
            Self::Int64 => arrow.is_integer() && !matches!(arrow, DataType::UInt64),
            Self::Float32 => matches!(arrow, DataType::Float16 | DataType::Float32 | DataType::Float64),
            Self::Float64 => arrow.is_floating(),
            Self::Timestamp => matches!(arrow, DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64),
            Self::Date => matches!(arrow, DataType::Date32),
            Self::String => matches!(arrow, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
            Self::Bytes => matches!(
                arrow,
                DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
            ),
        }
    }

    /// Whether a join key may have this type; floats may not, for equality of floats is a trap.
    pub const fn is_key(self) -> bool {
        !matches!(self, Self::Float32 | Self::Float64)
    }
}

impl FeatureType {
    /// The scalar type of the value, or of a list's elements.
    pub const fn scalar(self) -> ScalarType {
        match self {
            Self::Scalar(scalar) | Self::List(scalar) => scalar,
        }
    }

    /// The number that stands for this type in checks and fingerprints.
    pub const fn number(self) -> u8 {
        match self {
            Self::Scalar(scalar) => scalar.number(),
            Self::List(scalar) => scalar.number() + LIST,
        }
    }

    /// Bytes in a row's fixed part: the value itself, or a u32 end offset for string, bytes and lists.
    pub const fn slot_bytes(self) -> usize {
        match self {
            Self::Scalar(scalar) => match scalar.width() {
                Some(width) => width,
                None => 4,
            },
            Self::List(_) => 4,
        }
    }

    /// Whether the value lies in the row's variable part.
    pub const fn is_variable(self) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.width().is_none(),
            Self::List(_) => true,
        }
    }

    /// The Arrow type that a column of this feature type has in our batches.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Scalar(scalar) => scalar.arrow(),
            Self::List(scalar) => DataType::new_list(scalar.arrow(), true),
        }
    }

    /// Whether a column of `arrow` may feed this type without a cast in the SQL.
    pub fn accepts(self, arrow: &DataType) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.accepts(arrow),
            Self::List(scalar) => match arrow {
                DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                    scalar.accepts(item.data_type())
                }
                _ => false,
            },
        }
    }

    /// All names, for messages.
    fn names() -> String {
        let mut names = TABLE.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
        names.push_str(", list<T> of them");
        names
    }
}

impl std::fmt::Display for FeatureType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scalar(scalar) => f.write_str(scalar.name()),
            Self::List(scalar) => write!(f, "list<{}>", scalar.name()),
        }
    }
}

impl std::str::FromStr for FeatureType {
    type Err = TypeNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let scalar = |name: &str| TABLE.iter().find(|row| row.name == name).map(|row| row.scalar);
        if let Some(scalar) = scalar(name) {
            return Ok(Self::Scalar(scalar));
        }
        let element = name.strip_prefix("list<").and_then(|rest| rest.strip_suffix('>'));
        if let Some(scalar) = element.and_then(|element| scalar(element.trim())) {
            return Ok(Self::List(scalar));
        }
        if RESERVED.iter().any(|reserved| name.starts_with(reserved)) {
            return Err(TypeNameError::NotYet { name: name.to_owned() });
        }
        Err(TypeNameError::Unknown { name: name.chars().take(64).collect() })
    }
}

impl serde::Serialize for FeatureType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for FeatureType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_and_the_enum_have_one_order_and_numbers_are_unique() {
        let mut numbers = std::collections::BTreeSet::new();
        for scalar in ScalarType::ALL {
            assert_eq!(scalar.entry().scalar, scalar);
            assert!(numbers.insert(FeatureType::Scalar(scalar).number()));
            assert!(numbers.insert(FeatureType::List(scalar).number()));
            assert!(scalar.accepts(&scalar.arrow()));
        }
        assert!((32..=35).all(|reserved| !numbers.contains(&reserved)));
    }

    #[test]
    fn names_are_read_and_written_alike() {
        for name in ["bool", "timestamp", "list<float32>", "list<string>"] {
            assert_eq!(name.parse::<FeatureType>().unwrap().to_string(), name);
        }
        assert!(matches!("vector<float32, 8>".parse::<FeatureType>(), Err(TypeNameError::NotYet { .. })));
        assert!(matches!("struct".parse::<FeatureType>(), Err(TypeNameError::NotYet { .. })));
        assert!("float".parse::<FeatureType>().unwrap_err().to_string().contains("float32"));
    }

    #[test]
    fn float64_to_float32_is_the_only_narrowing() {
        assert!(ScalarType::Float32.accepts(&DataType::Float64));
        assert!(!ScalarType::Int32.accepts(&DataType::Int64));
        assert!(!ScalarType::Float32.accepts(&DataType::Int32));
        assert!(!ScalarType::Int64.accepts(&DataType::UInt64));
        assert!(!ScalarType::Int64.accepts(&DataType::Utf8));
    }
}
