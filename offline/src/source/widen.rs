//! One schema for the files of a source: columns may be added, reordered and widened, never conflict.

use datafusion::arrow::datatypes::DataType;

/// The type that holds every value of both exactly, where one of them does.
pub(super) fn wider(left: &DataType, right: &DataType) -> Option<DataType> {
    if left == right {
        return Some(left.clone());
    }
    if widens(left, right) {
        return Some(right.clone());
    }
    widens(right, left).then(|| left.clone())
}

/// Whether every value of `from` is exactly one of `to`.
fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Float16, Float32, Float64, Int8, Int16, Int32, Int64, LargeBinary, LargeUtf8, Null, UInt8,
        UInt16, UInt32, Utf8, Utf8View,
    };
    match (from, to) {
        (Null, _)
        | (Int8, Int16 | Int32 | Int64)
        | (Int16, Int32 | Int64)
        | (Int32, Int64)
        | (UInt8, Int16 | Int32 | Int64 | UInt16 | UInt32)
        | (UInt16, Int32 | Int64 | UInt32)
        | (UInt32, Int64)
        | (Float16, Float32 | Float64)
        | (Float32 | Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32, Float64)
        | (Utf8, LargeUtf8 | Utf8View)
        | (LargeUtf8, Utf8View)
        | (Binary, LargeBinary | BinaryView)
        | (LargeBinary, BinaryView) => true,
        (DataType::Dictionary(_, value), _) => **value == *to || widens(value, to),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_is_exact_or_refused() {
        assert_eq!(wider(&DataType::Int64, &DataType::Int32), Some(DataType::Int64));
        assert_eq!(wider(&DataType::Float32, &DataType::Float64), Some(DataType::Float64));
        assert_eq!(wider(&DataType::Int64, &DataType::Float64), None, "2^53 + 1 is no float64");
        assert_eq!(wider(&DataType::Int32, &DataType::Utf8), None);
    }
}
