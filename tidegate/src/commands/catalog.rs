//! `validate`, `plan`, `apply`, `schema`: definitions against the world, the registry, and each other.

use serde::Serialize;
use tidegate_catalog::{
    Definitions, Snapshot,
    yaml::{Loaded, Locations},
};
use tidegate_control::{Breaking, Facts, Problem, Severity, facts::Fact};
use tidegate_inference::Runtime;

use super::exit;
use crate::{
    facts,
    instance::{self, Instance},
    output::Printer,
    project::Project,
};

/// What a command ends with: an exit code, or an error to print.
pub(super) type Done = Result<u8, Failure>;

/// An error to print, in words.
#[derive(Debug)]
pub struct Failure(String);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl Failure {
    pub(super) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

/// One line of a report: a problem with its place.
#[derive(Debug, Serialize)]
struct Finding {
    severity: Severity,
    file: Option<String>,
    line: Option<usize>,
    message: String,
}

#[derive(Debug, Serialize)]
struct Findings {
    errors: usize,
    warnings: usize,
    not_made: usize,
    findings: Vec<Finding>,
}

impl Findings {
    fn of(loaded: &Loaded, problems: &[Problem]) -> Self {
        let mut findings = loaded
            .warnings
            .iter()
            .map(|warning| Finding {
                severity: Severity::Warning,
                file: Some(warning.file.clone()),
                line: Some(warning.line),
                message: warning.message.clone(),
            })
            .collect::<Vec<_>>();
        findings.extend(problems.iter().map(|problem| located(problem, &loaded.locations)));
        findings.sort_by_key(|finding| finding.severity);
        let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        Self {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            not_made: count(Severity::NotMade),
            findings,
        }
    }

    fn text(&self) -> String {
        let mut lines = self.findings.iter().map(Finding::text).collect::<Vec<_>>();
        let not_made = match self.not_made {
            0 => String::new(),
            count => format!(", {count} checks not made"),
        };
        lines.push(format!("{} errors, {} warnings{not_made}", self.errors, self.warnings));
        lines.join("\n")
    }
}

impl Finding {
    fn text(&self) -> String {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::NotMade => "not checked",
        };
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: {word}: {}", self.message),
            _ => format!("{word}: {}", self.message),
        }
    }
}

/// Adds file and line; a position inside a query moves the line on from where its text begins.
fn located(problem: &Problem, locations: &Locations) -> Finding {
    let target = &problem.target;
    let (kind, name, path) = (target.kind.as_str(), &target.name, &target.path);
    let place = match problem.position {
        None => locations.find(kind, name, path),
        Some(position) => {
            locations.find_in_text(kind, name, path, usize::try_from(position.line).unwrap_or(usize::MAX))
        }
    };
    Finding {
        severity: problem.severity,
        file: place.map(|(file, _)| file.to_owned()),
        line: place.map(|(_, line)| line),
        message: problem.to_string(),
    }
}

/// `tidegate validate`: needs no state.
/// # Errors
/// What keeps the definitions from being read.
pub async fn validate(project: &Project, runtime: &Result<Runtime, String>, printer: &Printer) -> Done {
    let loaded = project.definitions()?;
    let engine = instance::engine(&project.config, std::env::temp_dir());
    let facts = facts::gather(&loaded.definitions, &engine, runtime, &project.config.root).await;
    let findings = Findings::of(&loaded, &tidegate_control::validate(&loaded.definitions, &facts));
    printer.result(&findings, Findings::text).await;
    Ok(if findings.errors == 0 { exit::DONE } else { exit::FAILED })
}

/// Definitions and facts, when nothing in them is an error; else the findings are printed.
async fn sound(instance: &Instance, printer: &Printer) -> Result<Option<(Definitions, Facts)>, Failure> {
    let loaded = instance.project.definitions()?;
    let root = &instance.project.config.root;
    let mut facts = facts::gather(&loaded.definitions, &instance.engine, instance.runtime(), root).await;
    facts.last_rows = instance.registry.last_rows().await?;
    let findings = Findings::of(&loaded, &tidegate_control::validate(&loaded.definitions, &facts));
    if findings.errors > 0 {
        printer.note(findings.text()).await;
        return Ok(None);
    }
    for finding in &findings.findings {
        printer.note(finding.text()).await;
    }
    Ok(Some((loaded.definitions, facts)))
}

/// `tidegate plan`
pub(super) async fn plan(instance: &Instance, printer: &Printer, exit_code: bool) -> Done {
    let Some((definitions, facts)) = sound(instance, printer).await? else { return Ok(exit::FAILED) };
    let current = instance.registry.newest().await?;
    let plan = tidegate_control::plan(current.as_ref(), &definitions, &facts);
    printer.result(&plan, ToString::to_string).await;
    Ok(if exit_code && !plan.is_empty() { exit::DIFFERENCES } else { exit::DONE })
}

#[derive(Debug, Serialize)]
struct AppliedReport {
    version: u64,
    changed: bool,
    plan: tidegate_control::Plan,
}

/// `tidegate apply`
pub(super) async fn apply(
    instance: &Instance,
    printer: &Printer,
    allow_breaking: bool,
    planned_at: Option<u64>,
) -> Done {
    let Some((definitions, facts)) = sound(instance, printer).await? else { return Ok(exit::FAILED) };
    if let Some((path, _)) = facts
        .models
        .iter()
        .find(|(path, model)| matches!(model, Fact::Failed(_)) || !facts.model_hashes.contains_key(*path))
    {
        return Err(Failure::new(format!("model {path} cannot be read; nothing was applied")));
    }
    let current = instance.registry.newest().await?;
    if let Some(planned_at) = planned_at {
        refuse_stale(instance, planned_at, current.as_ref()).await?;
    }
    let plan = tidegate_control::plan(current.as_ref(), &definitions, &facts);
    let breaking = if allow_breaking { Breaking::Allowed } else { Breaking::Refused };
    let applied = instance.registry.apply(&plan, &definitions, breaking).await?;
    let changed = applied.outcome == tidegate_control::ApplyOutcome::NewVersion;
    let report = AppliedReport { version: applied.snapshot.version, changed, plan };
    printer
        .result(&report, |report| {
            if report.changed {
                format!("{}\napplied version {}", report.plan, report.version)
            } else {
                format!("nothing to apply: version {} is what the files say", report.version)
            }
        })
        .await;
    Ok(exit::DONE)
}

/// Refuses a plan that was made at version `planned_at` of other definitions. A version that a move, a rebuild or a reclaim
/// published since then makes no plan wrong. 0 is the empty registry.
async fn refuse_stale(instance: &Instance, planned_at: u64, current: Option<&Snapshot>) -> Result<(), Failure> {
    let version = current.map_or(0, |snapshot| snapshot.version);
    if planned_at == version {
        return Ok(());
    }
    let versions = instance.registry.versions().await?;
    let planned = versions.iter().find(|published| published.version == planned_at);
    let planned = planned.map(|published| published.definitions_hash.as_str());
    if planned_at != 0 && planned.is_none() {
        return Err(Failure::new(format!(
            "the registry has no version {planned_at}, it is at {version}; run plan again"
        )));
    }
    if planned == current.map(|snapshot| snapshot.definitions_hash.as_str()) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the plan was made at version {planned_at}, the definitions have changed up to version {version}; run plan again"
    )))
}

/// `tidegate schema`
pub async fn schema(printer: &Printer) {
    let schema = tidegate_catalog::yaml::schema();
    printer.out(serde_json::to_string_pretty(&schema).expect("a schema has string keys")).await;
}
