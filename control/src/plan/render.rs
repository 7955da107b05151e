//! A plan as text for people.

use std::fmt::{Display, Formatter, Result};

use serde_json::Value;

use super::{Action, Change, FieldChange, GenerationAction, GenerationChange, GrownStar, ModelChange, Plan};

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.base {
            Some(base) => writeln!(f, "Project {}, against {base}.", self.project)?,
            None => writeln!(f, "Project {}, against an empty registry.", self.project)?,
        }
        if self.is_empty() {
            return writeln!(f, "\nNo changes.");
        }
        section(f, "Definitions:", &self.changes)?;
        section(f, "Model files:", &self.models)?;
        section(f, "Generations:", &self.generations)?;
        section(f, "Grown `*`:", &self.grown)?;
        section(f, "BREAKING, needs --allow-breaking:", &self.breaking.iter().map(Line).collect::<Vec<_>>())?;
        let count = |action| self.changes.iter().filter(|change| change.action == action).count();
        let (added, changed, removed) = (count(Action::Added), count(Action::Changed), count(Action::Removed));
        writeln!(f, "\n{added} to add, {changed} to change, {removed} to remove.")
    }
}

/// One indented line.
struct Line<T>(T);

impl<T: Display> Display for Line<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "  {}", self.0)
    }
}

fn section(f: &mut Formatter<'_>, title: &str, lines: &[impl Display]) -> Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    lines.iter().try_for_each(|line| write!(f, "{line}"))
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let sign = match self.action {
            Action::Added => '+',
            Action::Changed => '~',
            Action::Removed => '-',
        };
        writeln!(f, "  {sign} {} {}", self.kind, self.name)?;
        self.fields.iter().try_for_each(|field| write!(f, "{field}"))
    }
}

impl Display for FieldChange {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if let (Some(Value::String(old)), Some(Value::String(new))) = (&self.old, &self.new)
            && (old.contains('\n') || new.contains('\n'))
        {
            writeln!(f, "      {}:", self.path)?;
            return changed_lines(f, old, new);
        }
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => writeln!(f, "      {}: {old} -> {new}", self.path),
            (None, Some(new)) => writeln!(f, "      {}: added {new}", self.path),
            (Some(old), None) => writeln!(f, "      {}: removed {old}", self.path),
            (None, None) => Ok(()),
        }
    }
}

/// The lines between the first and the last that differ.
fn changed_lines(f: &mut Formatter<'_>, old: &str, new: &str) -> Result {
    let (old, new) = (old.lines().collect::<Vec<_>>(), new.lines().collect::<Vec<_>>());
    let alike = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old, new) = (old.get(alike..).unwrap_or_default(), new.get(alike..).unwrap_or_default());
    let same_end = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    for (sign, lines) in [('-', old), ('+', new)] {
        for line in lines.iter().take(lines.len().saturating_sub(same_end)) {
            writeln!(f, "        {sign} {line}")?;
        }
    }
    Ok(())
}

impl Display for GenerationChange {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let words = match self.action {
            GenerationAction::First => "its first generation; nothing is served until it is materialized",
            GenerationAction::Rebuild => "a new generation; readers keep the old one until it is materialized again",
            GenerationAction::Replace => "a new generation in place of the unfinished one; it is materialized again",
            GenerationAction::Return => "the unfinished generation is given up; the values are again those served",
            GenerationAction::Retire => "its generations are retired and their rows reclaimed",
        };
        write!(f, "  {}: {words}", self.view)?;
        let is_built = !matches!(self.action, GenerationAction::Return | GenerationAction::Retire);
        match self.last_rows.filter(|_| is_built) {
            Some(rows) => writeln!(f, " (its last run read {rows} rows)"),
            None => writeln!(f),
        }
    }
}

impl Display for GrownStar {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "  FeatureService {}: {} now also has {}", self.service, self.star, self.features.join(", "))?;
        if self.endpoints.is_empty() {
            return writeln!(f);
        }
        let (endpoints, models) = (self.endpoints.join(", "), self.models.join(", "));
        writeln!(f, "; read by endpoint {endpoints} with model {models}")
    }
}

impl Display for ModelChange {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let short = |hash: &Option<String>| match hash {
            Some(hash) => hash.get(..12).unwrap_or(hash).to_owned(),
            None => "none".to_owned(),
        };
        writeln!(f, "  {}: {} -> {}", self.path, short(&self.old), short(&self.new))
    }
}
