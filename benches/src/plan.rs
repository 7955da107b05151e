//! What every bench of servers is told: how long, how often, how many keys, and on which cores.
//!
//! The servers have one half of the cores, the load generator and Redis the other, so that neither takes the other's time.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

/// The arguments as written.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Two short rounds: to see that it runs, not to judge by
    #[arg(long)]
    quick: bool,
    /// Interleaved rounds
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of one measurement; each number of connections is first tried for a third of that
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
}

/// What was settled from the arguments and the machine.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Interleaved rounds.
    pub rounds: usize,
    /// Of one measurement.
    pub length: Duration,
    /// Entities in the store.
    pub keys: i64,
    /// Of rows, keys asked and arrivals.
    pub seed: u64,
    /// The servers' cores.
    pub server_cores: String,
    /// Cores of the load generator and Redis.
    pub load_cores: String,
    /// Worker threads of each server.
    pub workers: usize,
    /// Worker threads of the load generator.
    pub load_workers: usize,
}

impl Plan {
    /// Fills in what was not given.
    pub fn settle(settings: &Settings) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let half = (cores / 2).max(1);
        let list =
            |from: usize, to: usize| if to <= from + 1 { from.to_string() } else { format!("{from}-{}", to - 1) };
        let (rounds, seconds) = if settings.quick { (2, 3) } else { (5, 15) };
        Self {
            rounds: settings.rounds.unwrap_or(rounds).max(1),
            length: Duration::from_secs(settings.seconds.unwrap_or(seconds).max(1)),
            keys: settings.keys.max(1),
            seed: settings.seed,
            server_cores: settings.server_cores.clone().unwrap_or_else(|| list(0, half)),
            load_cores: settings.load_cores.clone().unwrap_or_else(|| list(cores - half, cores)),
            workers: settings.workers.unwrap_or(half).max(1),
            load_workers: half,
        }
    }

    /// The settings in effect with what is the bench's own, for its result.
    pub fn config(&self, own: Value) -> Value {
        let mut config = Map::from_iter([
            ("keys".to_owned(), json!(self.keys)),
            ("seconds".to_owned(), json!(self.length.as_secs())),
            ("server_cores".to_owned(), json!(self.server_cores)),
            ("load_and_redis_cores".to_owned(), json!(self.load_cores)),
            ("server_workers".to_owned(), json!(self.workers)),
            ("load_workers".to_owned(), json!(self.load_workers)),
        ]);
        if let Value::Object(own) = own {
            config.extend(own);
        }
        Value::Object(config)
    }
}
