//! Bench `materialize`: three views x 100,000 keys x ten floats from Parquet into Redis by the `tidegate` binary, against
//! a raw pipelined HSET of the same bytes and against Feast's `materialize` of the same files, in turns.
//!
//! A row is one key of one view. Each run is whole, on a store that was emptied and filled anew before it. Our time is
//! that of the whole command, start and registry included; raw HSET has its bytes in memory; Feast's time is that of the
//! call, without Python's start.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use redis::{Client, Pipeline, aio::MultiplexedConnection};
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_benches::{
    catalog::{self, EVENT},
    child::runtime,
    clock,
    feast::FeastRepository,
    fill::NAMESPACE,
    redis_server::{self, RedisServer},
    report::{Figures, Report, first_line, median, progress},
};
use tidegate_catalog::Micros;
use tidegate_store::Put;
use tokio::{process::Command, task::JoinSet};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The bar of rows a second against raw HSET, on a store full of older rows.
const RAW_BAR: f64 = 0.4;
/// The bar of rows a second against Feast, both on an empty store.
const FEAST_BAR: f64 = 20.0;
/// The bar of memory per key against Feast.
const BYTES_BAR: f64 = 0.55;
/// Commands of one raw pipeline.
const PIPELINE: usize = 1_000;
/// Numbers of connections that raw HSET is tried with; the one with the better median counts. The better one of each round
/// would be the luckier one: rounds differ by more than the two do.
const RAW_CONNECTIONS: [usize; 2] = [1, 4];
/// A day: how much older the older rows are.
const DAY_US: i64 = 86_400_000_000;

#[derive(Parser)]
#[command(about = "Parquet into Redis against raw HSET and Feast; the last line is one JSON object")]
struct Arguments {
    /// Interleaved rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Keys of every view
    #[arg(long, default_value_t = 100_000)]
    keys: i64,
    /// Seed of the values
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// The binary under test
    #[arg(long, default_value = "target/release/tidegate")]
    binary: PathBuf,
    /// The folder of Feast's programs; `scripts/bench-peers` installs and prints it
    #[arg(long, default_value = ".cache/peers/bin")]
    peers: PathBuf,
}

/// What the store holds before a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Before {
    Empty,
    Older,
    Equal,
}

/// Rows a second of one round.
#[derive(Serialize)]
struct Round {
    tidegate: BTreeMap<Before, f64>,
    /// By the number of connections.
    raw: BTreeMap<Before, BTreeMap<usize, f64>>,
    feast: f64,
    tidegate_bytes_per_key: f64,
    feast_bytes_per_key: f64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let report = runtime(cores)?.block_on(bench(&arguments))?;
    report.print()?;
    ensure!(report.passed, "a bar was not reached");
    Ok(())
}

async fn bench(arguments: &Arguments) -> Result<Report> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let redis = RedisServer::start(&format!("0-{}", cores.saturating_sub(1))).await?;
    progress("making the Feast repository and the Parquet files");
    let feast =
        FeastRepository::prepare(&arguments.peers.canonicalize()?, &redis.url, arguments.keys, arguments.seed).await?;
    let server = Server { client: Client::open(redis.url.as_str())? };
    let sides = Sides {
        project: Project::write(&arguments.binary.canonicalize()?, &redis.url, feast.folder())?,
        rows: Rows::make(arguments)?,
        server,
        feast,
    };
    let mut rounds = Vec::with_capacity(arguments.rounds);
    for number in 0..arguments.rounds.max(1) {
        let round = sides.round(number).await?;
        progress(&format!("round {}: {}", number + 1, json!(round)));
        rounds.push(round);
    }
    Ok(report(arguments, &rounds))
}

/// Every row, now and a day older, view after view as a materialization writes them.
struct Rows {
    keys: usize,
    now: Vec<Put>,
    older: Vec<Put>,
}

impl Rows {
    fn make(arguments: &Arguments) -> Result<Self> {
        let at = |event| {
            let mut views = vec![Vec::new(); catalog::VIEWS];
            for id in 0..arguments.keys {
                let rows = catalog::rows(id, arguments.seed, event)?;
                views.iter_mut().zip(rows).for_each(|(view, row)| view.push(row));
            }
            Ok::<_, anyhow::Error>(views.concat())
        };
        let keys = usize::try_from(arguments.keys)?;
        Ok(Self { keys, now: at(EVENT)?, older: at(Micros(EVENT.0 - DAY_US))? })
    }

    fn per_second(&self, took: Duration) -> f64 {
        self.now.len() as f64 / took.as_secs_f64()
    }
}

struct Sides {
    project: Project,
    rows: Rows,
    server: Server,
    feast: FeastRepository,
}

