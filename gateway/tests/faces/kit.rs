//! A running gateway and a client of a few lines: bytes out, bytes in.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tempfile::TempDir;
use tidegate_catalog::{Deadline, EntityKey, KeyValue, Micros, RowLayout, Snapshot, Stamp, Value, clock::ManualClock};
use tidegate_gateway::{
    DroppingSink, FakeModel, FakeModels, FeedError, Gateway, GatewayConfig, MetricsPage, ModelLoader, Newest, Parts,
    PredictionSink, Published, SnapshotFeed,
};
use tidegate_inference::signature::ElementType;
use tidegate_store::{AnyStore, EmbeddedConfig, EmbeddedStore, OnlineStore as _, Put, RedisConfig, RedisStore, Timed};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{oneshot, watch},
    task::JoinHandle,
};

use crate::definitions::{NOON, snapshot};

/// A gateway under test and everything around it.
pub(crate) struct Sandbox {
    pub(crate) addr: SocketAddr,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) feed: Arc<TestFeed>,
    pub(crate) store: Arc<Timed<AnyStore>>,
    /// While true, runs of the model `held` wait.
    pub(crate) hold: watch::Sender<bool>,
    /// While false, the model `cold` is not ready.
    pub(crate) warm: watch::Sender<bool>,
    pub(crate) folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

/// What a sandbox starts with.
pub(crate) struct Setup {
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) sink: Arc<dyn PredictionSink>,
    pub(crate) folder: TempDir,
    pub(crate) change: fn(&mut GatewayConfig),
    /// A Redis server instead of the embedded store.
    pub(crate) redis: Option<String>,
    /// Fakes unless a test brings a loader.
    pub(crate) models: Option<ModelLoader>,
    pub(crate) as_of: Option<Micros>,
    /// What the feed does without a snapshot.
    pub(crate) feed: FeedState,
}

/// What a feed that has no snapshot does.
pub(crate) enum FeedState {
    Down,
    Empty,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            snapshot: Some(snapshot(1)),
            sink: Arc::new(DroppingSink),
            folder: TempDir::new().unwrap(),
            change: |_| {},
            redis: None,
            models: None,
            as_of: None,
            feed: FeedState::Down,
        }
    }
}

/// A feed that publishes what a test says.
#[derive(Debug)]
pub(crate) struct TestFeed {
    state: Mutex<Result<Option<Published>, FeedError>>,
}

impl TestFeed {
    pub(crate) fn empty() -> Self {
        Self { state: Mutex::new(Ok(None)) }
    }

    pub(crate) fn publish(&self, snapshot: &Snapshot) {
        let bytes = Bytes::from(snapshot.to_bytes());
        *self.state.lock().unwrap() = Ok(Some(Published { version: snapshot.version, bytes }));
    }

    pub(crate) fn publish_bytes(&self, version: u64, bytes: &'static [u8]) {
        *self.state.lock().unwrap() = Ok(Some(Published { version, bytes: Bytes::from_static(bytes) }));
    }

    pub(crate) fn fail(&self, message: &str) {
        *self.state.lock().unwrap() = Err(FeedError { message: message.to_owned() });
    }
}

impl SnapshotFeed for TestFeed {
    fn newest(&self, known: Option<u64>) -> Newest<'_> {
        let state = self.state.lock().unwrap().clone();
        Box::pin(async move { Ok(state?.filter(|published| Some(published.version) != known)) })
    }
}

