//! Bench `predict`: the fused predict on Redis against the bare loop, in turns, beside a server that only echoes.
//!
//! Figures: `ratio_vs_bare` (saturation, each side at its own best number of connections) and `p99_added_ms` (p99 at
//! half of the bare loop's saturation, both open loop). One row of 30 floats from three views of one entity.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use clap::{Parser, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};
use tidegate_benches::{
    bare::BareLoop,
    catalog,
    child::{self, Role, announced, runtime, until_closed},
    echo, fill, gateway,
    load::{
        CONNECTIONS, Client, Measured, OpenLoop, Requests, Saturation, best_connections, closed_loop, keeps_pace,
        open_loop,
    },
    plan::{Plan, Settings},
    redis_server::RedisServer,
    report::{Figures, Report, first_line, progress, rounded},
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

#[derive(Subcommand)]
enum RoleCommand {
    /// The gateway (started by the bench)
    #[command(hide = true)]
    Gateway { redis: String, workers: usize },
    /// The bare loop (started by the bench)
    #[command(hide = true)]
    Bare { redis: String, workers: usize },
    /// The echo (started by the bench)
    #[command(hide = true)]
    Echo { workers: usize, json: String },
}

fn main() -> Result<()> {
    let command = Command::parse();
    match command.role {
        None => {
            let plan = Plan::settle(&command.settings);
            child::pin_self(&plan.load_cores)?;
            let report = runtime(plan.load_workers)?.block_on(bench(&plan))?;
            report.print()?;
            ensure!(report.passed, "a bar was not reached");
            Ok(())
        }
        Some(RoleCommand::Gateway { redis, workers }) => {
            runtime(workers)?.block_on(gateway::serve_redis(&redis, workers))
        }
        Some(RoleCommand::Bare { redis, workers }) => runtime(workers)?.block_on(async {
            let bare = BareLoop::start(&redis, workers, workers, &gateway::library()?).await?;
            let listener = announced().await?;
            until_closed(bare.serve(listener)).await
        }),
        Some(RoleCommand::Echo { workers, json }) => runtime(workers)?
            .block_on(async { until_closed(echo::echo(announced().await?, Bytes::from(json.into_bytes()))).await }),
    }
}

fn config(plan: &Plan, best: &Best) -> Value {
    plan.config(json!({
        "views": catalog::VIEWS, "features": catalog::VIEWS * catalog::FEATURES, "model": catalog::MODEL,
        "model_replicas": plan.workers, "bare_redis_connections": plan.workers,
        "connections_tried": CONNECTIONS, "best_connections": best, "open_loop_connections": OPEN_CONNECTIONS,
    }))
}

/// The three sides.
struct Sides {
    gateway: Role,
    bare: Role,
    echo: Role,
}

/// The number of connections at which each side answers most.
#[derive(Serialize)]
struct Best {
    gateway: usize,
    bare: usize,
    echo: usize,
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
    let best = Best::find(&sides, &requests, plan.length / 3).await?;
    let mut rounds = Vec::with_capacity(plan.rounds);
    let mut pace = None;
    for number in 0..plan.rounds {
        let round = Round::run(plan, number, (&sides, &best), &requests).await?;
        if pace.is_none() {
            // at the rate of this machine's own open loops, not at one that it never sees
            let rate = round.bare.per_second / 2.0;
            pace = Some(keeps_pace(sides.echo.addr, &requests, rate, plan.length.min(Duration::from_secs(5))).await?);
        }
        progress(&format!("round {}: {}", number + 1, round.json()));
        rounds.push(round);
    }
    Ok(report(plan, &rounds, &best, pace.as_ref()))
}

impl Sides {
    async fn start(plan: &Plan, redis: &str, requests: &Requests) -> Result<Self> {
        let workers = plan.workers.to_string();
        let role = async |words: &[&str]| child::start(&plan.server_cores, words).await;
        let gateway = role(&["gateway", redis, &workers]).await?;
        let bare = role(&["bare", redis, &workers]).await?;
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

impl Best {
    async fn find(sides: &Sides, requests: &Requests, length: Duration) -> Result<Self> {
        Ok(Self {
            gateway: best_connections(sides.gateway.addr, requests, length).await?,
            bare: best_connections(sides.bare.addr, requests, length).await?,
            echo: best_connections(sides.echo.addr, requests, length).await?,
        })
    }
}

impl Round {
    async fn run(plan: &Plan, number: usize, (sides, best): (&Sides, &Best), requests: &Requests) -> Result<Self> {
        let closed = async |role: &Role, connections| closed_loop(role.addr, requests, connections, plan.length).await;
        // who goes first changes from round to round
        let (gateway, bare) = if number.is_multiple_of(2) {
            let gateway = closed(&sides.gateway, best.gateway).await?;
            (gateway, closed(&sides.bare, best.bare).await?)
        } else {
            let bare = closed(&sides.bare, best.bare).await?;
            (closed(&sides.gateway, best.gateway).await?, bare)
        };
        let echo = closed(&sides.echo, best.echo).await?;
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

fn report(plan: &Plan, rounds: &[Round], best: &Best, pace: Option<&Measured>) -> Report {
    let mut figures = Figures::default();
    let ratio = figures.add("ratio_vs_bare", rounds, Round::ratio);
    let bare_of_echo = figures.add("bare_of_echo", rounds, Round::bare_of_echo);
    figures.add("p99_added_ms", rounds, Round::p99_added_ms);
    figures.add("gateway_per_second", rounds, |round| round.gateway.per_second);
    figures.add("bare_per_second", rounds, |round| round.bare.per_second);
    figures.add("echo_per_second", rounds, |round| round.echo.per_second);
    figures.add("gateway_p99_ms", rounds, |round| round.gateway_open.p99_us / 1e3);
    figures.add("bare_p99_ms", rounds, |round| round.bare_open.p99_us / 1e3);
    Report {
        name: "predict",
        figures: figures.medians,
        bar: json!({"ratio_vs_bare": format!(">= {RATIO_BAR}"), "bare_of_echo": format!(">= {BARE_OF_ECHO_BAR}")}),
        passed: ratio >= RATIO_BAR && bare_of_echo >= BARE_OF_ECHO_BAR,
        outputs_equal: Some(true),
        rounds: rounds.len(),
        spread: figures.spreads,
        seed: plan.seed,
        config: config(plan, best),
        per_round: rounds.iter().map(Round::json).collect(),
        peers: json!({
            "redis": first_line("redis-server", &["--version"]),
            "bare_loop": "hyper, redis and ort of this workspace's lock file",
            "generator_on_null_server": pace,
        }),
    }
}
