//! The command line as typed. What a command means is in `commands`; nothing here does anything.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tidegate_catalog::Micros;

use crate::output::Format;

/// A low-latency online feature store and inference gateway: entity keys in, predictions out.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    after_help = "Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 differences found (plan --exit-code, verify); 130 stopped by Ctrl-C"
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// The project's folder, with tidegate.yaml in it
    #[arg(long, short = 'C', global = true, default_value = ".", value_name = "DIR")]
    pub project: PathBuf,
    /// The state folder, instead of state.path of the configuration
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Event time: now for ttl, visibility and interval ends (2013-11-15T12:00:00Z)
    #[arg(long, global = true, value_name = "TIME", value_parser = Micros::parse)]
    pub as_of: Option<Micros>,
    /// How results are written
    #[arg(long, global = true, value_enum, default_value_t)]
    pub output: Format,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a small project that works
    #[command(
        after_help = "Example:\n  tidegate init shop && cd shop && tidegate apply && tidegate materialize && tidegate serve"
    )]
    Init(Init),
    /// Check every definition: names, types, SQL against the Parquet schemas, models against services
    #[command(after_help = "Examples:\n  tidegate validate\n  tidegate -C examples/flights validate --output json")]
    Validate,
    /// Show what apply would change
    #[command(after_help = "Example:\n  tidegate plan --output json")]
    Plan(Plan),
    /// Make the definitions the registry's next version
    #[command(
        after_help = "Examples:\n  tidegate apply\n  tidegate apply --planned-at 7        # only what `plan` showed at version 7"
    )]
    Apply(Apply),
    /// Compute features and write them to the online store
    #[command(
        after_help = "Examples:\n  tidegate materialize                        # every view, from where it left off until now\n  tidegate materialize --views weather --end 2013-11-15T12:00:00Z\n  tidegate materialize --views weather --rebuild"
    )]
    Materialize(Materialize),
    /// Compare the online store with what the sources say
    #[command(
        after_help = "Examples:\n  tidegate verify                 # 1,000 keys of each view\n  tidegate verify --all"
    )]
    Verify(Verify),
    /// Serve features and predictions over HTTP
    #[command(after_help = "Example:\n  tidegate serve --listen 127.0.0.1:6566")]
    Serve(Serve),
    /// Ask an endpoint for predictions
    #[command(
        after_help = "Example:\n  tidegate predict arrival_delay --entities '{\"carrier\": \"AA\", \"origin\": \"JFK\"}' --request '{\"distance\": 760}'"
    )]
    Predict(Predict),
    /// Read features
    #[command(
        subcommand,
        after_help = "Example:\n  tidegate features get --service arrival_delay --entities '{\"carrier\": [\"AA\"]}'"
    )]
    Features(Features),
    /// List materialization runs
    #[command(after_help = "Examples:\n  tidegate runs\n  tidegate runs --view weather --limit 5 --output json")]
    Runs(Runs),
    /// Print the JSON Schema of the definitions, for editors
    #[command(after_help = "Example:\n  tidegate schema > .tidegate-schema.json")]
    Schema,
    /// Check, show or describe the configuration
    #[command(subcommand, after_help = "Example:\n  tidegate config dump")]
    Config(ConfigCommand),
    /// Look after the online store
    #[command(subcommand, after_help = "Example:\n  tidegate store adopt")]
    Store(StoreCommand),
    /// The flights example, whole: load, compute, materialize, serve, predict, compare
    #[command(
        after_help = "Examples:\n  tidegate demo\n  tidegate demo --example examples/flights --calls 100 --output json"
    )]
    Demo(Demo),
}

/// `tidegate init`
#[derive(Debug, Args)]
pub struct Init {
    /// Where to write it
    #[arg(default_value = ".")]
    pub folder: PathBuf,
}

/// `tidegate plan`
#[derive(Debug, Args)]
pub struct Plan {
    /// Exit with 3 when there is something to apply
    #[arg(long)]
    pub exit_code: bool,
}

/// `tidegate apply`
#[derive(Debug, Args)]
pub struct Apply {
    /// Apply changes that break callers too
    #[arg(long)]
    pub allow_breaking: bool,
    /// Refuse unless the registry is at this version (what plan printed)
    #[arg(long, value_name = "VERSION")]
    pub planned_at: Option<u64>,
}