impl Sandbox {
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    #[expect(clippy::disallowed_methods, reason = "a test's tasks end with it")]
    pub(crate) async fn with(setup: Setup) -> Self {
        let Setup { snapshot, sink, folder, change, redis, models, as_of, feed: without } = setup;
        let clock = Arc::new(ManualClock::at(Micros::parse(NOON).unwrap()));
        let store = match redis {
            Some(url) => redis_store(url, &clock),
            None => embedded_store(&folder, &clock),
        };
        let (kind, metrics) = (store.kind(), MetricsPage::new().unwrap());
        let store = Arc::new(metrics.with(|| Timed::new(store, kind, Arc::<ManualClock>::clone(&clock))));
        let feed = Arc::new(TestFeed::empty());
        match (&snapshot, without) {
            (Some(snapshot), _) => feed.publish(snapshot),
            (None, FeedState::Down) => feed.fail("the registry is down"),
            (None, FeedState::Empty) => {}
        }
        let (hold, held) = watch::channel(false);
        let (warm, warmed) = watch::channel(false);
        let mut config = GatewayConfig::new("127.0.0.1:0".parse().unwrap(), last_good(&folder));
        config.poll_interval = Duration::from_millis(20);
        change(&mut config);
        let parts = Parts {
            clock: Arc::<ManualClock>::clone(&clock),
            store: Arc::clone(&store),
            models: models.unwrap_or_else(|| ModelLoader::fake(fakes(held, warmed))),
            feed: Arc::<TestFeed>::clone(&feed),
            sink,
            metrics,
            id_seed: 7,
            as_of,
        };
        let bound = Gateway::bind(config, parts).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let addr = bound.addr;
        let running = tokio::spawn(bound.run(async move { drop(stopped.await) }));
        Self { addr, clock, feed, store, hold, warm, folder, stop: Some(stop), running }
    }

    /// The parts of another gateway over this one's store and clock, without a catalog.
    pub(crate) fn parts(&self, as_of: Option<Micros>) -> Parts {
        Parts {
            clock: Arc::<ManualClock>::clone(&self.clock),
            store: Arc::clone(&self.store),
            models: ModelLoader::fake(FakeModels::default()),
            feed: Arc::new(TestFeed::empty()),
            sink: Arc::new(DroppingSink),
            metrics: MetricsPage::new().unwrap(),
            id_seed: 1,
            as_of,
        }
    }

    /// The settings of another gateway, at a free port.
    pub(crate) fn another(&self) -> GatewayConfig {
        GatewayConfig::new("127.0.0.1:0".parse().unwrap(), self.folder.path().join("another"))
    }

    /// Tells the gateway to stop; [`Sandbox::stopped`] waits for it.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until the gateway has stopped, and gives its folder back.
    pub(crate) async fn stopped(self) -> TempDir {
        tokio::time::timeout(Duration::from_secs(10), self.running).await.expect("the gateway stops").unwrap();
        self.folder
    }

    /// Puts a row of `view` under the key `values`, `age_us` old.
    pub(crate) async fn put(&self, view: &str, key: &[KeyValue<'_>], age_us: i64, values: &[Value<'_>]) {
        self.put_row(view, key, age_us, Some(values)).await;
    }

