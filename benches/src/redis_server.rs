//! A private Redis server on a free loopback port, gone with its handle.

use std::{net::TcpListener, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use redis::{AsyncConnectionConfig, Client, aio::MultiplexedConnection};
use tempfile::TempDir;
use tokio::{net::TcpStream, process::Child};

use crate::child::pinned;

/// A connection of the bare peers: no time limit, no reconnecting.
/// # Errors
/// When the server cannot be reached.
pub async fn connect(client: &Client) -> Result<MultiplexedConnection> {
    let settings = AsyncConnectionConfig::new().set_response_timeout(None);
    Ok(client.get_multiplexed_async_connection_with_config(&settings).await?)
}

/// `count` connections to the server at `url`.
/// # Errors
/// As [`connect`].
pub async fn connections(url: &str, count: usize) -> Result<Vec<MultiplexedConnection>> {
    let client = Client::open(url)?;
    let mut made = Vec::with_capacity(count);
    for _ in 0..count {
        made.push(connect(&client).await?);
    }
    Ok(made)
}

/// A running `redis-server`, default settings but for persistence, which is off.
#[derive(Debug)]
pub struct RedisServer {
    /// Where it is reached.
    pub url: String,
    process: Child,
    _folder: TempDir,
}

impl RedisServer {
    /// Starts one on the cores `cores` and waits until it answers.
    /// # Errors
    /// When there is no `redis-server` on the path, or it does not answer within ten seconds.
    pub async fn start(cores: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = pinned(cores, "redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let process = command.spawn().context("redis-server cannot be started; `make deps` installs it")?;
        let mut server = Self { url: format!("redis://127.0.0.1:{port}"), process, _folder: folder };
        for _ in 0..1_000 {
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(server);
            }
            if let Some(status) = server.process.try_wait()? {
                bail!("redis-server ended at once: {status}; `make deps` installs it");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("redis-server on port {port} did not answer within 10 s")
    }
}
