//! A command on the state: becomes the owner of the state folder and does its work there, or hands it to the live owner.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;
use tidegate_catalog::Micros;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::Global,
    clock::SystemClock,
    commands::{self, StateCommand, exit},
    instance::Instance,
    output::{self, Frame, Printer},
    project::Project,
    run::{Environment, Fatal},
    shutdown,
    state::{
        OwnerListener, OwnerStream, Ownership, StateFolder,
        handover::{self, Handed, Handover},
    },
    telemetry,
};

/// How long a command waits for an owner that has the lock and does not listen yet.
const OWNER_TRIES: u32 = 100;
const OWNER_PAUSE: Duration = Duration::from_millis(50);
/// Frames that may wait for a slow terminal.
const FRAMES: usize = 256;

/// A project with its state folder, before it is known who owns it.
pub(crate) struct Owner {
    project: Project,
    folder: StateFolder,
    as_of: Option<Micros>,
    ort: Option<PathBuf>,
}

impl Owner {
    /// Reads the project, starts logs, opens the state folder.
    /// # Errors
    /// In words: the configuration, the log filter or the folder.
    pub(crate) fn prepare(
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

    /// Owns the folder and serves until the signal.
    /// # Errors
    /// In words: another owner, or what cannot be opened.
    pub(crate) async fn serve(self, printer: &Printer) -> Result<u8, Fatal> {
        let path = self.folder.path().display().to_string();
        let Ownership::Ours(_lock) = self.folder.claim()? else {
            return Err(format!(
                "state folder {path} is owned by a live process; stop it, or choose another with --state"
            )
            .into());
        };
        let cancel = shutdown::on_signal()?;
        let (instance, listener) = self.instance().await?;
        let leaving = Leaving { over: &cancel, stop: &cancel };
        let served = commands::serve(&instance, printer, &cancel);
        let (code, ()) = tokio::join!(
            async {
                let code = served.await;
                cancel.cancel();
                code
            },
            accept(&instance, &listener, &leaving),
        );
        instance.close().await;
        code.map_err(|failure| failure.to_string().into())
    }

    /// Runs `command` here, or in the live owner of the folder.
    /// # Errors
    /// In words: what cannot be opened, or an owner that does not answer.
    pub(crate) async fn command(self, command: StateCommand, printer: &Printer) -> Result<u8, Fatal> {
        let cancel = shutdown::on_signal()?;
        let mut tries = 0;
        while tries < OWNER_TRIES {
            if let Ownership::Ours(_lock) = self.folder.claim()? {
                let (instance, listener) = self.instance().await?;
                // others may hand their work over while this one's goes on
                let over = cancel.child_token();
                let leaving = Leaving { over: &over, stop: &cancel };
                let (code, ()) = tokio::join!(
                    async {
                        let code = commands::run(&command, &instance, printer, &cancel).await;
                        over.cancel();
                        code
                    },
                    accept(&instance, &listener, &leaving),
                );
                instance.close().await;
                return Ok(code);
            }
            match self.folder.connect().await {
                Ok(stream) => match self.hand_over(stream, &command, printer, &cancel).await? {
                    Handed::Done(code) => return Ok(code),
                    // it was on its way out, and is gone: whoever comes next has time of its own
                    Handed::NotTaken => tries = 0,
                },
                // it has the lock and does not listen yet, or has just gone
                Err(_) => tries += 1,
            }
            tokio::select! {
                () = tokio::time::sleep(OWNER_PAUSE) => {}
                () = cancel.cancelled() => return Ok(exit::INTERRUPTED),
            }
        }
        let path = self.folder.path().display();
        Err(format!("state folder {path} is owned by a live process that does not answer; look at its log").into())
    }

    async fn hand_over(
        &self,
        stream: OwnerStream,
        command: &StateCommand,
        printer: &Printer,
        cancel: &CancellationToken,
    ) -> Result<Handed, Fatal> {
        let handover = Handover {
            command: command.clone(),
            format: printer.format(),
            as_of: self.as_of,
            project: self.project.identity(),
        };
        tokio::select! {
            handed = handover::hand_over(stream, &handover, output::show) => Ok(handed?),
            // closing the connection tells the owner to stop the command
            () = cancel.cancelled() => Ok(Handed::Done(exit::INTERRUPTED)),
        }
    }
}

/// When an owner stops taking commands, and when it stops those that it took.
struct Leaving<'a> {
    /// Its own work is done, or is to be stopped: no further command is taken.
    over: &'a CancellationToken,
    /// The signal: commands that run are told to stop, and have the grace period for it.
    stop: &'a CancellationToken,
}

/// Takes commands from other processes until the owner is leaving, then lets those that run finish. After the signal they
/// are cancelled, and what has not stopped when the grace period is over is given up: a client that reads nothing, or has
/// been suspended, must not keep the owner alive.
async fn accept(instance: &Arc<Instance>, listener: &OwnerListener, leaving: &Leaving<'_>) {
    let mut running = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = leaving.over.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(stream) => drop(running.spawn(answer(Arc::clone(instance), stream, leaving.stop.clone()))),
            Err(error) => {
                tracing::warn!(%error, "a command could not be taken");
                tokio::time::sleep(OWNER_PAUSE).await;
            }
        }
        while let Some(ended) = running.try_join_next() {
            log_lost(ended);
        }
    }
    let grace = instance.project.config.gateway.shutdown_grace;
    let in_time = {
        let finished = async {
            while let Some(ended) = running.join_next().await {
                log_lost(ended);
            }
        };
        let given_up = async {
            leaving.stop.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            () = finished => true,
            () = given_up => false,
        }
    };
    if !in_time {
        tracing::warn!(commands = running.len(), "the grace period is over; commands of other processes are given up");
        running.shutdown().await;
    }
}

/// A command that panicked answers nobody: its sender reads the end of the stream, the log says why.
fn log_lost(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a command of another process was lost");
    }
}

/// Runs one command of another process, until it is done, its sender has gone or this process is told to `stop`.
async fn answer(instance: Arc<Instance>, stream: OwnerStream, stop: CancellationToken) {
    if stop.is_cancelled() {
        // the sender reads the end before `taken`, and waits for the next owner
        return;
    }
    let taken = match handover::take::<StateCommand>(stream).await {
        Ok(taken) => taken,
        Err(error) => return tracing::warn!(%error, "a command of another process could not be read"),
    };
    let handover::Taken { handover, mut sender, replies } = taken;
    let (frames, receive) = mpsc::channel(FRAMES);
    let printer = Printer::frames(handover.format, frames.clone());
    let cancel = stop.child_token();
    let work = async {
        let ours = instance.clock.as_of();
        let code = match refusal(&handover, &instance) {
            Some(why) => {
                printer.note(format!("error: {why}")).await;
                exit::FAILED
            }
            None => {
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

/// Why a command cannot run here: it would not do what it would have done alone.
fn refusal(handover: &Handover<StateCommand>, instance: &Instance) -> Option<String> {
    if let Some(why) = handover.project.refusal(&instance.project.identity()) {
        return Some(why);
    }
    let ours = instance.clock.as_of();
    let theirs = handover.as_of.filter(|theirs| Some(*theirs) != ours)?;
    let ours = ours.map_or_else(|| "the time of the machine".to_owned(), |ours| format!("--as-of {ours}"));
    Some(format!(
        "this command has --as-of {theirs}, the process that owns the state folder has {ours}; leave --as-of out or stop that process"
    ))
}
