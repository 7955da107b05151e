//! Bench `online_features`: `/get-online-features` on Redis, thirty features of 1 and of 100 keys, against Feast's own
//! feature server and against a bare server that does the same HMGETs and writes the same JSON, in turns.
//!
//! Figures: `ratio_vs_feast_1`, `ratio_vs_feast_100`, and `ratio_vs_bare_features`, the worse of the two sizes. All are
//! saturations, each side at its own best number of connections and on the same cores.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tidegate_benches::{
    bare_features::BareFeatures,
    catalog,
    child::{self, Role, announced, runtime, until_closed},
    feast::{FeastRepository, FeastServer},
    fill, gateway,
    load::{CONNECTIONS, Client, Requests, Saturation, best_connections, closed_loop},
    plan::{Plan, Settings},
    redis_server::RedisServer,
    report::{Figures, Report, first_line, progress, rounded},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keys of one request, and the bar of the ratio to Feast.
const SIZES: [(usize, f64); 2] = [(1, 50.0), (100, 30.0)];
/// The bar of the ratio to the bare server, at each size.
const BARE_BAR: f64 = 0.5;
/// Workers of Feast's server.
const FEAST_WORKERS: usize = 2;
/// Bodies drawn beforehand.
const BODIES: usize = 20_000;

#[derive(Parser)]
#[command(about = "Feast's feature read against Feast's server and a bare one; the last line is one JSON object")]
struct Command {
    #[command(subcommand)]
    role: Option<RoleCommand>,
    #[command(flatten)]
    settings: Settings,
    /// The folder of Feast's programs; `scripts/bench-peers` installs and prints it
    #[arg(long, default_value = ".cache/peers/bin")]
    peers: PathBuf,
    /// Cores of Feast's server; the other servers' unless given
    #[arg(long)]
    feast_cores: Option<String>,
}

#[derive(Subcommand)]
enum RoleCommand {
    /// The gateway (started by the bench)
    #[command(hide = true)]
    Gateway { redis: String, workers: usize },
    /// The bare server (started by the bench)
    #[command(hide = true)]
    Bare { redis: String, workers: usize },
}

fn main() -> Result<()> {
    let command = Command::parse();
    match command.role {
        None => {
            let plan = Plan::settle(&command.settings);
            let feast_cores = command.feast_cores.unwrap_or_else(|| plan.server_cores.clone());
            child::pin_self(&plan.load_cores)?;
            let report =
                runtime(plan.load_workers)?.block_on(bench(&plan, command.peers.canonicalize()?, feast_cores))?;
            report.print()?;
            ensure!(report.passed, "a bar was not reached");
            Ok(())
        }
        Some(RoleCommand::Gateway { redis, workers }) => {
            runtime(workers)?.block_on(gateway::serve_redis(&redis, workers))
        }
        Some(RoleCommand::Bare { redis, workers }) => runtime(workers)?.block_on(async {
            let bare = BareFeatures::start(&redis, workers).await?;
            let listener = announced().await?;
            until_closed(bare.serve(listener)).await
        }),
    }
}

/// The three sides; an address each is all that the rounds need.
struct Sides {
    gateway: Role,
    bare: Role,
    feast: FeastServer,
}

/// One figure per side.
#[derive(Clone, Copy, Serialize)]
struct PerSide<T> {
    gateway: T,
    bare: T,
    feast: T,
}

/// One round of one size.
type Round = PerSide<Saturation>;

impl Sides {
    async fn start(plan: &Plan, redis: &str, repository: &FeastRepository, feast_cores: &str) -> Result<Self> {
        let workers = plan.workers.to_string();
        let role = async |name| child::start(&plan.server_cores, &[name, redis, &workers]).await;
        let (gateway, bare) = (role("gateway").await?, role("bare").await?);
        Ok(Self { gateway, bare, feast: repository.serve(feast_cores, FEAST_WORKERS).await? })
    }

    fn addresses(&self) -> PerSide<SocketAddr> {
        PerSide { gateway: self.gateway.addr, bare: self.bare.addr, feast: self.feast.addr }
    }
}

impl PerSide<SocketAddr> {
    async fn best(&self, requests: &Requests, plan: &Plan) -> Result<PerSide<usize>> {
        let best = async |addr| best_connections(addr, requests, plan.length / 3).await;
        Ok(PerSide { gateway: best(self.gateway).await?, bare: best(self.bare).await?, feast: best(self.feast).await? })
    }

    async fn round(&self, requests: &Requests, best: &PerSide<usize>, plan: &Plan) -> Result<Round> {
        let closed = async |addr, connections| closed_loop(addr, requests, connections, plan.length).await;
        let gateway = closed(self.gateway, best.gateway).await?;
        let bare = closed(self.bare, best.bare).await?;
        Ok(Round { gateway, bare, feast: closed(self.feast, best.feast).await? })
    }

    /// Compares the answers on some requests: the bare server's byte for byte, Feast's name by name.
    async fn equal_outputs(&self, requests: &Requests) -> Result<()> {
        const SAMPLES: usize = 20;
        let mut gateway = Client::connect(self.gateway).await?;
        let mut bare = Client::connect(self.bare).await?;
        let mut feast = Client::connect(self.feast).await?;
        for index in 0..SAMPLES {
            let (path, body) = (&requests.path, requests.body(index));
            let ours = gateway.post(path, body.clone()).await?;
            let theirs = bare.post(path, body.clone()).await?;
            ensure!(ours == theirs, "gateway and bare server differ for {body:?}: {ours:?} {theirs:?}");
            let theirs = feast.post(path, body.clone()).await?;
            ensure!(columns(&ours)? == columns(&theirs)?, "gateway and Feast differ for {body:?}: {ours:?} {theirs:?}");
        }
        Ok(())
    }
}

