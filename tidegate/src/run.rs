//! From what was typed to what is done: what a command needs is opened, and what touches the state goes to its owner.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tidegate_catalog::Micros;

use crate::{
    cli::{Cli, Command, ConfigCommand, Features, StoreCommand},
    commands::{self, StateCommand, exit},
    onnxruntime,
    output::{self, Printer},
    owner::Owner,
    project::{Project, ROOT_FILE},
    telemetry,
};

/// The demo's "now".
const DEMO_AS_OF: &str = "2013-11-15T12:00:00Z";

/// What the process was started with, read once.
#[derive(Debug, Default)]
pub struct Environment {
    /// All variables.
    pub variables: Vec<(String, String)>,
    /// `ORT_DYLIB_PATH`.
    pub ort: Option<PathBuf>,
}

/// Runs the command line and answers the exit code.
pub async fn run(cli: Cli, environment: Environment) -> u8 {
    let printer = Printer::process(cli.global.output);
    // a command's whole work is in this future: too large for the stack
    match Box::pin(dispatch(cli, environment, &printer)).await {
        Ok(code) => code,
        Err(error) => {
            output::fatal(&error);
            exit::FAILED
        }
    }
}

/// Any error, in words.
pub(crate) type Fatal = Box<dyn std::error::Error + Send + Sync>;

async fn dispatch(cli: Cli, environment: Environment, printer: &Printer) -> Result<u8, Fatal> {
    let Cli { mut global, command } = cli;
    let failed = |failure: commands::Failure| Fatal::from(failure.to_string());
    match command {
        Command::Init(init) => Ok(commands::init(&init.folder, printer).await.map_err(failed)?),
        Command::Schema => {
            commands::schema(printer).await;
            Ok(exit::DONE)
        }
        Command::Config(ConfigCommand::Schema) => {
            commands::config_schema(printer).await;
            Ok(exit::DONE)
        }
        Command::Config(which) => {
            let project = Project::open(&global, &[], environment.variables)?;
            match which {
                ConfigCommand::Dump => commands::dump(&project, printer).await,
                _ => commands::check(printer).await,
            }
            Ok(exit::DONE)
        }
        Command::Validate => {
            let project = Project::open(&global, &[], environment.variables)?;
            telemetry::start_logs(&project.config.log, "warn")?;
            let runtime = onnxruntime::load(&project.config, environment.ort).map_err(|error| error.to_string());
            Ok(commands::validate(&project, &runtime, printer).await.map_err(failed)?)
        }
        Command::Serve(serve) => {
            let mut flags = Vec::new();
            flags.extend(serve.listen.map(|listen| ("gateway.listen", Value::from(listen))));
            flags.extend(serve.insecure.then(|| ("gateway.insecure", Value::from(true))));
            let owner = Owner::prepare(&global, &flags, environment, "info")?;
            owner.serve(printer).await
        }
        Command::Demo(demo) => {
            global.project = example(demo.example, &global.project)?;
            global.as_of = global.as_of.or(Micros::parse(DEMO_AS_OF).ok());
            let owner = Owner::prepare(&global, &[], environment, "warn")?;
            owner.command(StateCommand::Demo { calls: demo.calls }, printer).await
        }
        other => {
            let owner = Owner::prepare(&global, &[], environment, "warn")?;
            owner.command(state_command(other)?, printer).await
        }
    }
}

/// Where the flights example is: `--example`, else the project that `-C` names, else its place in the repository.
fn example(flag: Option<PathBuf>, project: &Path) -> Result<PathBuf, Fatal> {
    let named = flag.or_else(|| (project != Path::new(".")).then(|| project.to_owned()));
    let folder = named.unwrap_or_else(|| PathBuf::from("examples/flights"));
    if folder.join(ROOT_FILE).is_file() {
        return Ok(folder);
    }
    let shown = folder.display();
    Err(format!("the flights example is not in {shown}; run the demo in Tidegate's repository, or name the folder with --example").into())
}

/// The command as it travels to the owner.
fn state_command(command: Command) -> Result<StateCommand, Fatal> {
    let parsed = |name: &str, text: &str| {
        serde_json::from_str::<Value>(text).map_err(|error| Fatal::from(format!("--{name} is not JSON: {error}")))
    };
    Ok(match command {
        Command::Plan(plan) => StateCommand::Plan { exit_code: plan.exit_code },
        Command::Apply(apply) => {
            StateCommand::Apply { allow_breaking: apply.allow_breaking, planned_at: apply.planned_at }
        }
        Command::Materialize(m) => {
            StateCommand::Materialize { views: m.views, start: m.start, end: m.end, rebuild: m.rebuild }
        }
        Command::Verify(v) => {
            StateCommand::Verify { views: v.views, sample: (!v.all).then_some(v.sample), seed: v.seed }
        }
        Command::Predict(predict) => {
            let entities = parsed("entities", &predict.entities)?;
            let request = parsed("request", &predict.request)?;
            let include: &[&str] = if predict.features { &["features"] } else { &[] };
            let body = json!({"entities": entities, "request": request, "include": include});
            StateCommand::Predict { endpoint: predict.endpoint, body }
        }
        Command::Features(Features::Get(get)) => {
            let entities = parsed("entities", &get.entities)?;
            let body = match get.service {
                Some(service) => json!({"feature_service": service, "entities": entities, "full_feature_names": true}),
                None => json!({"features": get.features, "entities": entities}),
            };
            StateCommand::FeaturesGet { body }
        }
        Command::Runs(runs) => StateCommand::Runs { view: runs.view, limit: runs.limit },
        Command::Store(StoreCommand::Adopt) => StateCommand::StoreAdopt,
        _ => return Err("this command does not touch the state".into()),
    })
}
