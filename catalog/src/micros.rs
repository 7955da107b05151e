//! Event time: signed 64-bit microseconds since 1970 in UTC, and the rounding that cannot leak the future.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};

/// An instant in microseconds since 1970-01-01T00:00:00Z. Naive times are UTC, dates are midnight UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

/// A text that is not an instant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a time; write it like 2013-11-15T12:00:00Z, with up to six digits of a second")]
pub struct NotATime {
    /// What was written, cut to 64 characters.
    pub text: String,
}

impl Micros {
    /// Before every instant: stands for "no created time" in comparisons.
    pub const MIN: Self = Self(i64::MIN);
    /// After every instant.
    pub const MAX: Self = Self(i64::MAX);
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// Nanoseconds to microseconds, rounded up: for feature times (event and created).
    pub const fn from_nanos_up(nanos: i64) -> Self {
        let down = nanos.div_euclid(1_000);
        Self(if nanos.rem_euclid(1_000) == 0 { down } else { down + 1 })
    }

    /// Nanoseconds to microseconds, rounded down: for label times.
    pub const fn from_nanos_down(nanos: i64) -> Self {
        Self(nanos.div_euclid(1_000))
    }

    /// Milliseconds to microseconds; `None` outside the range of time.
    pub const fn from_millis(millis: i64) -> Option<Self> {
        match millis.checked_mul(1_000) {
            Some(micros) => Some(Self(micros)),
            None => None,
        }
    }

    /// Seconds to microseconds; `None` outside the range of time.
    pub const fn from_seconds(seconds: i64) -> Option<Self> {
        match seconds.checked_mul(1_000_000) {
            Some(micros) => Some(Self(micros)),
            None => None,
        }
    }

    /// This instant moved back by `span_us`, stopping at the beginning of time.
    pub const fn saturating_sub(self, span_us: i64) -> Self {
        Self(self.0.saturating_sub(span_us))
    }

    /// This instant moved on by `span_us`, stopping at the end of time.
    pub const fn saturating_add(self, span_us: i64) -> Self {
        Self(self.0.saturating_add(span_us))
    }

    /// Reads RFC 3339 (`2013-11-15T12:00:00Z`, any offset), the same without offset (UTC), or a date (midnight UTC).
    /// A finer fraction than microseconds is refused, so that no reading of it can be wrong.
    /// # Errors
    /// [`NotATime`] with the text.
    pub fn parse(text: &str) -> Result<Self, NotATime> {
        let refused = || NotATime { text: text.chars().take(64).collect() };
        let fraction = text.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
        if fraction > 6 {
            return Err(refused());
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self(time.timestamp_micros()));
        }
        for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
            if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
                return Ok(Self(time.and_utc().timestamp_micros()));
            }
        }
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| refused())?;
        Ok(Self(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros()))
    }
}

/// RFC 3339 with `Z` and a fraction only where there is one; a plain number of microseconds outside the calendar.
impl std::fmt::Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match DateTime::<Utc>::from_timestamp_micros(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(f, "{}us", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_04_feature_times_round_up_and_label_times_down_on_both_sides_of_1970() {
        assert_eq!(Micros::from_nanos_up(1), Micros(1));
        assert_eq!(Micros::from_nanos_up(-1), Micros(0));
        assert_eq!(Micros::from_nanos_up(-1_000), Micros(-1));
        assert_eq!(Micros::from_nanos_up(i64::MAX), Micros(9_223_372_036_854_776));
        assert_eq!(Micros::from_nanos_down(1_999), Micros(1));
        assert_eq!(Micros::from_nanos_down(-1), Micros(-1));
        assert_eq!(Micros::from_nanos_down(i64::MIN), Micros(-9_223_372_036_854_776));
    }

    #[test]
    fn case_05_naive_is_utc_and_the_same_instant_in_two_zones_is_equal() {
        let zulu = Micros::parse("2013-11-15T12:00:00Z").unwrap();
        assert_eq!(Micros::parse("2013-11-15T12:00:00").unwrap(), zulu);
        assert_eq!(Micros::parse("2013-11-15 12:00:00").unwrap(), zulu);
        assert_eq!(Micros::parse("2013-11-15T07:00:00-05:00").unwrap(), zulu);
        assert_eq!(Micros::parse("1970-01-02").unwrap(), Micros(86_400_000_000));
        // the doubled hour of 2013-11-03 in New York: two instants, one hour apart
        let first = Micros::parse("2013-11-03T01:30:00-04:00").unwrap();
        let second = Micros::parse("2013-11-03T01:30:00-05:00").unwrap();
        assert_eq!(second.0 - first.0, 3_600_000_000);
    }

    #[test]
    fn far_years_survive_a_round_trip() {
        for text in [
            "1677-09-21T00:12:43.145225Z",
            "1969-12-31T23:59:59.999999Z",
            "2262-04-11T23:47:16.854775Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(Micros::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_text_that_is_no_time_is_named() {
        assert_eq!(
            Micros::parse("yesterday").unwrap_err().to_string(),
            "\"yesterday\" is not a time; write it like 2013-11-15T12:00:00Z, with up to six digits of a second"
        );
        assert!(Micros::parse("2013-11-15T12:00:00.1234567Z").is_err());
    }
}
