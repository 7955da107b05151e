//! Bench `predict`: the fused predict on Redis against the bare loop, in turns, beside a server that only echoes.
//!
//! Figures: `ratio_vs_bare` (saturation, each side at its own best number of connections) and `p99_added_ms` (p99 at
//! half of the bare loop's saturation, both open loop). One row of 30 floats from three views of one entity.

use std::{future::Future, time::Duration};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use clap::{Args, Parser, Subcommand};
use serde_json::{Map, Value, json};
use tidegate_benches::{
    bare::BareLoop,
    catalog,
    child::{self, Role},
    echo, fill, gateway,
    load::{Client, Measured, OpenLoop, Requests, Saturation, keeps_pace, open_loop, saturation},
    redis_server::RedisServer,
    report::{Report, first_line, median, progress, rounded, spread},
    schedule::Schedule,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The bar of `ratio_vs_bare`.
const RATIO_BAR: f64 = 0.6;
/// What the bare loop must reach of the echo, or it is a slow peer that flatters.
const BARE_OF_ECHO_BAR: f64 = 0.2;
/// Connections of the open loop.
const OPEN_CONNECTIONS: usize = 256;
/// Bodies drawn beforehand.
const BODIES: usize = 100_000;

#[derive(Parser)]
#[command(about = "Fused predict on Redis against the bare loop; the last line is one JSON object")]
struct Command {
    #[command(subcommand)]
    role: Option<RoleCommand>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Args, Clone)]
struct Settings {
    /// Two short rounds: to see that it runs, not to judge by
    #[arg(long)]
    quick: bool,
    /// Interleaved rounds
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of one measurement: each number of connections, each open loop
    #[arg(long)]
    seconds: Option<u64>,
    /// Entities in the store
    #[arg(long, default_value_t = 100_000)]
    keys: i64,
    /// Seed of rows, keys asked and arrivals
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Cores of the servers (taskset's list); the first half unless given
    #[arg(long)]
    server_cores: Option<String>,
    /// Cores of the load generator and Redis; the other half unless given
    #[arg(long)]
    load_cores: Option<String>,
    /// Worker threads and model replicas of each server; half of the cores unless given
    #[arg(long)]
    workers: Option<usize>,
    /// Connections to Redis of the bare loop; one per worker unless given
    #[arg(long)]
    bare_connections: Option<usize>,
}

#[derive(Subcommand)]
enum RoleCommand {
    /// The gateway (started by the bench)
    #[command(hide = true)]
    Gateway { redis: String, workers: usize },
    /// The bare loop (started by the bench)
    #[command(hide = true)]
    Bare { redis: String, workers: usize, connections: usize },
    /// The echo (started by the bench)
    #[command(hide = true)]
    Echo { workers: usize, json: String },
}

/// What was settled from the arguments and the machine.
struct Plan {
    rounds: usize,
    length: Duration,
    keys: i64,
    seed: u64,
    server_cores: String,
    load_cores: String,
    workers: usize,
    bare_connections: usize,
    load_workers: usize,
}

fn main() -> Result<()> {
    let command = Command::parse();
    match command.role {
        None => {
            let plan = Plan::settle(command.settings);
            child::pin_self(&plan.load_cores)?;
            let report = runtime(plan.load_workers)?.block_on(bench(&plan))?;
            report.print()?;
            ensure!(report.passed, "a bar was not reached");
            Ok(())
        }
        Some(RoleCommand::Gateway { redis, workers }) => runtime(workers)?.block_on(serve_gateway(redis, workers)),
        Some(RoleCommand::Bare { redis, workers, connections }) => runtime(workers)?.block_on(async {
            let bare = BareLoop::start(&redis, connections, workers, &gateway::library()?).await?;
            let listener = announced().await?;
            until_closed(bare.serve(listener)).await
        }),
        Some(RoleCommand::Echo { workers, json }) => runtime(workers)?
            .block_on(async { until_closed(echo::echo(announced().await?, Bytes::from(json.into_bytes()))).await }),
    }
}

fn runtime(workers: usize) -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?)
}

/// A listener whose address the parent has been told.
async fn announced() -> Result<tokio::net::TcpListener> {
    let (listener, addr) = echo::listen().await?;
    child::announce(addr)?;
    Ok(listener)
}

async fn serve_gateway(redis: String, workers: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bound = gateway::bind(fill::redis_store(&redis)?, u32::try_from(workers)?, &folder).await?;
    child::announce(bound.addr)?;
    bound.run(child::parent_gone()).await;
    Ok(())
}

