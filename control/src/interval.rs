//! Intervals of event time, `(start, end]`, and whether one set of them covers another: what decides a generation's move.

use serde::{Deserialize, Serialize};
use tidegate_catalog::Micros;

/// An interval of event time: start exclusive, end inclusive, so that consecutive intervals share no instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Interval {
    /// After this instant; `None` is from before all time, so that even the first instant belongs to it.
    pub start: Option<Micros>,
    /// Up to and with this instant.
    pub end: Micros,
}

impl Interval {
    /// Whether no instant belongs to it.
    pub fn is_empty(&self) -> bool {
        self.start.is_some_and(|start| start >= self.end)
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.start {
            Some(start) => write!(f, "({start}, {}]", self.end),
            None => write!(f, "(.., {}]", self.end),
        }
    }
}

/// The same instants as few disjoint intervals, in order, none of them touching the next.
pub fn union(intervals: &[Interval]) -> Vec<Interval> {
    let mut sorted = intervals.iter().copied().filter(|interval| !interval.is_empty()).collect::<Vec<_>>();
    sorted.sort_by_key(|interval| (interval.start, interval.end));
    let mut joined = Vec::<Interval>::new();
    for next in sorted {
        match joined.last_mut() {
            // `(a, b]` and `(b, c]` touch: together they are `(a, c]`
            Some(last) if next.start.is_none_or(|start| start <= last.end) => last.end = last.end.max(next.end),
            _ => joined.push(next),
        }
    }
    joined
}

/// Whether every instant of `old` belongs to `new`. Nothing covers nothing; empty intervals count for nothing.
pub fn covers(new: &[Interval], old: &[Interval]) -> bool {
    uncovered(new, old).is_empty()
}

/// The instants of `old` that do not belong to `new`, as few disjoint intervals, in order.
pub(crate) fn uncovered(new: &[Interval], old: &[Interval]) -> Vec<Interval> {
    let new = union(new);
    let mut left = Vec::new();
    for mut rest in union(old) {
        let from = rest.start;
        for cover in new.iter().filter(|cover| from.is_none_or(|start| cover.end > start)) {
            // `None` is before every start
            if cover.start > rest.start {
                let end = cover.start.map_or(rest.end, |start| start.min(rest.end));
                left.push(Interval { end, ..rest });
            }
            rest.start = Some(cover.end);
            if rest.is_empty() {
                break;
            }
        }
        left.push(rest);
    }
    left.retain(|interval| !interval.is_empty());
    left
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn interval(start: Option<i64>, end: i64) -> Interval {
        Interval { start: start.map(Micros), end: Micros(end) }
    }

    /// Instants that tests look at; the ends stand for everything before and after.
    const POINTS: std::ops::RangeInclusive<i64> = -1..=13;

    fn holds(intervals: &[Interval], point: i64) -> bool {
        intervals.iter().any(|i| i.start.is_none_or(|start| start.0 < point) && point <= i.end.0)
    }

    fn any_intervals() -> impl Strategy<Value = Vec<Interval>> {
        vec((option::weighted(0.9, 0_i64..12), 0_i64..12).prop_map(|(start, end)| interval(start, end)), 0..6)
    }

    proptest! {
        #[test]
        fn covering_is_what_looking_at_every_instant_says(new in any_intervals(), old in any_intervals()) {
            let every_instant = POINTS.into_iter().all(|point| !holds(&old, point) || holds(&new, point));
            prop_assert_eq!(covers(&new, &old), every_instant);
        }

        #[test]
        fn what_is_not_covered_is_what_looking_at_every_instant_says(new in any_intervals(), old in any_intervals()) {
            let left = uncovered(&new, &old);
            for point in POINTS {
                prop_assert_eq!(holds(&left, point), holds(&old, point) && !holds(&new, point));
            }
            prop_assert_eq!(union(&left), left);
        }

        #[test]
        fn a_union_holds_the_same_instants_in_disjoint_order(intervals in any_intervals()) {
            let joined = union(&intervals);
            for point in POINTS {
                prop_assert_eq!(holds(&joined, point), holds(&intervals, point));
            }
            for pair in joined.windows(2) {
                prop_assert!(pair[1].start.is_some_and(|start| start > pair[0].end));
            }
        }
    }

    #[test]
    fn twelve_months_cover_the_year_and_a_missing_instant_uncovers_it() {
        let year = [interval(None, 120)];
        let months = (0..12).map(|m| interval((m > 0).then_some(m * 10), m * 10 + 10)).collect::<Vec<_>>();
        assert!(covers(&months, &year));
        assert!(!covers(&months[1..], &year), "the time before the first start is not covered");
        assert!(!covers(&[interval(None, 59), interval(Some(60), 120)], &year), "the instant 60 is not covered");
    }

    #[test]
    fn the_first_instant_of_all_belongs_only_to_an_open_start() {
        assert!(!covers(&[interval(Some(i64::MIN), 5)], &[interval(None, 5)]));
        assert!(covers(&[], &[]) && covers(&[], &[interval(Some(3), 3)]));
    }

    #[test]
    fn an_interval_reads_like_its_brackets() {
        assert_eq!(interval(None, 0).to_string(), "(.., 1970-01-01T00:00:00Z]");
        assert_eq!(interval(Some(-1_000_000), 0).to_string(), "(1969-12-31T23:59:59Z, 1970-01-01T00:00:00Z]");
    }
}
