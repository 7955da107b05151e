//! Reads what `strace -c` has counted.

use std::collections::BTreeMap;

/// Calls by name, from a summary of `strace -c`.
pub fn counts(summary: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let words = line.split_whitespace().collect::<Vec<_>>();
        // % time, seconds, usecs/call, calls, errors (may be missing), syscall
        let (name, calls) = (words.last()?, words.get(3)?.parse().ok()?);
        (words.len() >= 5 && *name != "total").then(|| ((*name).to_owned(), calls))
    };
    summary.lines().filter_map(line).collect()
}

/// Calls of one request: the difference between two runs, `requests` apart. Names below `least` a request are noise of
/// start, end and timers, and are left out.
pub fn per_request(
    fewer: &BTreeMap<String, u64>,
    more: &BTreeMap<String, u64>,
    requests: u64,
    least: f64,
) -> BTreeMap<String, f64> {
    let one = |(name, calls): (&String, &u64)| {
        let before = fewer.get(name).copied().unwrap_or(0);
        let each = calls.saturating_sub(before) as f64 / requests as f64;
        (each >= least).then(|| (name.clone(), each))
    };
    more.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEWER: &str = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000300           3       100        10 futex
 40.00    0.000200           2       100           recvfrom
------ ----------- ----------- --------- --------- ----------------
100.00    0.000500           2       200        10 total
";

    #[test]
    fn the_difference_of_two_runs_is_one_requests_share() {
        let fewer = counts(FEWER);
        assert_eq!(fewer, BTreeMap::from([("futex".to_owned(), 100), ("recvfrom".to_owned(), 100)]));
        let more = BTreeMap::from([("futex".to_owned(), 500), ("recvfrom".to_owned(), 300), ("brk".to_owned(), 1)]);
        let each = per_request(&fewer, &more, 200, 0.02);
        assert_eq!(each, BTreeMap::from([("futex".to_owned(), 2.0), ("recvfrom".to_owned(), 1.0)]));
    }
}
