//! The result of a bench: one JSON object with the figures and all that is needed to doubt them.

use std::{fs, io::Write as _, process::Command};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What a bench found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The bench.
    pub name: &'static str,
    /// Figures by name; the unit stands in the name.
    pub figures: Map<String, Value>,
    /// Bars by figure, and whether all are reached.
    pub bar: Value,
    /// All bars are reached.
    pub passed: bool,
    /// Whether both sides gave the same outputs before the clock started; null where there is one side only.
    pub outputs_equal: Option<bool>,
    /// How many rounds.
    pub rounds: usize,
    /// (largest - smallest) / median of each figure over the rounds.
    pub spread: Map<String, Value>,
    /// Seed of keys and arrivals.
    pub seed: u64,
    /// Settings in effect.
    pub config: Value,
    /// Every round.
    pub per_round: Vec<Value>,
    /// Versions of what is measured against.
    pub peers: Value,
}

impl Report {
    /// Writes the object as one line to standard output.
    /// # Errors
    /// When standard output is closed.
    pub fn print(&self) -> Result<()> {
        let mut object = serde_json::to_value(self)?;
        if let Value::Object(fields) = &mut object {
            fields.insert("commit".to_owned(), commit());
            fields.insert("command".to_owned(), json!(std::env::args().collect::<Vec<_>>().join(" ")));
            fields.insert("machine".to_owned(), machine());
            fields.insert("rustc".to_owned(), json!(first_line("rustc", &["--version"])));
        }
        writeln!(std::io::stdout().lock(), "{object}")?;
        Ok(())
    }
}

/// Figures over the rounds: the median of each, and its spread.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Medians by name.
    pub medians: Map<String, Value>,
    /// [`spread`] by name.
    pub spreads: Map<String, Value>,
}

impl Figures {
    /// Adds what `of` makes of every round, and answers the median.
    pub fn add<R>(&mut self, name: impl Into<String>, rounds: &[R], of: impl Fn(&R) -> f64) -> f64 {
        let (name, values) = (name.into(), rounds.iter().map(of).collect::<Vec<_>>());
        let middle = median(&values);
        self.medians.insert(name.clone(), rounded(middle));
        self.spreads.insert(name, rounded(spread(&values)));
        middle
    }
}

/// The median of `values`; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle), middle.checked_sub(1).and_then(|below| sorted.get(below))) {
        (1, Some(value), _) => *value,
        (_, Some(above), Some(below)) => f64::midpoint(*above, *below),
        _ => 0.0,
    }
}

/// (largest - smallest) / median of `values`; 0 where the median is.
pub fn spread(values: &[f64]) -> f64 {
    let (smallest, largest) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let middle = median(values);
    if middle == 0.0 { 0.0 } else { (largest - smallest) / middle.abs() }
}

/// `value` with four significant digits or so: enough for a figure.
pub fn rounded(value: f64) -> Value {
    let scale = if value.abs() >= 100.0 { 10.0 } else { 10_000.0 };
    json!((value * scale).round() / scale)
}

/// One line on standard error for who watches.
pub fn progress(line: &str) {
    // a closed standard error is no reason to stop measuring
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// The first line that `program` prints; empty when it cannot be run.
pub fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or_default().to_owned()
}

fn commit() -> Value {
    let dirty = !first_line("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
    json!({"id": first_line("git", &["rev-parse", "HEAD"]), "dirty": dirty})
}

fn machine() -> Value {
    let field = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    json!({
        "cpu": field("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "memory": field("/proc/meminfo", "MemTotal"),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "load_average": fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spreads_are_of_all_rounds() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
        assert_eq!(spread(&[1.0, 2.0, 3.0]), 1.0);
        assert_eq!(spread(&[2.0]), 0.0);
    }
}