impl Sides {
    async fn round(&self, number: usize) -> Result<Round> {
        let (mut tidegate, mut raw) = (BTreeMap::new(), BTreeMap::new());
        let mut tidegate_bytes_per_key = 0.0;
        for before in [Before::Empty, Before::Older, Before::Equal] {
            self.reset(before).await?;
            let empty = self.server.used_bytes().await?;
            let counted = if before == Before::Equal { "equal" } else { "written" };
            let took = self.project.materialize(counted, self.rows.now.len()).await?;
            tidegate.insert(before, self.rows.per_second(took));
            if before == Before::Empty {
                tidegate_bytes_per_key = (self.server.used_bytes().await? - empty) / self.rows.keys as f64;
                if number == 0 {
                    self.equal_outputs().await?;
                }
            }
            let mut by_connections = BTreeMap::new();
            for connections in RAW_CONNECTIONS {
                self.reset(before).await?;
                let took = self.server.hset(&self.rows.now, connections).await?;
                by_connections.insert(connections, self.rows.per_second(took));
            }
            raw.insert(before, by_connections);
        }
        self.server.flush().await?;
        let empty = self.server.used_bytes().await?;
        let feast = self.rows.per_second(self.feast.materialize().await?);
        let feast_bytes_per_key = (self.server.used_bytes().await? - empty) / self.rows.keys as f64;
        Ok(Round { tidegate, raw, feast, tidegate_bytes_per_key, feast_bytes_per_key })
    }

    /// A fresh registry, and a store that holds what `before` says.
    async fn reset(&self, before: Before) -> Result<()> {
        self.server.flush().await?;
        let rows = match before {
            Before::Empty => None,
            Before::Older => Some(&self.rows.older),
            Before::Equal => Some(&self.rows.now),
        };
        if let Some(rows) = rows {
            self.server.hset(rows, 1).await?;
        }
        self.project.apply_anew().await
    }

    /// Every cell that was materialized holds the bytes that raw HSET writes.
    async fn equal_outputs(&self) -> Result<()> {
        let mut connection = self.server.connect().await?;
        for rows in self.rows.now.chunks(PIPELINE) {
            let mut pipeline = Pipeline::with_capacity(rows.len());
            for row in rows {
                pipeline.cmd("HGET").arg(stored_key(row)).arg(&[row.field.0 as u8][..]);
            }
            let cells: Vec<Option<Vec<u8>>> = pipeline.query_async(&mut connection).await?;
            let other = rows.iter().zip(&cells).find(|(row, cell)| cell.as_deref() != Some(&row.row[..]));
            if let Some((row, cell)) = other {
                bail!("the materialized row of {:?} in field {} is {cell:?}, not {:?}", row.key, row.field.0, row.row);
            }
        }
        progress(&format!("{} materialized rows are those of raw HSET, byte for byte", self.rows.now.len()));
        Ok(())
    }
}

/// The project that is materialized.
struct Project {
    binary: PathBuf,
    folder: TempDir,
}

impl Project {
    fn write(binary: &Path, url: &str, data: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let root = json!({"project": "bench", "store": {"url": url, "namespace": NAMESPACE}});
        let features = (0..catalog::FEATURES).map(|at| json!({"name": format!("f{at}"), "type": "float32"}));
        let features = features.collect::<Vec<_>>();
        let mut documents =
            vec![json!({"kind": "Entity", "name": "id", "join_keys": [{"name": "id", "type": "int64"}]})];
        for view in 1..=catalog::VIEWS {
            let file = data.join(format!("view_{view}.parquet"));
            documents.push(json!({"kind": "DataSource", "name": format!("source_{view}"), "parquet": {"path": file}}));
            documents.push(json!({
                "kind": "FeatureView", "name": format!("view_{view}"), "entities": ["id"],
                "source": format!("source_{view}"), "timestamp_field": "event", "created_timestamp_field": "created",
                "features": features,
            }));
        }
        // JSON is YAML
        let definitions = documents.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n");
        fs::write(folder.path().join("tidegate.yaml"), root.to_string())?;
        fs::write(folder.path().join("definitions.yaml"), definitions)?;
        Ok(Self { binary: binary.to_owned(), folder })
    }

    /// Applies the definitions to a registry of its own.
    async fn apply_anew(&self) -> Result<()> {
        let state = self.folder.path().join(".tidegate");
        if state.exists() {
            fs::remove_dir_all(state)?;
        }
        self.tidegate(&["apply"]).await.map(drop)
    }

    /// Materializes; answers how long the command took. All rows must have been counted as `counted`.
    async fn materialize(&self, counted: &str, rows: usize) -> Result<Duration> {
        let start = clock::now();
        let report = self.tidegate(&["materialize"]).await?;
        let took = start.elapsed();
        let views = report["views"].as_array().context("a report has views")?;
        let sum = views.iter().filter_map(|view| view["counts"][counted].as_u64()).sum::<u64>();
        ensure!(sum == rows as u64, "{sum} of {rows} rows were {counted}: {report}");
        Ok(took)
    }

    async fn tidegate(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).args(["--output", "json"]).current_dir(self.folder.path());
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        let said = || String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "tidegate {arguments:?} ended with {}: {}", output.status, said());
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// Redis, raw.
struct Server {
    client: Client,
}

