//! What a reader is told about one feature value: its [`FieldStatus`] and, beside it, its [`ValueSource`].

use crate::Micros;

/// Feast's four statuses. A missing or stale feature is data, never an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldStatus {
    /// Found, young enough, and assigned.
    Present,
    /// Found, young enough, this field is null.
    NullValue,
    /// No row, or a tombstone.
    NotFound,
    /// A row is there, older than the view's ttl.
    OutsideMaxAge,
}

impl FieldStatus {
    /// The name on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Present => "PRESENT",
            Self::NullValue => "NULL_VALUE",
            Self::NotFound => "NOT_FOUND",
            Self::OutsideMaxAge => "OUTSIDE_MAX_AGE",
        }
    }
}

/// Where an answered value came from. It stands beside a status and never inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueSource {
    /// The online store, in this call.
    Store,
    /// The near cache, within its staleness.
    Cache,
    /// The near cache, because the store was late; labelled, the answer is degraded.
    StaleCache,
    /// The feature's declared default.
    Default,
    /// An on-demand expression.
    Computed,
    /// The caller.
    Request,
}

impl ValueSource {
    /// The name on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Store => "STORE",
            Self::Cache => "CACHE",
            Self::StaleCache => "STALE_CACHE",
            Self::Default => "DEFAULT",
            Self::Computed => "COMPUTED",
            Self::Request => "REQUEST",
        }
    }
}

/// A view's ttl: how long after its event a row may be served. Both ends of the span belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Ttl {
    micros: i64,
}

impl Ttl {
    /// A ttl of `micros` microseconds; `None` unless it is positive.
    pub const fn from_micros(micros: i64) -> Option<Self> {
        if micros > 0 { Some(Self { micros }) } else { None }
    }

    /// Its length in microseconds.
    pub const fn micros(self) -> i64 {
        self.micros
    }

    /// Whether a row of `event` is expired at `now`: `now - event > ttl`, without overflow at either end of time.
    pub const fn expired(self, event: Micros, now: Micros) -> bool {
        (now.0 as i128) - (event.0 as i128) > self.micros as i128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_38_a_row_as_old_as_its_ttl_is_still_present() {
        let ttl = Ttl::from_micros(500_000).unwrap();
        assert!(!ttl.expired(Micros(0), Micros(500_000)));
        assert!(ttl.expired(Micros(0), Micros(500_001)));
        assert!(!ttl.expired(Micros(10), Micros(0)), "a row ahead of now is not expired");
        assert!(ttl.expired(Micros::MIN, Micros::MAX));
    }

    #[test]
    fn case_02_a_ttl_of_nothing_or_less_does_not_exist() {
        assert_eq!(Ttl::from_micros(0), None);
        assert_eq!(Ttl::from_micros(-1), None);
    }
}
