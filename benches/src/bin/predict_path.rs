//! Bench `predict_path`: what one fused predict costs, counted and not timed, so that it does not vary with the machine.
//!
//! Allocations of all threads by a counting allocator (ONNX Runtime's own, in C++, are not seen); system calls by
//! `strace` and copied bytes by a preloaded memcpy, both as the difference of two runs (ONNX Runtime's included). One row
//! of 30 floats from three views, on the embedded store, one connection.

use std::{collections::BTreeMap, net::SocketAddr, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use serde_json::{Map, json};
use tempfile::TempDir;
use tidegate_benches::{
    catalog, child,
    clock::SystemClock,
    copies,
    counting::{Count, Counting},
    fill, gateway,
    raw_client::{self, RawClient},
    report::{Report, first_line, median, rounded, spread},
    syscalls,
};
use tidegate_store::{AnyStore, EmbeddedConfig, EmbeddedStore};
use tokio::process::Command;

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

/// Most allocations of one request; ARCHITECTURE.md, "The hot path's budget".
const ALLOCATIONS_BUDGET: f64 = 40.0;
/// Most system calls of one request.
const SYSCALLS_BUDGET: f64 = 20.0;
/// Most bytes that one request copies by calls of memcpy and memmove. In the dev profile each move of a value is one.
const COPIED_BUDGET: f64 = if cfg!(debug_assertions) { 196_608.0 } else { 14_336.0 };

const KEYS: i64 = 1_000;
const WARM_UP: usize = 500;
/// Requests of one counted round.
const COUNTED: usize = 1_000;
/// Requests of the shorter and of the longer run of a counted process.
const TRACED: [u64; 2] = [500, 2_500];
/// Pause between traced requests: every thread goes to sleep, so that all wake-ups are seen and counts do not depend on
/// how fast the next request came.
const THINK: Duration = Duration::from_millis(1);
/// A name with fewer calls a request than this is start, end or a timer.
const NOISE: f64 = 0.02;

#[derive(Parser)]
#[command(about = "Allocations, copied bytes and system calls of one fused predict; the last line is one JSON object")]
struct Arguments {
    #[command(subcommand)]
    role: Option<RoleCommand>,
    /// Rounds of counted requests
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seed of rows and keys asked
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

#[derive(Subcommand)]
enum RoleCommand {
    /// The gateway, counted from outside (started by the bench)
    #[command(hide = true)]
    Serve { seed: u64 },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // one worker: a request's wake-ups do not depend on how many cores the machine has
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    if let Some(RoleCommand::Serve { seed }) = arguments.role {
        return runtime.block_on(serve(seed));
    }
    let rounds = count(&runtime, &arguments)?;
    let traced = runtime.block_on(async {
        let (syscalls, copied_bytes) = (trace(arguments.seed).await?, copied(arguments.seed).await?);
        Ok::<_, anyhow::Error>(Traced { syscalls, copied_bytes })
    })?;
    let report = report(&arguments, &rounds, &traced);
    report.print()?;
    ensure!(report.passed, "one request costs more than its budget");
    Ok(())
}

/// A filled embedded store in `folder` and a gateway over it.
async fn bound(seed: u64, folder: &TempDir) -> Result<tidegate_gateway::Bound> {
    let store = EmbeddedStore::open(folder.path(), &EmbeddedConfig::default(), Arc::new(SystemClock::started()))?;
    let store = AnyStore::Embedded(store);
    fill::fill(&store, KEYS, seed).await?;
    gateway::bind(store, 1, folder).await
}

async fn serve(seed: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bound = bound(seed, &folder).await?;
    child::announce(bound.addr)?;
    bound.run(child::parent_gone()).await;
    Ok(())
}

/// The requests as bytes, made before anything is counted.
fn requests(seed: u64) -> Vec<Vec<u8>> {
    let requests = catalog::requests(KEYS, COUNTED, seed);
    requests.bodies.iter().map(|body| raw_client::post(&requests.path, body)).collect()
}

/// Allocations of each round's requests; the client allocates nothing.
fn count(runtime: &tokio::runtime::Runtime, arguments: &Arguments) -> Result<Vec<Count>> {
    let folder = tempfile::tempdir()?;
    let bound = runtime.block_on(bound(arguments.seed, &folder))?;
    let addr = bound.addr;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = runtime.spawn(bound.run(async move { drop(stopped.await) }));
    let requests = requests(arguments.seed);
    let mut client = RawClient::connect(addr)?;
    send(&mut client, &requests, WARM_UP)?;
    let mut rounds = Vec::with_capacity(arguments.rounds);
    for _ in 0..arguments.rounds.max(1) {
        let before = ALLOCATOR.count();
        send(&mut client, &requests, COUNTED)?;
        rounds.push(ALLOCATOR.count().since(before));
    }
    drop((client, stop));
    runtime.block_on(running)?;
    Ok(rounds)
}

fn send(client: &mut RawClient, requests: &[Vec<u8>], count: usize) -> Result<()> {
    requests.iter().cycle().take(count).try_for_each(|request| client.call(request))
}

/// What one request costs a process of its own.
struct Traced {
    /// Calls by name.
    syscalls: BTreeMap<String, f64>,
    copied_bytes: f64,
}

/// System calls of one request by name.
async fn trace(seed: u64) -> Result<BTreeMap<String, f64>> {
    let [fewer, more] = TRACED;
    let folder = tempfile::tempdir()?;
    let summary = folder.path().join("summary");
    let mut counted = Vec::new();
    for count in TRACED {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-c", "-o"]).arg(&summary).arg(std::env::current_exe()?);
        serve_some(strace, seed, count).await.context("strace cannot run the server; `make deps` installs it")?;
        counted.push(syscalls::counts(&std::fs::read_to_string(&summary)?));
    }
    Ok(syscalls::per_request(&counted[0], &counted[1], more - fewer, NOISE))
}

/// Bytes that one request copies.
async fn copied(seed: u64) -> Result<f64> {
    let [fewer, more] = TRACED;
    let folder = tempfile::tempdir()?;
    let counter = copies::Counter::build(folder.path())?;
    let mut counted = Vec::new();
    for count in TRACED {
        let mut command = Command::new(std::env::current_exe()?);
        command.envs(counter.environment());
        serve_some(command, seed, count).await.context("the server cannot run with a counting memcpy")?;
        counted.push(counter.copied_bytes()?);
    }
    Ok(counted[1].saturating_sub(counted[0]) as f64 / (more - fewer) as f64)
}

/// Starts a server by `command`, has it answer `count` requests, and ends it.
async fn serve_some(mut command: Command, seed: u64, count: u64) -> Result<()> {
    command.args(["serve", &seed.to_string()]).stderr(Stdio::null());
    let role = child::started(&mut command).await?;
    let addr: SocketAddr = role.addr;
    let sending = tokio::task::spawn_blocking(move || {
        let mut client = RawClient::connect(addr)?;
        for request in requests(seed).iter().cycle().take(usize::try_from(count)?) {
            client.call(request)?;
            std::thread::sleep(THINK);
        }
        Ok::<_, anyhow::Error>(())
    });
    sending.await??;
    role.end().await
}

fn report(arguments: &Arguments, rounds: &[Count], traced: &Traced) -> Report {
    let each = |of: fn(&Count) -> u64| rounds.iter().map(|round| of(round) as f64 / COUNTED as f64).collect::<Vec<_>>();
    let allocations = each(|round| round.allocations);
    let bytes = each(|round| round.bytes);
    let syscalls = traced.syscalls.values().sum::<f64>();
    let by_name = traced.syscalls.iter().map(|(name, calls)| (name.clone(), rounded(*calls)));
    let spreads = [("allocations_per_request", &allocations), ("allocated_bytes_per_request", &bytes)];
    Report {
        name: "predict_path",
        figures: Map::from_iter([
            ("allocations_per_request".to_owned(), rounded(median(&allocations))),
            ("allocated_bytes_per_request".to_owned(), rounded(median(&bytes))),
            ("copied_bytes_per_request".to_owned(), rounded(traced.copied_bytes)),
            ("syscalls_per_request".to_owned(), rounded(syscalls)),
            ("syscalls_by_name".to_owned(), by_name.collect::<Map<_, _>>().into()),
        ]),
        bar: json!({
            "allocations_per_request": format!("<= {ALLOCATIONS_BUDGET}"),
            "syscalls_per_request": format!("<= {SYSCALLS_BUDGET}"),
            "copied_bytes_per_request": format!("<= {COPIED_BUDGET}"),
        }),
        passed: median(&allocations) <= ALLOCATIONS_BUDGET
            && syscalls <= SYSCALLS_BUDGET
            && traced.copied_bytes <= COPIED_BUDGET,
        outputs_equal: None,
        rounds: rounds.len(),
        spread: spreads.map(|(name, values)| (name.to_owned(), rounded(spread(values)))).into_iter().collect(),
        seed: arguments.seed,
        config: json!({
            "store": "embedded", "keys": KEYS, "requests_per_round": COUNTED, "workers": 1, "model_replicas": 1,
            "not_counted": "allocations inside ONNX Runtime; copies that the compiler writes out in place",
        }),
        per_round: rounds
            .iter()
            .map(|round| json!({"allocations": round.allocations, "allocated_bytes": round.bytes}))
            .collect(),
        peers: json!({"strace": first_line("strace", &["--version"])}),
    }
}