async fn until_closed(serving: impl Future<Output = Result<std::convert::Infallible>>) -> Result<()> {
    tokio::select! {
        served = serving => match served? {},
        () = child::parent_gone() => Ok(()),
    }
}

impl Plan {
    fn settle(settings: Settings) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let half = (cores / 2).max(1);
        let list =
            |from: usize, to: usize| if to <= from + 1 { from.to_string() } else { format!("{from}-{}", to - 1) };
        let workers = settings.workers.unwrap_or(half);
        Self {
            rounds: settings.rounds.unwrap_or(if settings.quick { 2 } else { 5 }).max(1),
            length: Duration::from_secs(settings.seconds.unwrap_or(if settings.quick { 3 } else { 15 }).max(1)),
            keys: settings.keys.max(1),
            seed: settings.seed,
            server_cores: settings.server_cores.unwrap_or_else(|| list(0, half)),
            load_cores: settings.load_cores.unwrap_or_else(|| list(cores - half, cores)),
            workers,
            bare_connections: settings.bare_connections.unwrap_or(workers).max(1),
            load_workers: half,
        }
    }

    fn config(&self) -> Value {
        json!({
            "keys": self.keys, "views": catalog::VIEWS, "features": catalog::VIEWS * catalog::FEATURES,
            "model": catalog::MODEL, "server_cores": self.server_cores, "load_and_redis_cores": self.load_cores,
            "server_workers": self.workers, "model_replicas": self.workers, "load_workers": self.load_workers,
            "bare_redis_connections": self.bare_connections, "seconds": self.length.as_secs(),
            "closed_loop_connections": tidegate_benches::load::CONNECTIONS, "open_loop_connections": OPEN_CONNECTIONS,
        })
    }
}

/// The three sides.
struct Sides {
    gateway: Role,
    bare: Role,
    echo: Role,
}

/// One round: every side once.
struct Round {
    gateway: Saturation,
    bare: Saturation,
    echo: Saturation,
    gateway_open: Measured,
    bare_open: Measured,
}

async fn bench(plan: &Plan) -> Result<Report> {
    let redis = RedisServer::start(&plan.load_cores).await?;
    progress(&format!("filling {} keys x {} views", plan.keys, catalog::VIEWS));
    fill::fill(&fill::redis_store(&redis.url)?, plan.keys, plan.seed).await?;
    let requests = catalog::requests(plan.keys, BODIES, plan.seed);
    let sides = Sides::start(plan, &redis.url, &requests).await?;
    let compared = equal_outputs(&sides, &requests).await?;
    progress(&format!("outputs of both sides are equal on {compared} keys"));
    let mut rounds = Vec::with_capacity(plan.rounds);
    let mut pace = None;
    for number in 0..plan.rounds {
        let round = Round::run(plan, number, &sides, &requests).await?;
        if pace.is_none() {
            // at the rate of this machine's own open loops, not at one that it never sees
            let rate = round.bare.per_second / 2.0;
            pace = Some(keeps_pace(sides.echo.addr, &requests, rate, plan.length.min(Duration::from_secs(5))).await?);
        }
        progress(&format!("round {}: {}", number + 1, round.json()));
        rounds.push(round);
    }
    Ok(report(plan, &rounds, pace.as_ref()))
}

impl Sides {
    async fn start(plan: &Plan, redis: &str, requests: &Requests) -> Result<Self> {
        let workers = plan.workers.to_string();
        let role = async |words: &[&str]| {
            child::start(&plan.server_cores, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).await
        };
        let gateway = role(&["gateway", redis, &workers]).await?;
        let bare = role(&["bare", redis, &workers, &plan.bare_connections.to_string()]).await?;
        // the echo answers what the bare loop does
        let answer = Client::connect(bare.addr).await?.post(&requests.path, requests.body(0)).await?;
        let echo = role(&["echo", &workers, std::str::from_utf8(&answer)?]).await?;
        Ok(Self { gateway, bare, echo })
    }
}