    /// Puts a tombstone.
    pub(crate) async fn delete(&self, view: &str, key: &[KeyValue<'_>]) {
        self.put_row(view, key, 0, None).await;
    }

    /// Puts bytes that are no row of the cell.
    pub(crate) async fn put_foreign(
        &self,
        view: &str,
        key: &[KeyValue<'_>],
        other: &[KeyValue<'_>],
        values: &[Value<'_>],
    ) {
        let mut put = row(view, other, 0, Some(values));
        put.key = row(view, key, 0, None).key;
        self.store.put(&[put], Deadline::NEVER).await.unwrap();
    }

    async fn put_row(&self, view: &str, key: &[KeyValue<'_>], age_us: i64, values: Option<&[Value<'_>]>) {
        let put = row(view, key, age_us, values);
        self.store.put(&[put], Deadline::NEVER).await.unwrap();
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        Client::connect(self.addr).await.post(path, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Client::connect(self.addr).await.get(path).await
    }
}

fn embedded_store(folder: &TempDir, clock: &Arc<ManualClock>) -> AnyStore {
    let small = EmbeddedConfig { cache_bytes: 4 * 1024 * 1024, ..EmbeddedConfig::default() };
    AnyStore::Embedded(EmbeddedStore::open(folder.path(), &small, Arc::<ManualClock>::clone(clock)).unwrap())
}

fn redis_store(url: String, clock: &Arc<ManualClock>) -> AnyStore {
    let timeout = Duration::from_millis(500);
    let config = RedisConfig { url, password: None, namespace: String::new(), timeout };
    AnyStore::Redis(RedisStore::new(&config, Arc::<ManualClock>::clone(clock)).unwrap())
}

fn last_good(folder: &TempDir) -> PathBuf {
    folder.path().join("last_good.snapshot")
}

fn fakes(held: watch::Receiver<bool>, warm: watch::Receiver<bool>) -> FakeModels {
    let named = FakeModel::by_name(&[
        ("stats__trips", ElementType::Int64),
        ("stats__city", ElementType::String),
        ("stats__rate", ElementType::Float64),
        ("stats__ok", ElementType::Float32),
    ]);
    let noted = FakeModel::by_name(&[("note", ElementType::String), ("stats__rate", ElementType::Float32)]);
    FakeModels::default()
        .with("noted", noted)
        .with("packed", FakeModel::packed())
        .with("held", FakeModel::packed().held(held))
        .with("cold", FakeModel::packed().warm_when(warm))
        .with("named", named)
}

fn row(view: &str, key: &[KeyValue<'_>], age_us: i64, values: Option<&[Value<'_>]>) -> Put {
    let snapshot = snapshot(1);
    let generation = snapshot.serving(view).unwrap();
    let types = generation.features.iter().map(|feature| feature.feature_type).collect::<Vec<_>>();
    let layout = RowLayout::new(&types);
    let mut buffer = BytesMut::new();
    let key = EntityKey::encode(snapshot.project, generation.key_set, key.iter().copied(), &mut buffer).unwrap();
    let check = layout.cell_check(generation.field).of(&key);
    let stamp = Stamp { event: Micros(Micros::parse(NOON).unwrap().0 - age_us), created: None };
    let mut out = BytesMut::new();
    match values {
        Some(values) => layout.encode(stamp, check, values, &mut out).unwrap(),
        None => RowLayout::encode_tombstone(stamp, check, &mut out),
    }
    Put { key, field: generation.field, row: out.freeze() }
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    pending: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(addr).await.unwrap(), pending: Vec::new() }
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &["content-type: application/json"], body.as_bytes()).await
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        self.write(method, path, headers, body).await;
        self.answer().await
    }

    pub(crate) async fn write(&mut self, method: &str, path: &str, headers: &[&str], body: &[u8]) {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n");
        if !body.is_empty() {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        headers.iter().for_each(|header| request.push_str(&format!("{header}\r\n")));
        request.push_str("\r\n");
        // a server that refuses the head closes without reading the body
        let sent = async {
            self.stream.write_all(request.as_bytes()).await?;
            self.stream.write_all(body).await
        };
        drop(sent.await);
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    /// Whether the server closes the connection without an answer, within ten seconds.
    pub(crate) async fn closed_in_time(&mut self) -> bool {
        let answer = tokio::time::timeout(Duration::from_secs(10), self.try_answer()).await;
        answer.is_ok_and(|answer| answer.is_none())
    }

    /// Whether it does so although `drop` after `drop` keeps coming.
    pub(crate) async fn closed_while_dripping(&mut self, drop: &[u8]) -> bool {
        let dripping = async {
            while self.stream.write_all(drop).await.is_ok() {
                let next = tokio::time::timeout(Duration::from_millis(5), self.more());
                if matches!(next.await, Ok(None)) {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), dripping).await.is_ok()
    }

    /// Says that nothing more will be sent; answers can still come.
    pub(crate) async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next answer; the test fails when none comes.
    pub(crate) async fn answer(&mut self) -> Answer {
        let read = tokio::time::timeout(Duration::from_secs(20), self.try_answer());
        read.await.expect("an answer in time").expect("an answer before the connection closed")
    }

    /// `None` once the server has closed the connection.
    pub(crate) async fn try_answer(&mut self) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = self.pending.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.pending.drain(..head_end).collect()).unwrap();
        let length = header(&head, "content-length").map_or(0, |length| length.parse::<usize>().unwrap());
        while self.pending.len() < length {
            self.more().await?;
        }
        let body = String::from_utf8(self.pending.drain(..length).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Answer { status, head, body })
    }

    async fn more(&mut self) -> Option<()> {
        match self.stream.read_buf(&mut self.pending).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// `status code message` of an error body.
    pub(crate) fn error(&self) -> String {
        let json = self.json();
        let text = |key: &str| json[key].as_str().unwrap_or("?").to_owned();
        assert_eq!(Some(text("request_id").as_str()), self.header("x-request-id"));
        format!("{} {} {}", self.status, text("code"), text("message"))
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Waits until `condition` holds; the test fails after ten seconds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what} did not happen in time"));
}
