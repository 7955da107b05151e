//! From [`RawConfig`] to [`Config`]: every problem is found at once, and nothing behind this edge checks again.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use tidegate_catalog::yaml;
use tidegate_store::RedisConfig;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::{
    RawConfig, Secret,
    raw::{RawDurability, RawGateway, RawLogFormat, RawMaterializer, RawStore},
};

/// The configuration that the program runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The project's name.
    pub project: String,
    /// The project's folder: relative paths in definitions start here.
    pub root: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// How long a retired generation's rows are kept.
    pub reclaim_grace: Duration,
    /// The online store.
    pub store: StoreSection,
    /// The HTTP gateway.
    pub gateway: GatewaySection,
    /// Materialization.
    pub materializer: MaterializerSection,
    /// The query engine.
    pub offline: OfflineSection,
    /// ONNX Runtime's library, where the configuration names one.
    pub onnxruntime: Option<PathBuf>,
    /// Logs.
    pub log: LogSection,
}

/// Which store, and how it is reached.
#[derive(Clone, Debug)]
pub enum StoreSection {
    /// In the state folder, by this process.
    Embedded {
        /// Whether a write survives the machine's death.
        power: bool,
        /// Key prefix.
        namespace: String,
    },
    /// A Redis or Valkey server.
    Redis {
        /// The URL, which may hold a password.
        url: Secret,
        /// The password by itself.
        password: Option<Secret>,
        /// Key prefix.
        namespace: String,
        /// When it counts as late.
        timeout: Duration,
    },
}

/// The `gateway` section, checked.
#[derive(Clone, Debug)]
pub struct GatewaySection {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Whether a public address is allowed.
    pub insecure: bool,
    /// Most requests at work.
    pub max_concurrent_requests: usize,
    /// Time to finish at shutdown.
    pub shutdown_grace: Duration,
    /// How far the store's event clock may be ahead.
    pub max_clock_skew: Duration,
}

/// The `materializer` section, checked.
#[derive(Clone, Copy, Debug)]
pub struct MaterializerSection {
    /// Bytes of the reduction.
    pub memory_bytes: usize,
    /// Rows of a call to the store.
    pub batch_rows: usize,
    /// Calls at one time.
    pub batches_in_flight: usize,
    /// Rejected rows that fail a run.
    pub error_budget_rows: u64,
}

/// The `offline` section, checked.
#[derive(Clone, Copy, Debug)]
pub struct OfflineSection {
    /// Bytes of a query.
    pub memory_bytes: usize,
    /// Partitions of a query; `None` is one a core.
    pub partitions: Option<usize>,
}

/// The `log` section, checked.
#[derive(Clone, Debug)]
pub struct LogSection {
    /// The filter; `None` is the command's own.
    pub level: Option<String>,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// One thing wrong in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct ConfigError {
    /// The key, like `gateway.listen`.
    pub path: &'static str,
    /// What is wrong and what to do.
    pub problem: String,
}

/// Collects problems, so that one check shows them all.
#[derive(Default)]
struct Errors(Vec<ConfigError>);

impl Errors {
    fn push(&mut self, path: &'static str, problem: impl Into<String>) {
        self.0.push(ConfigError { path, problem: problem.into() });
    }

    /// `value` as a count of at least one.
    fn positive(&mut self, path: &'static str, value: u64) -> usize {
        if value == 0 {
            self.push(path, "is 0; it must be at least 1");
        }
        usize::try_from(value).unwrap_or(usize::MAX)
    }
}

