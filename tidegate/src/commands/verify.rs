//! `verify`: the audit and its table.

use tidegate_materializer::{Parts, Silent, VerifyReport, VerifyRequest, verify::KeyChoice};
use tokio_util::sync::CancellationToken;

use super::{catalog::Done, exit, materialize};
use crate::{
    instance::Instance,
    output::{Printer, table},
};

/// `tidegate verify`; `sample` is how many keys (`None`: all) and which.
pub(super) async fn verify(
    instance: &Instance,
    printer: &Printer,
    cancel: &CancellationToken,
    views: &[String],
    (sample, seed): (Option<u64>, u64),
) -> Done {
    let keys = match sample {
        None => KeyChoice::All,
        Some(keys) => KeyChoice::Sample { keys: usize::try_from(keys).unwrap_or(usize::MAX), seed },
    };
    let config = materialize::config(instance);
    let parts = Parts {
        store: &instance.store,
        rows: &instance.engine,
        registry: &instance.registry,
        clock: instance.clock.as_ref(),
        progress: &Silent,
        config: &config,
    };
    let request = VerifyRequest { views: views.to_vec(), keys };
    let report = tidegate_materializer::verify(&request, &parts, cancel).await?;
    printer.result(&report, text).await;
    Ok(if report.is_clean() { exit::DONE } else { exit::DIFFERENCES })
}

fn text(report: &VerifyReport) -> String {
    let rows = report.views.iter().map(|view| {
        let wrong = view.mismatches.values().map(|mismatches| mismatches.keys).sum::<u64>();
        let state = match (view.not_materialized, wrong) {
            (true, _) => "not materialized".to_owned(),
            (false, 0) => "as it should be".to_owned(),
            (false, wrong) => format!("{wrong} KEYS DIFFER"),
        };
        let numbers = [view.compared_keys, view.present_keys, view.expired_keys, view.deleted_keys, view.oversize_rows];
        let [compared, present, expired, deleted, rejected] = numbers.map(|number| number.to_string());
        [view.view.clone(), compared, present, expired, deleted, rejected, state]
    });
    let mut text = table(["view", "keys", "present", "expired", "deleted", "rejected rows", ""], rows);
    for view in &report.views {
        for (reason, mismatches) in &view.mismatches {
            text.push_str(&format!("\n{}: {}: {} keys", view.view, reason.as_str(), mismatches.keys));
            for example in &mismatches.examples {
                let shown = |row: &Option<String>| row.clone().unwrap_or_else(|| "nothing".to_owned());
                let (expected, online) = (shown(&example.expected), shown(&example.online));
                text.push_str(&format!("\n  {}: expected {expected}, online {online}", example.key));
            }
        }
        if view.sources_changed {
            text.push_str(&format!(
                "\n{}: its files changed since the newest run; materialize again, or --rebuild",
                view.view
            ));
        }
        if view.not_reproducible {
            text.push_str(&format!(
                "\n{}: not reproducible: the same files gave other values at equal times",
                view.view
            ));
        }
    }
    text
}
