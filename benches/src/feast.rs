//! Feast as a peer: a repository on Redis with the benches' rows, its materialization, its feature server.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::{
    catalog::{EVENT, FEATURES, VIEWS, values},
    child::pinned,
};

/// A Feast repository: its folder, with the rows as Parquet.
#[derive(Debug)]
pub struct FeastRepository {
    folder: TempDir,
    programs: PathBuf,
}

/// A running feature server.
#[derive(Debug)]
pub struct FeastServer {
    /// Where it listens.
    pub addr: SocketAddr,
    _process: Child,
}

impl FeastRepository {
    /// Makes one of `keys` keys on the Redis at `url`, applied, nothing materialized; `programs` holds Feast.
    /// # Errors
    /// When Feast fails; what it said stands on standard error.
    pub async fn prepare(programs: &Path, url: &str, keys: i64, seed: u64) -> Result<Self> {
        let this = Self { folder: tempfile::tempdir()?, programs: programs.to_owned() };
        let file = this.folder.path().join("values.f32");
        let mut bytes = Vec::new();
        for view in 0..VIEWS {
            for id in 0..keys {
                let row = values(id, seed);
                let of_view = row.get(view).context("there is a row per view")?;
                of_view.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
            }
        }
        tokio::fs::write(&file, bytes).await?;
        let address = url.strip_prefix("redis://").unwrap_or(url);
        let numbers = [keys.to_string(), VIEWS.to_string(), FEATURES.to_string(), EVENT.0.to_string()];
        let status = this.python("prepare").arg(address).arg(file).args(numbers).stdout(Stdio::null()).status().await?;
        ensure!(status.success(), "the Feast repository cannot be made: {status}");
        Ok(this)
    }

    /// Where `view_1.parquet` and its siblings lie: `id`, `event`, `created`, `f0` to `f9`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Materializes every view; answers how long Feast took, without its start.
    /// # Errors
    /// When Feast fails.
    pub async fn materialize(&self) -> Result<Duration> {
        let output = self.python("materialize").stderr(Stdio::null()).output().await?;
        ensure!(output.status.success(), "feast materialize ended with {}", output.status);
        let text = String::from_utf8_lossy(&output.stdout);
        let seconds = text.lines().last().unwrap_or_default();
        Ok(Duration::from_secs_f64(seconds.parse().with_context(|| format!("feast said {seconds:?}"))?))
    }

    /// Starts `feast serve` with `workers` workers on `cores` and waits until it answers.
    /// # Errors
    /// When it ends or does not answer within two minutes.
    pub async fn serve(&self, cores: &str, workers: usize) -> Result<FeastServer> {
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = pinned(cores, self.programs.join("feast"));
        command.arg("--chdir").arg(self.folder.path()).args(["serve", "--host", "127.0.0.1", "--no-access-log"]);
        // a worker that is replaced after a thousand requests would cost Feast more than its answers do
        command.args(["--max-requests", "0", "--max-requests-jitter", "0", "--registry_ttl_sec", "3600"]);
        command.args(["--port", &addr.port().to_string(), "--workers", &workers.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().context("feast cannot be started")?;
        for _ in 0..1_200 {
            if TcpStream::connect(addr).await.is_ok() {
                return Ok(FeastServer { addr, _process: process });
            }
            if let Some(status) = process.try_wait()? {
                bail!("feast serve ended at once: {status}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("feast serve on {addr} did not answer within 2 minutes")
    }

    fn python(&self, part: &str) -> Command {
        let mut command = Command::new(self.programs.join("python"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/feast_peer.py")).arg(part);
        command.arg(self.folder.path()).stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}