impl RawConfig {
    /// Checks everything; `root` is the project's folder.
    /// # Errors
    /// Every problem, each with its key.
    pub fn validate(self, root: &Path) -> Result<Config, Vec<ConfigError>> {
        let mut errors = Errors::default();
        if let Some(why) = yaml::name_refusal(&self.project) {
            errors.push("project", why);
        }
        let store = validate_store(self.store, &mut errors);
        let gateway = validate_gateway(&self.gateway, &mut errors);
        let materializer = validate_materializer(&self.materializer, &mut errors);
        if let Some(problem) = self.log.level.as_deref().and_then(level_problem) {
            errors.push("log.level", problem);
        }
        let config = Config {
            project: self.project,
            state: root.join(self.state.path),
            reclaim_grace: Duration::from_secs(self.state.reclaim_grace_seconds),
            onnxruntime: self.inference.onnxruntime.map(|path| root.join(path)),
            offline: OfflineSection {
                memory_bytes: errors.positive("offline.memory_bytes", self.offline.memory_bytes),
                partitions: (self.offline.partitions > 0).then_some(self.offline.partitions as usize),
            },
            log: LogSection {
                level: self.log.level,
                format: match self.log.format {
                    RawLogFormat::Text => LogFormat::Text,
                    RawLogFormat::Json => LogFormat::Json,
                },
            },
            root: root.to_owned(),
            materializer,
            store,
            gateway,
        };
        if errors.0.is_empty() { Ok(config) } else { Err(errors.0) }
    }
}

fn validate_store(raw: RawStore, errors: &mut Errors) -> StoreSection {
    let timeout = Duration::from_millis(errors.positive("store.timeout_ms", raw.timeout_ms) as u64);
    if raw.namespace.len() > 32 || !raw.namespace.bytes().all(|byte| byte.is_ascii_graphic()) {
        errors.push("store.namespace", "must be at most 32 printable ASCII characters without spaces");
    }
    let namespace = raw.namespace;
    if raw.url.is_embedded() {
        return StoreSection::Embedded { power: raw.durability == RawDurability::Power, namespace };
    }
    // the URL itself may hold a password, so only its scheme is said
    if raw.url.scheme() != Some("redis") {
        let scheme = raw.url.scheme().unwrap_or("no scheme");
        errors.push("store.url", format!("has {scheme:?}; it is `embedded` or a redis:// URL"));
        return StoreSection::Embedded { power: false, namespace };
    }
    let (url, password) = (raw.url.into_secret(), raw.password);
    if let Err(why) = RedisConfig::check(url.reveal(), password.as_ref().map(Secret::reveal)) {
        errors.push("store.url", why);
    }
    StoreSection::Redis { url, password, namespace, timeout }
}

/// What is wrong with a log filter. A bare word that is no level would be the name of a target, and silence the rest.
fn level_problem(level: &str) -> Option<String> {
    let how = "write it like info or info,tidegate_store=debug";
    let bare =
        level.split(',').map(str::trim).find(|part| !part.contains(['=', '[']) && part.parse::<LevelFilter>().is_err());
    if let Some(word) = bare {
        return Some(format!("{word:?} is no level (off, error, warn, info, debug, trace); {how}"));
    }
    EnvFilter::try_new(level).err().map(|error| format!("{level:?}: {error}; {how}"))
}

fn validate_gateway(raw: &RawGateway, errors: &mut Errors) -> GatewaySection {
    let listen = raw.listen.parse::<SocketAddr>().unwrap_or_else(|_| {
        errors.push("gateway.listen", format!("{:?} is not an address; write it like 127.0.0.1:6566", raw.listen));
        SocketAddr::from(([127, 0, 0, 1], 0))
    });
    if !listen.ip().is_loopback() && !raw.insecure {
        errors.push(
            "gateway.listen",
            format!(
                "{listen} is public and nobody is authenticated; listen on 127.0.0.1, or say gateway.insecure: true"
            ),
        );
    }
    GatewaySection {
        listen,
        insecure: raw.insecure,
        max_concurrent_requests: errors
            .positive("gateway.max_concurrent_requests", u64::from(raw.max_concurrent_requests)),
        shutdown_grace: Duration::from_millis(raw.shutdown_grace_ms),
        max_clock_skew: Duration::from_millis(raw.max_clock_skew_ms),
    }
}

fn validate_materializer(raw: &RawMaterializer, errors: &mut Errors) -> MaterializerSection {
    MaterializerSection {
        memory_bytes: errors.positive("materializer.memory_bytes", raw.memory_bytes),
        batch_rows: errors.positive("materializer.batch_rows", u64::from(raw.batch_rows)),
        batches_in_flight: errors.positive("materializer.batches_in_flight", u64::from(raw.batches_in_flight)),
        error_budget_rows: raw.error_budget_rows,
    }
}
