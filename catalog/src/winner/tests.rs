//! The winner against a second, slower oracle, and the corner cases of time by their numbers.

use bytes::BytesMut;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    FeatureType, ScalarType,
    row::{Check, RowLayout, RowRef, Stamp, Value},
};

const CHECK: Check = Check::new(7);
const AVAILABLE: VisibilityMode = VisibilityMode::AvailableTime { created_declared: true };
const EVENT: VisibilityMode = VisibilityMode::EventTime;

/// A row before it is bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plain {
    event: i64,
    created: Option<i64>,
    /// `None` is a tombstone.
    value: Option<u8>,
}

const fn row(event: i64, value: u8) -> Plain {
    Plain { event, created: None, value: Some(value) }
}

const fn known(event: i64, created: i64, value: u8) -> Plain {
    Plain { event, created: Some(created), value: Some(value) }
}

fn layout() -> RowLayout {
    RowLayout::new(&[FeatureType::Scalar(ScalarType::Bytes)])
}

impl Plain {
    fn candidate(self) -> CandidateRow {
        let stamp = Stamp { event: Micros(self.event), created: self.created.map(Micros) };
        let mut out = BytesMut::new();
        match self.value {
            Some(value) => layout().encode(stamp, CHECK, &[Value::Bytes(&[value])], &mut out).unwrap(),
            None => RowLayout::encode_tombstone(stamp, CHECK, &mut out),
        }
        CandidateRow { bytes: out.freeze() }
    }
}

/// What a reader is told, without bytes: a value, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Value(u8),
    Expired(u8),
    Deleted,
    Absent,
}

fn told(rows: &[Plain], at: i64, ttl: Option<i64>, mode: VisibilityMode) -> Told {
    let candidates = rows.iter().map(|row| row.candidate()).collect::<Vec<_>>();
    told_of(&candidates, at, ttl, mode)
}

fn told_of(candidates: &[CandidateRow], at: i64, ttl: Option<i64>, mode: VisibilityMode) -> Told {
    let layout = layout();
    let value = |row: &CandidateRow| match RowRef::parse(&row.bytes, &layout, CHECK).unwrap().value(0) {
        Value::Bytes(bytes) => bytes[0],
        other => panic!("{other:?}"),
    };
    let ttl = ttl.map(|micros| Ttl::from_micros(micros).unwrap());
    match winner(candidates, Micros(at), ttl, mode) {
        Winner::Row(row) => Told::Value(value(row)),
        Winner::Expired(row) => Told::Expired(value(row)),
        Winner::Deleted(_) => Told::Deleted,
        Winner::Absent => Told::Absent,
    }
}