/// A column of an answer, whoever wrote it.
#[derive(PartialEq)]
struct Column {
    values: Vec<f32>,
    statuses: Value,
    times: Value,
}

/// An answer's columns by name.
fn columns(answer: &[u8]) -> Result<HashMap<String, Column>> {
    let answer: Value = serde_json::from_slice(answer)?;
    let names = answer["metadata"]["feature_names"].as_array().context("an answer has names")?;
    let results = answer["results"].as_array().context("an answer has results")?;
    ensure!(names.len() == results.len(), "an answer has {} names, {} results", names.len(), results.len());
    let column = |(name, result): (&Value, &Value)| {
        let values = result["values"].as_array().into_iter().flatten().map(|value| value.as_f64().unwrap_or(f64::NAN));
        let (statuses, times) = (result["statuses"].clone(), result["event_timestamps"].clone());
        let column = Column { values: values.map(|value| value as f32).collect(), statuses, times };
        (name.as_str().unwrap_or_default().to_owned(), column)
    };
    Ok(names.iter().zip(results).map(column).collect())
}

async fn bench(plan: &Plan, peers: PathBuf, feast_cores: String) -> Result<Report> {
    let redis = RedisServer::start(&plan.load_cores).await?;
    progress(&format!("filling {} keys x {} views, ours and Feast's", plan.keys, catalog::VIEWS));
    fill::fill(&fill::redis_store(&redis.url)?, plan.keys, plan.seed).await?;
    let repository = FeastRepository::prepare(&peers, &redis.url, plan.keys, plan.seed).await?;
    repository.materialize().await?;
    let sides = Sides::start(plan, &redis.url, &repository, &feast_cores).await?;
    let addresses = sides.addresses();
    let mut cases = Vec::new();
    for (size, _) in SIZES {
        let requests = catalog::feature_requests(plan.keys, size, BODIES.div_ceil(size), plan.seed);
        addresses.equal_outputs(&requests).await?;
        let best = addresses.best(&requests, plan).await?;
        progress(&format!("{size} keys: answers are equal; best connections {}", json!(best)));
        cases.push((size, requests, best, Vec::with_capacity(plan.rounds)));
    }
    for number in 0..plan.rounds {
        for (size, requests, best, rounds) in &mut cases {
            let round = addresses.round(requests, best, plan).await?;
            progress(&format!("round {}, {size} keys: {}", number + 1, json!(round)));
            rounds.push(round);
        }
    }
    let config = plan.config(json!({
        "feast_cores": feast_cores, "feast_workers": FEAST_WORKERS, "connections_tried": CONNECTIONS,
        "best_connections": cases.iter().map(|(size, _, best, _)| (size.to_string(), json!(best))).collect::<Map<_, _>>(),
    }));
    let cases = cases.into_iter().map(|(size, _, _, rounds)| (size, rounds)).collect::<Vec<_>>();
    let version = first_line(&peers.join("feast").to_string_lossy(), &["version"]);
    Ok(report(plan, &cases, config, &version))
}

fn report(plan: &Plan, cases: &[(usize, Vec<Round>)], config: Value, feast: &str) -> Report {
    let (mut figures, mut bars) = (Figures::default(), Map::new());
    let mut passed = true;
    let mut worst_of_bare = f64::INFINITY;
    for ((size, rounds), (_, bar)) in cases.iter().zip(SIZES) {
        let name = format!("ratio_vs_feast_{size}");
        passed &= figures.add(&name, rounds, |round| round.gateway.per_second / round.feast.per_second) >= bar;
        bars.insert(name, json!(format!(">= {bar}")));
        let of_bare = figures.add(format!("ratio_vs_bare_features_{size}"), rounds, |round| {
            round.gateway.per_second / round.bare.per_second
        });
        worst_of_bare = worst_of_bare.min(of_bare);
        figures.add(format!("gateway_per_second_{size}"), rounds, |round| round.gateway.per_second);
        figures.add(format!("bare_per_second_{size}"), rounds, |round| round.bare.per_second);
        figures.add(format!("feast_per_second_{size}"), rounds, |round| round.feast.per_second);
    }
    figures.medians.insert("ratio_vs_bare_features".to_owned(), rounded(worst_of_bare));
    bars.insert("ratio_vs_bare_features".to_owned(), json!(format!(">= {BARE_BAR}")));
    Report {
        name: "online_features",
        figures: figures.medians,
        bar: Value::Object(bars),
        passed: passed && worst_of_bare >= BARE_BAR,
        outputs_equal: Some(true),
        rounds: plan.rounds,
        spread: figures.spreads,
        seed: plan.seed,
        config,
        per_round: cases.iter().map(|(size, rounds)| json!({"keys": size, "rounds": rounds})).collect(),
        peers: json!({
            "redis": first_line("redis-server", &["--version"]), "feast": feast,
            "bare_server": "hyper and redis of this workspace's lock file",
        }),
    }
}