/// Compares the outputs of gateway and bare loop on a hundred keys; answers how many.
async fn equal_outputs(sides: &Sides, requests: &Requests) -> Result<usize> {
    const SAMPLES: usize = 100;
    let mut gateway = Client::connect(sides.gateway.addr).await?;
    let mut bare = Client::connect(sides.bare.addr).await?;
    let mut distinct = std::collections::HashSet::new();
    for index in 0..SAMPLES {
        let body = requests.body(index);
        let ours: Value = serde_json::from_slice(&gateway.post(&requests.path, body.clone()).await?)?;
        let theirs: Value = serde_json::from_slice(&bare.post(&requests.path, body.clone()).await?)?;
        ensure!(
            ours["outputs"].is_object() && ours["outputs"] == theirs["outputs"],
            "the outputs differ for {body:?}: gateway {ours}, bare loop {theirs}"
        );
        distinct.insert(ours["outputs"].to_string());
    }
    if distinct.len() < SAMPLES / 2 {
        bail!("{SAMPLES} keys give {} outputs: the rows do not reach the model", distinct.len());
    }
    Ok(SAMPLES)
}

impl Round {
    async fn run(plan: &Plan, number: usize, sides: &Sides, requests: &Requests) -> Result<Self> {
        // who goes first changes from round to round
        let (gateway, bare) = if number.is_multiple_of(2) {
            let gateway = saturation(sides.gateway.addr, requests, plan.length).await?;
            (gateway, saturation(sides.bare.addr, requests, plan.length).await?)
        } else {
            let bare = saturation(sides.bare.addr, requests, plan.length).await?;
            (saturation(sides.gateway.addr, requests, plan.length).await?, bare)
        };
        let echo = saturation(sides.echo.addr, requests, plan.length).await?;
        let settings = OpenLoop { connections: OPEN_CONNECTIONS, warm_up: plan.length / 5 };
        let open = async |addr| {
            let schedule = Schedule::poisson(bare.per_second / 2.0, plan.length, plan.seed + number as u64);
            open_loop(addr, requests, schedule, settings).await
        };
        let bare_open = open(sides.bare.addr).await?;
        let gateway_open = open(sides.gateway.addr).await?;
        Ok(Self { gateway, bare, echo, gateway_open, bare_open })
    }

    fn ratio(&self) -> f64 {
        self.gateway.per_second / self.bare.per_second
    }

    fn bare_of_echo(&self) -> f64 {
        self.bare.per_second / self.echo.per_second
    }

    fn p99_added_ms(&self) -> f64 {
        (self.gateway_open.p99_us - self.bare_open.p99_us) / 1e3
    }

    fn json(&self) -> Value {
        json!({
            "ratio_vs_bare": rounded(self.ratio()), "bare_of_echo": rounded(self.bare_of_echo()),
            "p99_added_ms": rounded(self.p99_added_ms()), "gateway": self.gateway, "bare": self.bare, "echo": self.echo,
            "gateway_open": self.gateway_open, "bare_open": self.bare_open,
        })
    }
}

fn report(plan: &Plan, rounds: &[Round], pace: Option<&Measured>) -> Report {
    let mut figures = Map::new();
    let mut spreads = Map::new();
    let mut figure = |name: &str, of: &dyn Fn(&Round) -> f64| {
        let values = rounds.iter().map(of).collect::<Vec<_>>();
        figures.insert(name.to_owned(), rounded(median(&values)));
        spreads.insert(name.to_owned(), rounded(spread(&values)));
        median(&values)
    };
    let ratio = figure("ratio_vs_bare", &Round::ratio);
    let bare_of_echo = figure("bare_of_echo", &Round::bare_of_echo);
    figure("p99_added_ms", &Round::p99_added_ms);
    figure("gateway_per_second", &|round| round.gateway.per_second);
    figure("bare_per_second", &|round| round.bare.per_second);
    figure("echo_per_second", &|round| round.echo.per_second);
    figure("gateway_p99_ms", &|round| round.gateway_open.p99_us / 1e3);
    figure("bare_p99_ms", &|round| round.bare_open.p99_us / 1e3);
    Report {
        name: "predict",
        figures,
        bar: json!({"ratio_vs_bare": format!(">= {RATIO_BAR}"), "bare_of_echo": format!(">= {BARE_OF_ECHO_BAR}")}),
        passed: ratio >= RATIO_BAR && bare_of_echo >= BARE_OF_ECHO_BAR,
        outputs_equal: Some(true),
        rounds: rounds.len(),
        spread: spreads,
        seed: plan.seed,
        config: plan.config(),
        per_round: rounds.iter().map(Round::json).collect(),
        peers: json!({
            "redis": first_line("redis-server", &["--version"]),
            "bare_loop": "hyper, redis and ort of this workspace's lock file",
            "generator_on_null_server": pace,
        }),
    }
}
