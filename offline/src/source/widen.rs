//! One schema for the files of a source: columns may be added, reordered and widened, never conflict.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};

/// The type that holds every value of both exactly, where one of them does. Times of two units are microseconds, as
/// everywhere behind the sources: nanoseconds round up.
pub(super) fn wider(left: &DataType, right: &DataType) -> Option<DataType> {
    if left == right {
        return Some(left.clone());
    }
    if let (DataType::Timestamp(a, zone), DataType::Timestamp(b, other)) = (left, right) {
        // a zone is a label, and a time without one is in UTC: the instants stay
        let unit = if a == b { *a } else { TimeUnit::Microsecond };
        let zone = if zone == other { zone.clone() } else { Some("UTC".into()) };
        return Some(DataType::Timestamp(unit, zone));
    }
    match (left, right) {
        (DataType::List(left) | DataType::LargeList(left), DataType::List(right) | DataType::LargeList(right)) => {
            return list_of_wider(left.data_type(), right.data_type());
        }
        // they are told apart by how they count their values, which no reader sees
        (DataType::Dictionary(_, left), DataType::Dictionary(_, right)) => return wider(left, right),
        _ => {}
    }
    if widens(left, right) {
        return Some(right.clone());
    }
    widens(right, left).then(|| left.clone())
}

/// Writers name a list's inner field as they like; here it has one name. Times of two units would be rounded down inside a
/// list, so they conflict.
fn list_of_wider(left: &DataType, right: &DataType) -> Option<DataType> {
    let times = matches!((left, right), (DataType::Timestamp(_, _), DataType::Timestamp(_, _)));
    let both = if times && left != right { None } else { wider(left, right) };
    both.map(|both| DataType::List(Arc::new(Field::new_list_field(both, true))))
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
        assert_eq!(wider(&DataType::Date32, &time(TimeUnit::Second, None)), None);
    }

    fn list(name: &str, of: DataType) -> DataType {
        DataType::List(Arc::new(Field::new(name, of, name == "item")))
    }

    #[test]
    fn lists_and_dictionaries_are_as_wide_as_what_they_hold() {
        let (item, element) = (list("item", DataType::Int64), list("element", DataType::Int32));
        assert_eq!(wider(&element, &item), Some(list("item", DataType::Int64)));
        assert_eq!(wider(&list("element", DataType::Utf8), &item), None);
        let large = DataType::LargeList(Arc::new(Field::new("x", DataType::Int64, false)));
        assert_eq!(wider(&element, &large), Some(item));
        let times = [TimeUnit::Nanosecond, TimeUnit::Microsecond].map(|unit| list("item", time(unit, None)));
        assert_eq!(wider(&times[0], &times[1]), None);
        let dictionary = |index| DataType::Dictionary(Box::new(index), Box::new(DataType::Utf8));
        assert_eq!(wider(&dictionary(DataType::Int8), &dictionary(DataType::Int32)), Some(DataType::Utf8));
    }

    fn time(unit: TimeUnit, zone: Option<&str>) -> DataType {
        DataType::Timestamp(unit, zone.map(Into::into))
    }

    #[test]
    fn times_of_two_units_are_microseconds_and_of_two_zones_in_utc() {
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        for (left, right, both) in [
            (time(Second, None), time(Millisecond, None), time(Microsecond, None)),
            (time(Nanosecond, Some("UTC")), time(Microsecond, Some("UTC")), time(Microsecond, Some("UTC"))),
            (time(Nanosecond, None), time(Nanosecond, Some("+02:00")), time(Nanosecond, Some("UTC"))),
            (time(Second, Some("+02:00")), time(Nanosecond, None), time(Microsecond, Some("UTC"))),
        ] {
            assert_eq!(wider(&left, &right), Some(both.clone()), "{left} {right}");
            assert_eq!(wider(&right, &left), Some(both), "{right} {left}");
        }
    }
}
