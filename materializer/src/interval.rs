//! Intervals of event time, `(start, end]`: start exclusive, end inclusive, so that consecutive runs cover each instant once.

use tidegate_catalog::Micros;
use tidegate_control::{Interval, union};

/// Where an event time lies against what is covered and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Covered.
    Inside,
    /// After now: never stored.
    Future,
    /// Not after now, and not covered.
    Outside,
}

/// What a run covers: `start` or else where the newest acknowledged run ended; `end` or else now, and never after now. A
/// start at the first instant that there is means before all time: so says whoever has no word for that.
pub fn run_interval(start: Option<Micros>, end: Option<Micros>, acknowledged: Option<Micros>, now: Micros) -> Interval {
    let start = start.or(acknowledged).filter(|start| *start != Micros::MIN);
    Interval { start, end: end.map_or(now, |end| end.min(now)) }
}

/// The union of intervals: what a generation's acknowledged runs cover together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Sorted, disjoint, not touching.
    parts: Vec<Interval>,
}

impl Coverage {
    /// Whether a run has covered `event`.
    /// # Cost
    /// A binary search.
    pub fn contains(&self, event: Micros) -> bool {
        let index = self.parts.partition_point(|part| part.end < event);
        self.parts.get(index).is_some_and(|part| part.start.is_none_or(|start| start < event))
    }

    pub(crate) fn place(&self, event: Micros, now: Micros) -> Place {
        if event > now {
            Place::Future
        } else if self.contains(event) {
            Place::Inside
        } else {
            Place::Outside
        }
    }

    /// Whether nothing is covered.
    pub const fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

impl FromIterator<Interval> for Coverage {
    fn from_iter<I: IntoIterator<Item = Interval>>(intervals: I) -> Self {
        let intervals = intervals.into_iter().collect::<Vec<_>>();
        Self { parts: union(&intervals) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(start: i64, end: i64) -> Interval {
        Interval { start: Some(Micros(start)), end: Micros(end) }
    }

    fn covering(intervals: impl IntoIterator<Item = Interval>) -> Coverage {
        intervals.into_iter().collect()
    }

    #[test]
    fn case_31_start_is_exclusive_end_inclusive_and_consecutive_runs_cover_each_instant_once() {
        let (first, second) = (covering([interval(0, 10)]), covering([interval(10, 20)]));
        for (event, in_first, in_second) in [(0, false, false), (1, true, false), (10, true, false), (11, false, true)]
        {
            assert_eq!(first.contains(Micros(event)), in_first, "{event}");
            assert_eq!(second.contains(Micros(event)), in_second, "{event}");
        }
    }

    #[test]
    fn case_31_an_end_in_the_future_stops_at_now_and_an_empty_interval_is_empty() {
        let now = Micros(100);
        assert_eq!(run_interval(None, Some(Micros(500)), None, now).end, now);
        assert_eq!(run_interval(None, None, Some(Micros(40)), now), interval(40, 100));
        assert_eq!(run_interval(Some(Micros(7)), None, Some(Micros(40)), now), interval(7, 100));
        assert_eq!(run_interval(Some(Micros::MIN), None, None, now), run_interval(None, None, None, now));
        assert!(run_interval(None, None, Some(now), now).is_empty());
        assert!(interval(10, 9).is_empty());
        assert!(!Interval { start: None, end: Micros::MIN }.is_empty(), "the first instant belongs to it");
    }

    #[test]
    fn a_row_after_now_is_future_even_where_the_interval_ends_earlier() {
        let run = covering([interval(0, 10)]);
        assert_eq!(run.place(Micros(10), Micros(50)), Place::Inside);
        assert_eq!(run.place(Micros(11), Micros(50)), Place::Outside);
        assert_eq!(run.place(Micros(51), Micros(50)), Place::Future);
        assert_eq!(run.place(Micros(0), Micros(50)), Place::Outside);
    }

    #[test]
    fn coverage_joins_what_touches_and_keeps_holes() {
        let coverage = [interval(20, 30), interval(0, 10), interval(10, 12), interval(5, 5), interval(28, 29)];
        let coverage = coverage.into_iter().collect::<Coverage>();
        assert_eq!(coverage, Coverage { parts: vec![interval(0, 12), interval(20, 30)] });
        for (event, inside) in [(0, false), (1, true), (12, true), (13, false), (20, false), (21, true), (31, false)] {
            assert_eq!(coverage.contains(Micros(event)), inside, "{event}");
        }
        let all = [interval(5, 9), Interval { start: None, end: Micros(7) }].into_iter().collect::<Coverage>();
        assert!(all.contains(Micros::MIN) && all.contains(Micros(9)) && !all.contains(Micros(10)));
    }
}
