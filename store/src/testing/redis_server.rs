//! A private Redis server on a free loopback port, killed when dropped.

use std::{net::TcpListener, process::Stdio, time::Duration};

use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A running `redis-server` of this test alone.
#[derive(Debug)]
pub struct RedisServer {
    process: Child,
    port: u16,
    password: Option<String>,
    folder: TempDir,
}

impl RedisServer {
    /// Starts one. `TIDEGATE_TEST_REDIS` names another binary.
    /// # Panics
    /// When there is no Redis on the machine: `make deps` installs it. A test never passes without its server.
    pub async fn start() -> Self {
        Self::start_with(None, false).await
    }

    /// Starts one that asks for a password.
    /// # Panics
    /// As [`RedisServer::start`].
    pub async fn with_password(password: &str) -> Self {
        Self::start_with(Some(password.to_owned()), false).await
    }

    /// Starts one that writes every command to its append-only file, so that rows survive [`RedisServer::kill`].
    /// # Panics
    /// As [`RedisServer::start`].
    pub async fn durable() -> Self {
        Self::start_with(None, true).await
    }

    async fn start_with(password: Option<String>, durable: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port is free").port();
        if durable {
            std::fs::write(folder.path().join("durable"), "").expect("a temporary folder can be written");
        }
        let process = Self::spawn(port, password.as_deref(), &folder);
        let mut server = Self { process, port, password, folder };
        server.wait_until_it_answers().await;
        server
    }

    fn spawn(port: u16, password: Option<&str>, folder: &TempDir) -> Child {
        let durable = folder.path().join("durable").exists();
        let mut command = Command::new(binary());
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--maxmemory-policy",
            "noeviction",
        ]);
        command.arg("--dir").arg(folder.path());
        command.args(["--appendonly", if durable { "yes" } else { "no" }, "--appendfsync", "always"]);
        if let Some(password) = password {
            command.args(["--requirepass", password]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        command.spawn().expect("redis-server starts; `make deps` installs it")
    }

    /// The URL, with the password as it is.
    pub fn url(&self) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// Kills the server as `kill -9` does and waits until it is gone.
    pub async fn kill(&mut self) {
        self.process.kill().await.expect("the server's process can be killed");
    }

    /// Starts it again on the same port and folder.
    pub async fn restart(&mut self) {
        self.process = Self::spawn(self.port, self.password.as_deref(), &self.folder);
        self.wait_until_it_answers().await;
    }

    async fn wait_until_it_answers(&mut self) {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).expect("the URL is one");
        for _ in 0..500 {
            if let Ok(mut connection) = client.get_multiplexed_async_connection().await {
                let pong: Result<redis::Value, _> = redis::cmd("PING").query_async(&mut connection).await;
                let loading = pong.as_ref().is_err_and(|error| error.code() == Some("LOADING"));
                if !loading {
                    return;
                }
            }
            let ended = self.process.try_wait().expect("the server's process can be asked");
            assert!(ended.is_none(), "redis-server ended at once: {ended:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        unreachable!("redis-server on port {} did not answer within 5 s", self.port);
    }
}

/// The server's binary: the variable, else what the path has.
#[expect(clippy::disallowed_methods, reason = "the test script hands the binary over by this variable")]
fn binary() -> String {
    std::env::var("TIDEGATE_TEST_REDIS").unwrap_or_else(|_| "redis-server".to_owned())
}
