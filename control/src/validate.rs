//! Everything that can be known about definitions without a server or a store: a pure judgement over [`Facts`].
//!
//! All problems are found at once. A check whose fact was not gathered is reported as not made, never passed over.
//! What a single file can be told (names, references, types that exist) is checked where files are read.

mod functions;
mod models;
mod views;

use serde::{Deserialize, Serialize};
use tidegate_catalog::Definitions;

pub use self::functions::{VOLATILE_FUNCTIONS, VolatileCall, volatile_calls};
use crate::{
    Facts, Kind, Target,
    facts::{Fact, Failure, Position},
};

/// Something that a person should know about a definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub target: Target,
    /// Where inside the value at the target's path (a view's SQL), if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// What is wrong and what to do.
    pub message: String,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It cannot work.
    Error,
    /// It works, perhaps not as meant.
    Warning,
    /// It could not be checked.
    NotMade,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.target)?;
        if let Some(position) = self.position {
            write!(f, " (line {}, column {})", position.line, position.column)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Judges `definitions` by `facts`: sources first, then views, then the models of endpoints, each by name.
pub fn validate(definitions: &Definitions, facts: &Facts) -> Vec<Problem> {
    let mut problems = Problems(Vec::new());
    for source in definitions.sources.values() {
        let target = Target::new(Kind::DataSource, &source.name, "parquet.path");
        problems.gathered(facts.sources.get(&source.name), &target, "its files");
    }
    for view in definitions.views.values() {
        views::check(definitions, view, facts, &mut problems);
    }
    for endpoint in definitions.endpoints.values() {
        models::check(definitions, endpoint, facts, &mut problems);
    }
    problems.0
}

/// Problems on their way.
#[derive(Debug)]
struct Problems(Vec<Problem>);

impl Problems {
    fn push(&mut self, severity: Severity, target: &Target, message: impl Into<String>) {
        self.push_at(severity, target, None, message);
    }

    fn push_at(&mut self, severity: Severity, target: &Target, position: Option<Position>, message: impl Into<String>) {
        self.0.push(Problem { severity, target: target.clone(), position, message: message.into() });
    }

    /// The fact, if it is known; a broken one is an error and one that was not gathered is said to be so.
    fn gathered<'f, T>(&mut self, fact: Option<&'f Fact<T>>, target: &Target, what: &str) -> Option<&'f T> {
        match fact {
            Some(Fact::Known(thing)) => return Some(thing),
            Some(Fact::Failed(Failure { message, position })) => {
                self.push_at(Severity::Error, target, *position, message);
            }
            Some(Fact::NotMade { why }) => {
                self.push(Severity::NotMade, target, format!("{what} could not be checked: {why}"));
            }
            None => self.push(Severity::NotMade, target, format!("{what} were not looked at")),
        }
        None
    }
}

/// ` (has: a, b); did you mean "b"?` over names that exist.
fn suggestion<'n>(wanted: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    /// More names than this help nobody.
    const SHOWN: usize = 40;
    let shown = names.clone().take(SHOWN).collect::<Vec<_>>().join(", ");
    let more = if names.clone().nth(SHOWN).is_some() { ", ..." } else { "" };
    let likeness = |name: &str| strsim::jaro_winkler(&name.to_lowercase(), &wanted.to_lowercase());
    let nearest = names.map(|name| (likeness(name), name)).max_by(|left, right| left.0.total_cmp(&right.0));
    match nearest.filter(|(likeness, _)| *likeness > 0.8) {
        Some((_, name)) => format!(" (has: {shown}{more}); did you mean {name:?}?"),
        None => format!(" (has: {shown}{more})"),
    }
}

#[cfg(test)]
mod tests;
