//! The sides under test: this same program again, one process per role, on cores of its own.

use std::{
    convert::Infallible,
    future::Future,
    io::{Read as _, Write as _},
    net::SocketAddr,
    process::Stdio,
};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
    process::{Child, Command},
    runtime::Runtime,
};

use crate::echo;

/// A running role.
#[derive(Debug)]
pub struct Role {
    /// Where it listens.
    pub addr: SocketAddr,
    process: Child,
}

/// A command that runs `program` on the cores `cores` only (`taskset`'s list).
pub fn pinned(cores: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.arg("--cpu-list").arg(cores).arg(program);
    command
}

/// Moves this process itself onto the cores `cores`: before its threads start.
/// # Errors
/// When `taskset` (util-linux) is missing or refuses.
pub fn pin_self(cores: &str) -> Result<()> {
    let id = std::process::id().to_string();
    let status = std::process::Command::new("taskset")
        .args(["--all-tasks", "--pid", "--cpu-list", cores, &id])
        .stdout(Stdio::null())
        .status()
        .context("taskset cannot be started; it is part of util-linux")?;
    anyhow::ensure!(status.success(), "taskset refused the cores {cores}");
    Ok(())
}

/// Starts this program with `arguments` on `cores` and waits until it says where it listens.
/// # Errors
/// When it ends before; what it said stands on standard error.
pub async fn start(cores: &str, arguments: &[&str]) -> Result<Role> {
    started(pinned(cores, std::env::current_exe()?).args(arguments)).await
}

/// Starts `command`, whose first line is the address it listens on.
/// # Errors
/// As [`start`].
pub async fn started(command: &mut Command) -> Result<Role> {
    // standard input ends when this process does, and the role with it
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().context("a role's process cannot be started")?;
    let output = process.stdout.take().context("a role's standard output is piped")?;
    let line = BufReader::new(output).lines().next_line().await?.context("a role ended before it listened")?;
    let addr = line.parse().with_context(|| format!("a role said {line:?} instead of its address"))?;
    Ok(Role { addr, process })
}

impl Role {
    /// Tells the role to end by closing its standard input, and waits until it has.
    /// # Errors
    /// When its process cannot be waited for.
    pub async fn end(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        self.process.wait().await?;
        Ok(())
    }
}

/// The runtime of a role or of the load generator.
/// # Errors
/// When its threads cannot be started.
pub fn runtime(workers: usize) -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?)
}

/// A listener whose address the parent has been told.
/// # Errors
/// When no port is free, or standard output is closed.
pub async fn announced() -> Result<TcpListener> {
    let (listener, addr) = echo::listen().await?;
    announce(addr)?;
    Ok(listener)
}

/// Serves until the parent is gone.
/// # Errors
/// The listener's.
pub async fn until_closed(serving: impl Future<Output = Result<Infallible>>) -> Result<()> {
    tokio::select! {
        served = serving => match served? {},
        () = parent_gone() => Ok(()),
    }
}

/// Tells the parent where this role listens.
/// # Errors
/// When standard output is closed.
pub fn announce(addr: SocketAddr) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{addr}")?;
    Ok(())
}

/// Ends when the parent does, or when it closes this role's standard input.
pub async fn parent_gone() {
    let (gone, waiting) = tokio::sync::oneshot::channel::<()>();
    // a thread of its own: a blocking task would hold up the runtime's end
    std::thread::spawn(move || {
        drop(std::io::stdin().lock().read_to_end(&mut Vec::new()));
        drop(gone);
    });
    drop(waiting.await);
}
