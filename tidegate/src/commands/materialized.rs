//! What a materialization's report looks like: a row a view whose outcomes add up to the rows read, then examples of those
//! that could not be stored.

use tidegate_materializer::{Counts, Report, ViewOutcome, ViewReport, counts::Example};

use crate::output::table;

/// A column: its heading, and its number.
type Column = (&'static str, fn(&Counts) -> u64);

/// What became of rows; together they are the rows read.
const OUTCOMES: [Column; 11] = [
    ("reduced", |counts| counts.reduced),
    ("written", |counts| counts.written),
    ("older", |counts| counts.older),
    ("equal", |counts| counts.equal),
    ("merged", |counts| counts.merged),
    ("null key", |counts| counts.null_key),
    ("null time", |counts| counts.null_time),
    ("future", |counts| counts.future),
    ("outside", |counts| counts.outside_interval),
    ("rejected", Counts::rejected_rows),
    // only a run that stopped has them, and only then they are shown
    (UNSETTLED, |counts| counts.unsettled),
];
const UNSETTLED: &str = "unsettled";

/// The report as text.
pub(super) fn text(report: &Report) -> String {
    let stopped = report.views.iter().any(|view| view.counts.unsettled > 0);
    let shown = OUTCOMES.iter().filter(|(heading, _)| stopped || *heading != UNSETTLED).collect::<Vec<_>>();
    let headings = ["view", "read"].into_iter().chain(shown.iter().map(|(heading, _)| *heading)).chain([""]);
    let rows = report.views.iter().map(|view| {
        let mut cells = vec![view.view.clone(), view.counts.read.to_string()];
        cells.extend(shown.iter().map(|(_, number)| number(&view.counts).to_string()));
        cells.push(outcome(view));
        cells
    });
    let mut text = table(headings, rows);
    for view in &report.views {
        text.push_str(&bad_rows(&view.view, &view.counts));
        if view.not_reproducible {
            text.push_str(&format!(
                "\n{}: not reproducible: the same files gave other values at equal times; what depends on the order of rows?",
                view.view
            ));
        }
    }
    for view in report.views.iter().filter(|view| !view.readers_wait_for.is_empty()) {
        let missing = view.readers_wait_for.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let name = &view.view;
        text.push_str(&format!(
            "\n{name}: readers stay with the old generation until the new one covers {missing} too: tidegate materialize \
             --views {name} with that --start and --end, or --rebuild for everything"
        ));
    }
    if report.is_no_op() {
        text.push_str("\nnothing changed: the store held every row already");
    }
    if let Some(version) = report.moved_to_version {
        text.push_str(&format!("\nreaders moved to version {version}"));
    }
    text
}

fn outcome(view: &ViewReport) -> String {
    match &view.outcome {
        ViewOutcome::Acknowledged => format!("{} ms", view.elapsed_ms),
        ViewOutcome::NothingToDo => "up to date".to_owned(),
        ViewOutcome::Failed { message, .. } => format!("FAILED: {message}"),
        ViewOutcome::Interrupted => "interrupted".to_owned(),
    }
}

fn bad_rows(view: &str, counts: &Counts) -> String {
    let mut text = String::new();
    let mut add = |rows: u64, why: &str, examples: &[Example]| {
        text.push_str(&format!("\n{view}: {rows} rows {why}"));
        for example in examples {
            text.push_str(&format!("\n  {}: {}", example.key, example.why));
        }
    };
    if counts.null_key > 0 {
        add(counts.null_key, "passed over: null key", &counts.null_key_examples);
    }
    for (reason, rejected) in &counts.rejected {
        add(rejected.rows, &format!("rejected: {}", reason.as_str()), &rejected.examples);
    }
    text
}

#[cfg(test)]
mod tests {
    use tidegate_catalog::{FieldNumber, Micros};
    use tidegate_control::Interval;
    use tidegate_materializer::counts::{RejectReason, Rejected};

    use super::*;

    fn report(counts: Counts, outcome: ViewOutcome) -> Report {
        let view = ViewReport {
            view: "form".to_owned(),
            field: FieldNumber(1),
            interval: Interval { start: None, end: Micros(0) },
            run: None,
            outcome,
            counts,
            not_reproducible: false,
            readers_wait_for: Vec::new(),
            elapsed_ms: 12,
        };
        Report { views: vec![view], moved_to_version: None }
    }

    fn counts() -> Counts {
        let example = |key: &str, why: &str| Example { key: key.to_owned(), why: why.to_owned() };
        let rejected = Rejected { rows: 1, examples: vec![example("zoe", "a is text")] };
        Counts {
            read: 1_023,
            reduced: 2,
            written: 4,
            older: 8,
            equal: 16,
            merged: 32,
            null_key: 64,
            null_time: 128,
            future: 256,
            outside_interval: 512,
            rejected: [(RejectReason::WrongType, rejected)].into(),
            null_key_examples: vec![example("null", "a part of the entity key is null")],
            ..Counts::default()
        }
    }

    /// The numbers of the table's first row: rows read, and the sum of everything else.
    fn sums(text: &str) -> (u64, u64) {
        let row = text.lines().nth(1).unwrap().split_whitespace();
        let numbers = row.skip(1).map_while(|cell| cell.parse::<u64>().ok()).collect::<Vec<_>>();
        (numbers[0], numbers[1..].iter().sum())
    }

    #[test]
    fn the_outcomes_add_up_to_the_rows_read_and_bad_rows_have_examples() {
        let text = text(&report(counts(), ViewOutcome::Acknowledged));
        // the last number of a done run is its time
        assert_eq!(sums(&text), (1_023, 1_023 + 12), "{text}");
        assert_eq!(
            text,
            " view  read  reduced  written  older  equal  merged  null key  null time  future  outside  rejected\n \
             form  1023  2        4        8      16     32      64        128        256     512      1         12 ms\n\
             form: 64 rows passed over: null key\n  null: a part of the entity key is null\n\
             form: 1 rows rejected: wrong_type\n  zoe: a is text"
        );
    }

    #[test]
    fn what_keeps_readers_on_the_old_generation_is_said() {
        let mut report = report(counts(), ViewOutcome::Acknowledged);
        report.views[0].readers_wait_for = vec![Interval { start: Some(Micros(0)), end: Micros(1_000_000) }];
        assert_eq!(
            text(&report).lines().last().unwrap(),
            "form: readers stay with the old generation until the new one covers \
             (1970-01-01T00:00:00Z, 1970-01-01T00:00:01Z] too: tidegate materialize --views form with that --start and \
             --end, or --rebuild for everything"
        );
    }

    #[test]
    fn a_run_that_stopped_shows_the_rows_whose_fate_was_open() {
        let counts = Counts { read: 1_123, unsettled: 100, ..counts() };
        let failed = ViewOutcome::Failed {
            code: tidegate_catalog::ErrorCode::Unavailable,
            message: "the store went away".to_owned(),
        };
        for (outcome, words) in [(ViewOutcome::Interrupted, "interrupted"), (failed, "FAILED: the store went away")] {
            let text = text(&report(counts.clone(), outcome));
            let lines = text.lines().take(2).collect::<Vec<_>>();
            assert!(lines[0].ends_with("rejected  unsettled"), "{text}");
            assert!(lines[1].ends_with(&format!("1         100        {words}")), "{text}");
            assert_eq!(sums(&text), (1_123, 1_123), "{text}");
        }
    }
}
