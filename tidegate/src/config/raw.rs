//! The configuration as it may be written. Each comment is the reference text and goes into the JSON Schema.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Secret, StoreUrl};

/// `tidegate.yaml`: the project's name and its configuration.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// The project's name: `[A-Za-z_][A-Za-z0-9_]*`.
    pub project: String,
    /// Where the state lies.
    #[serde(default)]
    pub state: RawState,
    /// The online store.
    #[serde(default)]
    pub store: RawStore,
    /// The HTTP gateway.
    #[serde(default)]
    pub gateway: RawGateway,
    /// Materialization.
    #[serde(default)]
    pub materializer: RawMaterializer,
    /// The query engine behind materialization and validation.
    #[serde(default)]
    pub offline: RawOffline,
    /// Model inference.
    #[serde(default)]
    pub inference: RawInference,
    /// Logs.
    #[serde(default)]
    pub log: RawLog,
}

/// Where the state lies.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawState {
    /// The state folder (registry, embedded store, last good snapshot), relative to the project's folder. Default `.tidegate`.
    pub path: String,
    /// Seconds between readers leaving a generation and its rows being reclaimed. Default 3600.
    pub reclaim_grace_seconds: u64,
}

/// The online store.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawStore {
    /// `embedded` (the default), or `redis://[user[:password]@]host:port[/database]`. In a password, `@ # % $ /` are
    /// written as `%40 %23 %25 %24 %2F`, or the password is given by itself in `store.password`.
    pub url: StoreUrl,
    /// The password, as it is; wins over one in the URL. Best given as `TIDEGATE__STORE__PASSWORD`.
    pub password: Option<Secret>,
    /// A short prefix of every key, so that several registries can share one server. Default: none.
    pub namespace: String,
    /// Milliseconds after which a Redis server that does not answer counts as late; the embedded store has no such limit.
    /// Default 1000.
    pub timeout_ms: u64,
    /// What an acknowledged write to the embedded store survives: `process` (its death) or `power` (the machine's). Default `process`.
    pub durability: RawDurability,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawDurability {
    /// The death of the process.
    #[default]
    Process,
    /// The death of the machine.
    Power,
}

/// The HTTP gateway.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawGateway {
    /// The address to listen on. Default `127.0.0.1:6566`; port 0 takes a free one.
    pub listen: String,
    /// Allows a public address although nobody is authenticated. Default false.
    pub insecure: bool,
    /// Most requests at work at one time; more are answered 429. Default 1024.
    pub max_concurrent_requests: u32,
    /// Milliseconds that running requests get to finish at shutdown. Default 10000.
    pub shutdown_grace_ms: u64,
    /// Milliseconds that the store's event clock may be ahead of this gateway's. Default 2000.
    pub max_clock_skew_ms: u64,
}

/// Materialization.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawMaterializer {
    /// Bytes that the reduction to one row a key may hold for the views that are written together (at most four of one key
    /// set), all of them; beyond, rows go to files by key and are reduced part by part. Two such groups may be under way, one
    /// read while the other is written. Default 67108864 (64 MiB).
    pub memory_bytes: u64,
    /// Rows in one call to the store; those of one key are not parted. Default 100.
    pub batch_rows: u32,
    /// Calls to the store at one time. Default 8.
    pub batches_in_flight: u32,
    /// Rejected rows (oversize, null key...) after which a run fails. Default 1000.
    pub error_budget_rows: u64,
}

/// The query engine.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawOffline {
    /// Bytes that a query may hold before it spills to disk. Default 1073741824 (1 GiB).
    pub memory_bytes: u64,
    /// Partitions of a query. Default 0: as many as there are cores.
    pub partitions: u32,
}

/// Model inference.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawInference {
    /// ONNX Runtime's shared library. Default: `ORT_DYLIB_PATH`, else the one that `make runtime` installs.
    pub onnxruntime: Option<String>,
}

/// Logs, on standard error.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawLog {
    /// `error`, `warn`, `info`, `debug` or a filter such as `info,tidegate_store=debug`. Default `info` for serve, `warn` else.
    pub level: Option<String>,
    /// `text` or `json`. Default `text`.
    pub format: RawLogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawLogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for RawState {
    fn default() -> Self {
        Self { path: ".tidegate".to_owned(), reclaim_grace_seconds: 3600 }
    }
}

impl Default for RawStore {
    fn default() -> Self {
        Self {
            url: StoreUrl::embedded(),
            password: None,
            namespace: String::new(),
            timeout_ms: 1000,
            durability: RawDurability::Process,
        }
    }
}

impl Default for RawGateway {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:6566".to_owned(),
            insecure: false,
            max_concurrent_requests: 1024,
            shutdown_grace_ms: 10_000,
            max_clock_skew_ms: 2_000,
        }
    }
}

impl Default for RawMaterializer {
    fn default() -> Self {
        Self { memory_bytes: 64 * 1024 * 1024, batch_rows: 100, batches_in_flight: 8, error_budget_rows: 1000 }
    }
}

impl Default for RawOffline {
    fn default() -> Self {
        Self { memory_bytes: 1024 * 1024 * 1024, partitions: 0 }
    }
}

impl Default for RawLog {
    fn default() -> Self {
        Self { level: None, format: RawLogFormat::Text }
    }
}

/// The JSON Schema of `tidegate.yaml`.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RawConfig).to_value()
}