/// The same by sorting plain values in 128 bits: no bytes, no headers, no comparison of slices.
fn oracle(rows: &[Plain], at: i64, ttl: Option<i64>, mode: VisibilityMode) -> Told {
    let mut visible = rows.to_vec();
    visible.retain(|row| row.event <= at);
    if mode == AVAILABLE {
        visible.retain(|row| row.created.is_some());
        visible.retain(|row| row.created.unwrap() <= at);
    }
    let nothing_is_older_than_all = i128::from(i64::MIN) - 1;
    visible.sort_by_key(|row| {
        let created = row.created.map_or(nothing_is_older_than_all, i128::from);
        (row.event, created, row.value.map_or(256, i32::from))
    });
    let Some(last) = visible.last() else { return Told::Absent };
    let Some(value) = last.value else { return Told::Deleted };
    let oldest = ttl.map_or(i128::MIN, |ttl| i128::from(at) - i128::from(ttl));
    if i128::from(last.event) < oldest { Told::Expired(value) } else { Told::Value(value) }
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![6 => -4_i64..5, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

fn plain() -> impl Strategy<Value = Plain> {
    (time(), proptest::option::of(time()), proptest::option::weighted(0.8, 0_u8..3))
        .prop_map(|(event, created, value)| Plain { event, created, value })
}

fn mode() -> impl Strategy<Value = VisibilityMode> {
    prop_oneof![Just(EVENT), Just(AVAILABLE), Just(VisibilityMode::AvailableTime { created_declared: false })]
}

fn ttl() -> impl Strategy<Value = Option<i64>> {
    proptest::option::of(prop_oneof![6 => 1_i64..6, 1 => 1..i64::MAX, 1 => Just(i64::MAX)])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_winner_is_the_last_of_the_sorted_visible_rows(
        rows in vec(plain(), 0..9), at in time(), ttl in ttl(), mode in mode(),
    ) {
        prop_assert_eq!(told(&rows, at, ttl, mode), oracle(&rows, at, ttl, mode));
    }

    #[test]
    fn case_07_the_order_in_which_rows_come_changes_nothing(
        (rows, shuffled) in vec(plain(), 0..9).prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        at in time(), ttl in ttl(), mode in mode(),
    ) {
        prop_assert_eq!(told(&rows, at, ttl, mode), told(&shuffled, at, ttl, mode));
        let twice = [rows.clone(), shuffled].concat();
        prop_assert_eq!(told(&rows, at, ttl, mode), told(&twice, at, ttl, mode), "a row that comes twice");
    }

    /// The central invariant in small: a cell that keeps the greater bytes of what was visible answers as the join does.
    #[test]
    fn a_cell_that_keeps_the_greater_row_answers_like_the_winner(rows in vec(plain(), 0..9), at in time(), ttl in ttl()) {
        let mut cell: Option<CandidateRow> = None;
        for candidate in rows.iter().filter(|row| row.event <= at).map(|row| row.candidate()) {
            if cell.as_ref().is_none_or(|stored| candidate.bytes > stored.bytes) {
                cell = Some(candidate);
            }
        }
        prop_assert_eq!(told_of(cell.as_slice(), at, ttl, EVENT), told(&rows, at, ttl, EVENT));
    }
}

#[test]
fn case_01_both_ends_of_the_window_belong_to_it() {
    let rows = [row(100, 1)];
    assert_eq!(told(&rows, 100, None, EVENT), Told::Value(1), "e = T");
    assert_eq!(told(&rows, 99, None, EVENT), Told::Absent, "e = T + 1 us");
    assert_eq!(told(&rows, 110, Some(10), EVENT), Told::Value(1), "e = T - ttl");
    assert_eq!(told(&rows, 111, Some(10), EVENT), Told::Expired(1), "e = T - ttl - 1 us");
}

#[test]
fn case_02_no_ttl_is_for_ever_and_a_long_one_does_not_underflow() {
    let rows = [row(i64::MIN, 1)];
    assert_eq!(told(&rows, i64::MAX, None, EVENT), Told::Value(1));
    assert_eq!(told(&rows, i64::MIN, Some(i64::MAX), EVENT), Told::Value(1));
    assert_eq!(told(&rows, -1, Some(i64::MAX), EVENT), Told::Value(1), "now - e is the ttl");
    assert_eq!(told(&rows, 0, Some(i64::MAX), EVENT), Told::Expired(1), "and one more");
    assert_eq!(told(&[row(0, 1)], 500_000, Some(500_000), EVENT), Told::Value(1), "500 ms");
    assert_eq!(told(&[row(0, 1)], 500_001, Some(500_000), EVENT), Told::Expired(1), "are 500 ms");
    assert_eq!((Ttl::from_micros(0), Ttl::from_micros(-1)), (None, None));
}

#[test]
fn case_03_an_expired_newest_row_hides_the_older_ones_and_the_future_is_not_there() {
    assert_eq!(told(&[row(10, 1), row(20, 2)], 31, Some(10), EVENT), Told::Expired(2));
    assert_eq!(told(&[row(10, 1), row(20, 2)], 30, Some(10), EVENT), Told::Value(2));
    assert_eq!(told(&[row(11, 1), row(20, 2)], 10, None, EVENT), Told::Absent);
    assert_eq!(told(&[row(5, 1), row(20, 2)], 10, None, EVENT), Told::Value(1), "the future hides nothing");
    assert_eq!(told(&[], 10, None, EVENT), Told::Absent);
}

#[test]
fn case_04_every_unit_is_compared_exactly_after_the_stated_rounding() {
    let feature_of_nanos = |nanos: i64| row(Micros::from_nanos_up(nanos).0, 1);
    let label_of_nanos = |nanos: i64| Micros::from_nanos_down(nanos).0;
    // one nanosecond inside a microsecond: hidden rather than leaked
    assert_eq!(told(&[feature_of_nanos(1_001)], label_of_nanos(1_999), None, EVENT), Told::Absent);
    assert_eq!(told(&[feature_of_nanos(1_001)], label_of_nanos(2_000), None, EVENT), Told::Value(1));
    assert_eq!(told(&[feature_of_nanos(1_000)], label_of_nanos(1_999), None, EVENT), Told::Value(1));
    assert_eq!(told(&[feature_of_nanos(-1_001)], label_of_nanos(-1_001), None, EVENT), Told::Absent);
    assert_eq!(told(&[feature_of_nanos(-1_001)], label_of_nanos(-1_000), None, EVENT), Told::Value(1));
    let (seconds, millis) = (Micros::from_seconds(-3).unwrap(), Micros::from_millis(-3_000).unwrap());
    assert_eq!(told(&[row(seconds.0, 1)], millis.0, None, EVENT), Told::Value(1));
    for year in
        ["1677-09-21T00:12:43.145225Z", "1969-12-31T23:59:59.999999Z", "2262-04-11T23:47:16.854775Z", "9999-12-31"]
    {
        let at = Micros::parse(year).unwrap().0;
        assert_eq!(told(&[row(at, 1)], at, Some(1), EVENT), Told::Value(1), "{year}");
        assert_eq!(told(&[row(at, 1)], at - 1, Some(1), EVENT), Told::Absent, "{year}");
        assert_eq!(told(&[row(at, 1)], at + 2, Some(1), EVENT), Told::Expired(1), "{year}");
    }
}

#[test]
fn case_05_one_instant_in_two_zones_is_one_time() {
    let at = |text: &str| Micros::parse(text).unwrap().0;
    let rows = [row(at("2013-11-15T07:00:00-05:00"), 1)];
    assert_eq!(told(&rows, at("2013-11-15T12:00:00Z"), Some(1), EVENT), Told::Value(1));
    assert_eq!(told(&rows, at("2013-11-15T12:00:00"), Some(1), EVENT), Told::Value(1), "naive is UTC");
    assert_eq!(told(&rows, at("2013-11-15T11:59:59.999999"), None, EVENT), Told::Absent);
    // New York's doubled hour: half past one comes twice, an hour apart
    let doubled = [row(at("2013-11-03T01:30:00-05:00"), 2), row(at("2013-11-03T01:30:00-04:00"), 1)];
    assert_eq!(told(&doubled, at("2013-11-03T01:59:00-04:00"), None, EVENT), Told::Value(1));
    assert_eq!(told(&doubled, at("2013-11-03T01:30:00-05:00"), None, EVENT), Told::Value(2));
    // and its missing hour: 02:30 there is an instant all the same when written with its offset
    assert_eq!(
        told(&[row(at("2013-03-10T03:30:00-04:00"), 1)], at("2013-03-10T02:30:00-05:00"), None, EVENT),
        Told::Value(1)
    );
    assert_eq!(told(&[row(at("2013-11-15"), 1)], at("2013-11-15T00:00:00Z"), None, EVENT), Told::Value(1));
}

#[test]
fn case_06_times_before_1970_order_below_it() {
    let rows = [row(-2, 1), row(-1, 2), row(0, 3), row(1, 4)];
    for (at, value) in [(-2, 1), (-1, 2), (0, 3), (1, 4), (i64::MAX, 4)] {
        assert_eq!(told(&rows, at, None, EVENT), Told::Value(value), "T = {at}");
    }
    assert_eq!(told(&rows, -3, None, EVENT), Told::Absent);
    let versions = [known(0, -1, 1), known(0, 0, 2), known(0, 1, 3)];
    assert_eq!(told(&versions, -1, None, AVAILABLE), Told::Absent);
    assert_eq!(told(&versions, 0, None, AVAILABLE), Told::Value(2));
}

#[test]
fn case_07_versions_of_one_moment_are_chosen_by_created_time_then_content() {
    assert_eq!(told(&[known(5, 9, 1), known(5, 8, 2)], 10, None, EVENT), Told::Value(1));
    let earliest = Some(i64::MIN);
    let no_created = Plain { event: 5, created: None, value: Some(9) };
    assert_eq!(
        told(&[no_created, Plain { event: 5, created: earliest, value: Some(1) }], 10, None, EVENT),
        Told::Value(1),
        "any created time beats none"
    );
    assert_eq!(told(&[row(5, 1), row(5, 3), row(5, 2)], 10, None, EVENT), Told::Value(3), "both null: content");
    assert_eq!(told(&[known(5, 5, 3), known(5, 5, 1)], 10, None, EVENT), Told::Value(3), "both equal: content");
}

#[test]
fn case_08_in_available_time_what_was_not_known_is_not_there() {
    let versions = [known(5, 6, 1), known(5, 20, 2), known(8, 21, 3)];
    assert_eq!(told(&versions, 10, None, AVAILABLE), Told::Value(1), "the older version of the same e wins");
    assert_eq!(told(&versions, 20, None, AVAILABLE), Told::Value(2), "c = T is available");
    assert_eq!(told(&versions, 21, None, AVAILABLE), Told::Value(3));
    assert_eq!(told(&versions, 10, None, EVENT), Told::Value(3), "by event time it is");
    assert_eq!(told(&[known(8, 21, 3), known(4, 5, 1)], 10, None, AVAILABLE), Told::Value(1), "or an older e");
    assert_eq!(told(&[row(5, 1)], 10, None, AVAILABLE), Told::Absent, "declared, but null: never available");
    let undeclared = VisibilityMode::AvailableTime { created_declared: false };
    assert_eq!(told(&[row(5, 1)], 5, None, undeclared), Told::Value(1), "none declared: available at e");
    assert_eq!(told(&[known(5, 6, 1)], 5, None, AVAILABLE), Told::Absent);
}

#[test]
fn case_09_a_correction_of_an_older_moment_does_not_beat_a_newer_moment() {
    assert_eq!(told(&[known(5, 100, 1), known(6, 7, 2)], 200, None, EVENT), Told::Value(2));
    assert_eq!(told(&[known(5, 100, 1), known(6, 7, 2)], 200, None, AVAILABLE), Told::Value(2));
    assert_eq!(told(&[known(5, 100, 1), row(6, 2)], 200, None, EVENT), Told::Value(2), "even without a created time");
}

#[test]
fn case_10_a_tombstone_hides_what_is_older_until_a_later_row() {
    let deleted = |event, created| Plain { event, created, value: None };
    let rows = [row(5, 1), deleted(10, None), row(15, 2)];
    assert_eq!(told(&rows, 9, None, EVENT), Told::Value(1), "T < e: the old value");
    assert_eq!(told(&rows, 10, None, EVENT), Told::Deleted, "T >= e");
    assert_eq!(told(&rows, 15, None, EVENT), Told::Value(2), "a later row revives");
    let tie = [Plain { event: 5, created: Some(6), value: Some(255) }, deleted(5, Some(6))];
    assert_eq!(told(&tie, 9, None, EVENT), Told::Deleted, "at the same stamp the tombstone");
    assert_eq!(told(&[deleted(5, Some(6)), known(5, 7, 1)], 9, None, EVENT), Told::Value(1), "a later version revives");
    assert_eq!(told(&[deleted(5, None)], 100, Some(10), EVENT), Told::Deleted, "and never expires");
}

#[test]
fn a_winner_has_a_status_and_bytes_that_are_no_row_are_passed_over() {
    let rows = [row(5, 1).candidate(), CandidateRow { bytes: Bytes::from_static(&[0xff; 9]) }];
    assert_eq!(told_of(&rows, 5, None, EVENT), Told::Value(1));
    let at = |at, ttl| winner(&rows, Micros(at), Ttl::from_micros(ttl), EVENT).status();
    assert_eq!(
        (at(5, 1), at(7, 1), at(4, 1)),
        (FieldStatus::Present, FieldStatus::OutsideMaxAge, FieldStatus::NotFound,)
    );
    let deleted = [Plain { event: 5, created: None, value: None }.candidate()];
    assert_eq!(winner(&deleted, Micros(9), None, EVENT).status(), FieldStatus::NotFound);
}
