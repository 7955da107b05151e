//! Times of any unit as microseconds: rounded up, so that no rounding can show the future; what does not fit is told.

use arrow_array::{
    Array, ArrayRef, PrimitiveArray, TimestampMicrosecondArray,
    cast::AsArray,
    types::{
        ArrowPrimitiveType, Date32Type, Date64Type, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampNanosecondType, TimestampSecondType,
    },
};
use arrow_schema::{DataType, TimeUnit};
use tidegate_catalog::Micros;

const MILLI: i64 = 1_000;
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Timestamps or dates as microseconds, in UTC or as naive as they came; `None` for an array of another type. A time
/// that microseconds cannot hold becomes the last or the first instant that they can.
pub(crate) fn micros_up(times: &dyn Array) -> Option<TimestampMicrosecondArray> {
    Some(match times.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => scaled::<TimestampSecondType>(times, SECOND),
        DataType::Timestamp(TimeUnit::Millisecond, _) => scaled::<TimestampMillisecondType>(times, MILLI),
        DataType::Timestamp(TimeUnit::Microsecond, _) => times.as_primitive::<TimestampMicrosecondType>().clone(),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            times.as_primitive::<TimestampNanosecondType>().unary(|nanos| Micros::from_nanos_up(nanos).0)
        }
        DataType::Date32 => scaled::<Date32Type>(times, DAY),
        DataType::Date64 => scaled::<Date64Type>(times, MILLI),
        _ => return None,
    })
}

fn scaled<T>(times: &dyn Array, by: i64) -> TimestampMicrosecondArray
where
    T: ArrowPrimitiveType,
    T::Native: Into<i64>,
{
    let times: &PrimitiveArray<T> = times.as_primitive();
    times.unary(|time| time.into().saturating_mul(by))
}

/// Whether this is no time but the mark of one that did not fit.
const fn did_not_fit(micros: i64) -> bool {
    micros == i64::MAX || micros == i64::MIN
}

/// The times in UTC with nulls where [`micros_up`] could not hold them, and the rows in which that is so.
pub(crate) fn told(times: &TimestampMicrosecondArray) -> (ArrayRef, Vec<usize>) {
    let lost = |row: &usize| times.is_valid(*row) && did_not_fit(times.value(*row));
    let rows = (0..times.len()).filter(lost).collect::<Vec<_>>();
    let kept = if rows.is_empty() {
        times.clone()
    } else {
        times.unary_opt(|micros| (!did_not_fit(micros)).then_some(micros))
    };
    (std::sync::Arc::new(kept.with_timezone("UTC")), rows)
}

#[cfg(test)]
mod tests {
    use arrow_array::{
        Date32Array, Date64Array, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
    };

    use super::*;

    #[test]
    fn every_unit_becomes_microseconds_and_only_nanoseconds_round() {
        let cases: [(&dyn Array, [i64; 3]); 6] = [
            (&TimestampSecondArray::from(vec![-1, 0, i64::MAX]), [-1_000_000, 0, i64::MAX]),
            (&TimestampMillisecondArray::from(vec![-1, i64::MIN, i64::MAX]), [-1_000, i64::MIN, i64::MAX]),
            (&TimestampMicrosecondArray::from(vec![-1, 0, 7]), [-1, 0, 7]),
            (&TimestampNanosecondArray::from(vec![-1, 1, 2_000]), [0, 1, 2]),
            (&Date32Array::from(vec![-1, 1, i32::MAX]), [-86_400_000_000, 86_400_000_000, i64::MAX]),
            (&Date64Array::from(vec![-1, 1, i64::MAX]), [-1_000, 1_000, i64::MAX]),
        ];
        for (times, expected) in cases {
            let found = micros_up(times).unwrap();
            assert_eq!(found.values().as_ref(), expected, "{}", times.data_type());
        }
        assert!(micros_up(&arrow_array::Int64Array::from(vec![1])).is_none());
    }

    #[test]
    fn a_time_that_does_not_fit_is_told_and_a_null_is_not() {
        let times = TimestampSecondArray::from(vec![Some(1), None, Some(i64::MAX / 2), Some(i64::MIN / 2)]);
        let (kept, rows) = told(&micros_up(&times).unwrap());
        assert_eq!(rows, [2, 3]);
        assert_eq!(kept.null_count(), 3);
    }
}
