//! The commands that touch a project's state: each runs in the process that owns the state folder, whoever typed it.

mod catalog;
mod config;
mod demo;
mod init;
mod materialize;
mod materialized;
mod online;
mod report;
mod serve;
mod verify;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_catalog::Micros;
use tokio_util::sync::CancellationToken;

use crate::{instance::Instance, output::Printer};

pub use catalog::{Failure, schema, validate};
pub use config::{check, config_schema, dump};
pub use init::init;
pub use serve::serve;

/// Exit codes, as `tidegate --help` documents them.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// Refused or failed.
    pub const FAILED: u8 = 1;
    /// Differences found.
    pub const DIFFERENCES: u8 = 3;
    /// Stopped by Ctrl-C.
    pub const INTERRUPTED: u8 = 130;
}

/// A command on the state, as it travels to its owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateCommand {
    /// `plan`
    Plan {
        /// Exit with 3 when there is something to apply.
        exit_code: bool,
    },
    /// `apply`
    Apply {
        /// Breaking changes too.
        allow_breaking: bool,
        /// Only at this version.
        planned_at: Option<u64>,
    },
    /// `materialize`
    Materialize {
        /// These views; all when empty.
        views: Vec<String>,
        /// Start, exclusive.
        start: Option<Micros>,
        /// End, inclusive.
        end: Option<Micros>,
        /// A new generation.
        rebuild: bool,
    },
    /// `verify`
    Verify {
        /// These views; all when empty.
        views: Vec<String>,
        /// How many keys; `None` is all.
        sample: Option<u64>,
        /// Which keys.
        seed: u64,
    },
    /// `predict`
    Predict {
        /// The endpoint.
        endpoint: String,
        /// The body.
        body: Value,
    },
    /// `features get`
    FeaturesGet {
        /// The body.
        body: Value,
    },
    /// `runs`
    Runs {
        /// This view's.
        view: Option<String>,
        /// How many.
        limit: u32,
    },
    /// `store adopt`
    StoreAdopt,
    /// `demo`
    Demo {
        /// How many calls are timed.
        calls: u32,
    },
}

/// Runs `command` and answers its exit code; everything it has to say goes to `printer`.
pub async fn run(command: &StateCommand, instance: &Instance, printer: &Printer, cancel: &CancellationToken) -> u8 {
    let done = match command {
        StateCommand::Plan { exit_code } => until_cancelled(cancel, catalog::plan(instance, printer, *exit_code)).await,
        StateCommand::Apply { allow_breaking, planned_at } => {
            until_cancelled(cancel, catalog::apply(instance, printer, *allow_breaking, *planned_at)).await
        }
        StateCommand::Materialize { views, start, end, rebuild } => {
            let request = materialize::request(views, *start, *end, *rebuild);
            materialize::materialize(instance, printer, cancel, &request).await
        }
        StateCommand::Verify { views, sample, seed } => {
            verify::verify(instance, printer, cancel, views, (*sample, *seed)).await
        }
        StateCommand::Predict { endpoint, body } => {
            until_cancelled(cancel, online::predict(instance, printer, endpoint, body)).await
        }
        StateCommand::FeaturesGet { body } => {
            until_cancelled(cancel, online::features_get(instance, printer, body)).await
        }
        StateCommand::Runs { view, limit } => {
            until_cancelled(cancel, report::runs(instance, printer, view.as_deref(), *limit)).await
        }
        StateCommand::StoreAdopt => until_cancelled(cancel, online::adopt(instance, printer)).await,
        StateCommand::Demo { calls } => demo::demo(instance, printer, cancel, *calls).await,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            printer.note(format!("error: {error:#}")).await;
            if cancel.is_cancelled() { exit::INTERRUPTED } else { exit::FAILED }
        }
    }
}

/// Does `work` until the token is cancelled, then drops it: for what changes the state in whole transactions, or is completed
/// by the same command made again.
async fn until_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    cancel.run_until_cancelled(work).await.unwrap_or_else(|| Err(Failure::new("interrupted")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_hangs_ends_with_its_token() {
        let cancel = CancellationToken::new();
        let work = until_cancelled(&cancel, std::future::pending::<catalog::Done>());
        let (done, ()) = tokio::join!(work, async { cancel.cancel() });
        assert_eq!(done.unwrap_err().to_string(), "interrupted");
        assert_eq!(until_cancelled(&CancellationToken::new(), async { Ok(exit::DONE) }).await.unwrap(), exit::DONE);
    }
}
