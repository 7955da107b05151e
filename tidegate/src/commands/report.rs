//! `runs`: the ledger as a table.

use tidegate_control::{Run, RunFilter};

use super::{catalog::Done, exit};
use crate::{
    instance::Instance,
    output::{Printer, table},
};

/// `tidegate runs`
pub(super) async fn runs(instance: &Instance, printer: &Printer, view: Option<&str>, limit: u32) -> Done {
    let filter = RunFilter { view: view.map(str::to_owned), limit: Some(limit), ..RunFilter::default() };
    let runs = instance.registry.runs(&filter).await?;
    printer.result(&runs, |runs| text(runs)).await;
    Ok(exit::DONE)
}

fn text(runs: &[Run]) -> String {
    let rows = runs.iter().map(|run| {
        let mut state = run.state.as_str().to_owned();
        if run.not_reproducible {
            state.push_str(", not reproducible");
        }
        if let Some(error) = &run.error {
            state.push_str(&format!(": {error}"));
        }
        let ended = run.ended_at.map_or_else(String::new, |at| at.to_string());
        [
            run.id.to_string(),
            run.start.view.clone(),
            run.start.field.0.to_string(),
            run.start.interval.to_string(),
            run.rows_read.to_string(),
            run.rows_written.to_string(),
            run.started_at.to_string(),
            ended,
            state,
        ]
    });
    table(["run", "view", "field", "interval", "read", "written", "started", "ended", "state"], rows)
}
