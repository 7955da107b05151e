//! From what was typed to what is done: opens what a command needs, becomes the owner of the state or hands over to it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tidegate_catalog::Micros;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{Cli, Command, ConfigCommand, Features, Global, StoreCommand},
    clock::SystemClock,
    commands::{self, StateCommand, exit},
    instance::Instance,
    onnxruntime,
    output::{self, Frame, Printer},
    project::Project,
    shutdown,
    state::{
        OwnerListener, OwnerStream, Ownership, StateFolder,
        handover::{self, Handover},
    },
    telemetry,
};

/// How long a command waits for an owner that has the lock and does not listen yet.
const OWNER_TRIES: u32 = 100;
const OWNER_PAUSE: Duration = Duration::from_millis(50);
/// The demo's "now".
const DEMO_AS_OF: &str = "2013-11-15T12:00:00Z";
/// Frames that may wait for a slow terminal.
const FRAMES: usize = 256;

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
type Fatal = Box<dyn std::error::Error + Send + Sync>;

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
            global.project = demo.example.unwrap_or_else(|| PathBuf::from("examples/flights"));
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

/// A project with its state folder, before it is known who owns it.
struct Owner {
    project: Project,
    folder: StateFolder,
    as_of: Option<Micros>,
    ort: Option<PathBuf>,
}

impl Owner {
    fn prepare(
        global: &Global,
        flags: &[(&str, Value)],
        environment: Environment,
        log_level: &str,
    ) -> Result<Self, Fatal> {
        let project = Project::open(global, flags, environment.variables)?;
        telemetry::start_logs(&project.config.log, log_level)?;
        let folder = StateFolder::open(&project.config.state)?;
        Ok(Self { project, folder, as_of: global.as_of, ort: environment.ort })
    }

    async fn instance(self) -> Result<(Arc<Instance>, OwnerListener), Fatal> {
        let clock = Arc::new(SystemClock::new(self.as_of));
        let listener = OwnerListener::bind(&self.folder)?;
        let metrics = telemetry::start_metrics()?;
        let instance = Instance::open(self.project, &self.folder, clock, metrics, self.ort).await?;
        Ok((Arc::new(instance), listener))
    }

    async fn serve(self, printer: &Printer) -> Result<u8, Fatal> {
        let path = self.folder.path().display().to_string();
        let Ownership::Ours(_lock) = self.folder.claim()? else {
            return Err(format!(
                "state folder {path} is owned by a live process; stop it, or choose another with --state"
            )
            .into());
        };
        let cancel = shutdown::on_signal()?;
        let (instance, listener) = self.instance().await?;
        let served = commands::serve(&instance, printer, &cancel);
        let (code, ()) = tokio::join!(
            async {
                let code = served.await;
                cancel.cancel();
                code
            },
            accept(&instance, &listener, &cancel),
        );
        code.map_err(|failure| failure.to_string().into())
    }

    async fn command(self, command: StateCommand, printer: &Printer) -> Result<u8, Fatal> {
        for _ in 0..OWNER_TRIES {
            if let Ownership::Ours(_lock) = self.folder.claim()? {
                let cancel = shutdown::on_signal()?;
                let (instance, listener) = self.instance().await?;
                // others may hand their work over while this one's goes on
                let over = CancellationToken::new();
                let (code, ()) = tokio::join!(
                    async {
                        let code = commands::run(&command, &instance, printer, &cancel).await;
                        over.cancel();
                        code
                    },
                    accept(&instance, &listener, &over),
                );
                return Ok(code);
            }
            match self.folder.connect().await {
                Ok(stream) => return self.hand_over(stream, command, printer).await,
                // it has the lock and does not listen yet, or has just gone
                Err(_) => tokio::time::sleep(OWNER_PAUSE).await,
            }
        }
        let path = self.folder.path().display();
        Err(format!("state folder {path} is owned by a live process that does not answer; look at its log").into())
    }

    async fn hand_over(self, stream: OwnerStream, command: StateCommand, printer: &Printer) -> Result<u8, Fatal> {
        let cancel = shutdown::on_signal()?;
        let handover = Handover { command, format: printer.format(), as_of: self.as_of };
        tokio::select! {
            code = handover::hand_over(stream, &handover, output::show) => Ok(code?),
            // closing the connection tells the owner to stop the command
            () = cancel.cancelled() => Ok(exit::INTERRUPTED),
        }
    }
}

/// Takes commands from other processes until `over`, then lets those that run finish.
async fn accept(instance: &Arc<Instance>, listener: &OwnerListener, over: &CancellationToken) {
    let mut running = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = over.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(stream) => drop(running.spawn(answer(Arc::clone(instance), stream))),
            Err(error) => {
                tracing::warn!(%error, "a command could not be taken");
                tokio::time::sleep(OWNER_PAUSE).await;
            }
        }
        while running.try_join_next().is_some() {}
    }
    drop(running.join_all().await);
}

/// Runs one command of another process.
async fn answer(instance: Arc<Instance>, stream: OwnerStream) {
    let taken = match handover::take::<StateCommand>(stream).await {
        Ok(taken) => taken,
        Err(error) => return tracing::warn!(%error, "a command of another process could not be read"),
    };
    let handover::Taken { handover, mut sender, replies } = taken;
    let (frames, receive) = mpsc::channel(FRAMES);
    let printer = Printer::frames(handover.format, frames.clone());
    let cancel = CancellationToken::new();
    let work = async {
        let ours = instance.clock.as_of();
        let code = match handover.as_of {
            Some(theirs) if Some(theirs) != ours => {
                printer.note(refusal(theirs, ours)).await;
                exit::FAILED
            }
            _ => {
                if let Some(as_of) = ours {
                    printer.note(format!("under the owner's clock, which started at {as_of} (--as-of)")).await;
                }
                commands::run(&handover.command, &instance, &printer, &cancel).await
            }
        };
        drop(frames.send(Frame::Exit(code)).await);
        drop(frames);
        drop(printer);
    };
    let watched = async {
        tokio::pin!(work);
        tokio::select! {
            () = &mut work => {}
            () = sender.gone() => {
                cancel.cancel();
                work.await;
            }
        }
    };
    tokio::join!(watched, handover::reply(receive, replies));
}

fn refusal(theirs: Micros, ours: Option<Micros>) -> String {
    let ours = ours.map_or_else(|| "the time of the machine".to_owned(), |ours| format!("--as-of {ours}"));
    format!(
        "error: this command has --as-of {theirs}, the process that owns the state folder has {ours}; leave --as-of out or stop that process"
    )
}