impl Server {
    async fn connect(&self) -> Result<MultiplexedConnection> {
        redis_server::connect(&self.client).await
    }

    async fn flush(&self) -> Result<()> {
        Ok(redis::cmd("FLUSHALL").arg("SYNC").exec_async(&mut self.connect().await?).await?)
    }

    async fn used_bytes(&self) -> Result<f64> {
        let text: String = redis::cmd("INFO").arg("memory").query_async(&mut self.connect().await?).await?;
        let used = text.lines().find_map(|line| line.strip_prefix("used_memory:")).context("INFO has used_memory")?;
        Ok(used.trim().parse()?)
    }

    /// One HSET a row, pipelined, `rows` split over `connections`.
    async fn hset(&self, rows: &[Put], connections: usize) -> Result<Duration> {
        let mut made = Vec::with_capacity(connections);
        for _ in 0..connections {
            made.push(self.connect().await?);
        }
        let start = clock::now();
        let parts = rows.chunks(rows.len().div_ceil(connections).max(1)).zip(made);
        // a Put shares its bytes: the copy is of handles
        let mut tasks = parts.map(|(part, connection)| hset(part.to_vec(), connection)).collect::<JoinSet<_>>();
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(start.elapsed())
    }
}

async fn hset(rows: Vec<Put>, mut connection: MultiplexedConnection) -> Result<()> {
    for rows in rows.chunks(PIPELINE) {
        let mut pipeline = Pipeline::with_capacity(rows.len());
        for row in rows {
            pipeline.cmd("HSET").arg(stored_key(row)).arg(&[row.field.0 as u8][..]).arg(&row.row[..]).ignore();
        }
        pipeline.exec_async(&mut connection).await?;
    }
    Ok(())
}

fn stored_key(row: &Put) -> Vec<u8> {
    [NAMESPACE.as_bytes(), b"\0", row.key.as_bytes()].concat()
}

/// The number of connections with the best median of raw HSET on a store that holds what `before` says.
fn best_connections(rounds: &[Round], before: Before) -> usize {
    let median_of =
        |connections: usize| median(&rounds.iter().map(|round| round.raw[&before][&connections]).collect::<Vec<_>>());
    let [first, rest @ ..] = RAW_CONNECTIONS;
    rest.into_iter().fold(first, |best, other| if median_of(other) > median_of(best) { other } else { best })
}

fn report(arguments: &Arguments, rounds: &[Round]) -> Report {
    let mut figures = Figures::default();
    let best = [Before::Empty, Before::Older, Before::Equal].map(|before| (before, best_connections(rounds, before)));
    let best = BTreeMap::from(best);
    let raw = |before| {
        let connections = best[&before];
        move |round: &Round| round.raw[&before][&connections]
    };
    let ratio = |before| {
        let raw = raw(before);
        move |round: &Round| round.tidegate[&before] / raw(round)
    };
    let vs_raw = figures.add("ratio_vs_raw", rounds, ratio(Before::Older));
    figures.add("ratio_vs_raw_empty", rounds, ratio(Before::Empty));
    figures.add("ratio_vs_raw_equal", rounds, ratio(Before::Equal));
    let vs_feast = figures.add("ratio_vs_feast", rounds, |round| round.tidegate[&Before::Empty] / round.feast);
    let bytes = figures.add("bytes_ratio", rounds, |round| round.tidegate_bytes_per_key / round.feast_bytes_per_key);
    figures.add("tidegate_rows_per_second", rounds, |round| round.tidegate[&Before::Older]);
    figures.add("raw_rows_per_second", rounds, raw(Before::Older));
    figures.add("feast_rows_per_second", rounds, |round| round.feast);
    figures.add("tidegate_bytes_per_key", rounds, |round| round.tidegate_bytes_per_key);
    figures.add("feast_bytes_per_key", rounds, |round| round.feast_bytes_per_key);
    Report {
        name: "materialize",
        figures: figures.medians,
        bar: json!({
            "ratio_vs_raw": format!(">= {RAW_BAR}"), "ratio_vs_feast": format!(">= {FEAST_BAR}"),
            "bytes_ratio": format!("<= {BYTES_BAR}"),
        }),
        passed: vs_raw >= RAW_BAR && vs_feast >= FEAST_BAR && bytes <= BYTES_BAR,
        outputs_equal: Some(true),
        rounds: rounds.len(),
        spread: figures.spreads,
        seed: arguments.seed,
        config: json!({
            "keys": arguments.keys, "views": catalog::VIEWS, "features_per_view": catalog::FEATURES,
            "raw_pipeline": PIPELINE, "raw_connections_tried": RAW_CONNECTIONS, "raw_connections": best,
        }),
        per_round: rounds.iter().map(|round| json!(round)).collect(),
        peers: json!({
            "redis": first_line("redis-server", &["--version"]),
            "feast": first_line(&arguments.peers.join("feast").to_string_lossy(), &["version"]),
        }),
    }
}