/// `tidegate materialize`
#[derive(Debug, Args)]
pub struct Materialize {
    /// Only these views
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub views: Vec<String>,
    /// Start of the interval, exclusive; where the last run ended unless given
    #[arg(long, value_parser = Micros::parse, value_name = "TIME")]
    pub start: Option<Micros>,
    /// End of the interval, inclusive; now unless given
    #[arg(long, value_parser = Micros::parse, value_name = "TIME")]
    pub end: Option<Micros>,
    /// Start a new generation: for sources that were rewritten in place
    #[arg(long)]
    pub rebuild: bool,
}

/// `tidegate verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// Only these views
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub views: Vec<String>,
    /// How many keys of each view
    #[arg(long, default_value_t = 1000, value_name = "KEYS")]
    pub sample: u64,
    /// Every key
    #[arg(long, conflicts_with = "sample")]
    pub all: bool,
    /// Which keys a sample takes
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// `tidegate serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// The address to listen on, instead of gateway.listen
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Allow a public address although nobody is authenticated
    #[arg(long)]
    pub insecure: bool,
}

/// `tidegate predict`
#[derive(Debug, Args)]
pub struct Predict {
    /// The endpoint
    pub endpoint: String,
    /// Entity keys as JSON: a value or a list for each join key
    #[arg(long, value_name = "JSON")]
    pub entities: String,
    /// Request values as JSON
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub request: String,
    /// Answer the features too
    #[arg(long)]
    pub features: bool,
}

/// `tidegate features`
#[derive(Debug, Subcommand)]
pub enum Features {
    /// Read features from the online store
    #[command(
        after_help = "Examples:\n  tidegate features get --service arrival_delay --entities '{\"carrier\": [\"AA\"]}'\n  tidegate features get carrier_delay_24h:late_share --entities '{\"carrier\": [\"AA\", \"UA\"]}'"
    )]
    Get(FeaturesGet),
}

/// `tidegate features get`
#[derive(Debug, Args)]
pub struct FeaturesGet {
    /// Features as view:feature
    #[arg(required_unless_present = "service")]
    pub features: Vec<String>,
    /// A feature service instead
    #[arg(long, conflicts_with = "features")]
    pub service: Option<String>,
    /// Entity keys as JSON: a list for each join key
    #[arg(long, value_name = "JSON")]
    pub entities: String,
}

/// `tidegate runs`
#[derive(Debug, Args)]
pub struct Runs {
    /// Only this view's
    #[arg(long)]
    pub view: Option<String>,
    /// How many, newest first
    #[arg(long, default_value_t = 20)]
    pub limit: u32,
}

/// `tidegate config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Find every problem
    #[command(after_help = "Example:\n  tidegate config check")]
    Check,
    /// Show every effective value and the layer it came from
    #[command(after_help = "Example:\n  TIDEGATE__LOG__LEVEL=debug tidegate config dump")]
    Dump,
    /// Print the JSON Schema of tidegate.yaml
    #[command(after_help = "Example:\n  tidegate config schema > .tidegate-config-schema.json")]
    Schema,
}

/// `tidegate store`
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Move this registry's numbers past the store's, after the registry was restored or replaced
    #[command(after_help = "Example:\n  tidegate store adopt && tidegate materialize")]
    Adopt,
}

/// `tidegate demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// How many predictions the latency figures are of
    #[arg(long, default_value_t = 1000)]
    pub calls: u32,
    /// The folder of the flights example
    #[arg(long, value_name = "DIR")]
    pub example: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_has_an_example_that_begins_with_the_command() {
        fn look(command: &clap::Command, path: &str) {
            for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
                let path = format!("{path} {}", inner.get_name());
                let help = inner.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.starts_with("Example"), "{path} has no example");
                // options of every command may stand before the command's name
                let words = path.split(' ').collect::<Vec<_>>();
                let named = help.lines().any(|line| words.iter().all(|word| line.contains(word)));
                assert!(named, "the example of {path} does not show it: {help}");
                look(inner, &path);
            }
        }
        look(&Cli::command(), "tidegate");
    }
}
