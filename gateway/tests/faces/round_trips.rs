//! How often one call goes to the store: counted on the wire, between the gateway and a real Redis.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::json;
use tidegate_catalog::{KeyValue, Value};
use tidegate_store::testing::RedisServer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::kit::{Sandbox, Setup};

/// Passes bytes on to a server and counts how often the talk turns to it: once per round trip.
struct Wire {
    addr: SocketAddr,
    turns: Arc<AtomicU64>,
}

impl Wire {
    #[expect(clippy::disallowed_methods, reason = "a relay of the test's runtime, which ends with it")]
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self { addr: listener.local_addr().unwrap(), turns: Arc::default() };
        let turns = Arc::clone(&wire.turns);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&turns)));
            }
        });
        wire
    }

    fn turns(&self) -> u64 {
        self.turns.load(Ordering::SeqCst)
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, turns: Arc<AtomicU64>) {
    let (mut asked, mut answered) = (vec![0; 256 * 1024], vec![0; 256 * 1024]);
    let mut clients_turn = true;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Some(bytes) = read.ok().filter(|read| *read > 0) else { return };
                if std::mem::take(&mut clients_turn) {
                    turns.fetch_add(1, Ordering::SeqCst);
                }
                server.write_all(&asked[..bytes]).await.unwrap();
            }
            read = server.read(&mut answered) => {
                let Some(bytes) = read.ok().filter(|read| *read > 0) else { return };
                clients_turn = true;
                client.write_all(&answered[..bytes]).await.unwrap();
            }
        }
    }
}

/// How many commands `name` the server has run.
async fn commands(server: &str, name: &str) -> u64 {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(b"INFO commandstats\r\nQUIT\r\n").await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    let start = format!("cmdstat_{name}:calls=");
    let calls = page.lines().find_map(|line| line.strip_prefix(&start)?.split(',').next()?.parse().ok());
    calls.unwrap_or(0)
}

#[tokio::test]
async fn one_call_with_a_hundred_keys_is_one_round_trip_on_both_faces() {
    let server = RedisServer::start().await;
    let address = server.url().replace("redis://", "");
    let wire = Wire::to(address.clone()).await;
    let sandbox = Sandbox::with(Setup { redis: Some(format!("redis://{}", wire.addr)), ..Setup::default() }).await;
    for driver in 0..100 {
        sandbox.put("profile", &[KeyValue::Int64(driver)], 0, &[Value::Float32(1.0)]).await;
    }
    let drivers = (0..100).collect::<Vec<_>>();
    let places = vec!["x"; 100];
    // two views of one key set, then two key sets; the hundred keys are another entity each
    let cases = [
        ("/v1/predict/fare", json!({"entities": {"driver_id": drivers}, "request": {"distance": vec![1; 100]}}), 100),
        (
            "/v1/predict/named",
            json!({"entities": {"driver_id": drivers, "origin": places, "dest": places}, "include": ["features"]}),
            200,
        ),
        (
            "/get-online-features",
            json!({"entities": {"driver_id": drivers}, "features": ["stats:trips", "profile:score"]}),
            100,
        ),
        (
            "/get-online-features",
            json!({"entities": {"driver_id": drivers, "origin": places, "dest": places},
                "features": ["stats:rate", "route_stats:delay", "profile:score"]}),
            200,
        ),
    ];
    for (path, body, entities) in cases {
        let (turns, reads) = (wire.turns(), commands(&address, "hmget").await);
        let answer = sandbox.post(path, &body.to_string()).await;
        assert!(matches!(answer.status, 200 | 422), "{path}: {}", answer.body);
        assert_eq!(wire.turns() - turns, 1, "{path} {}", body);
        assert_eq!(commands(&address, "hmget").await - reads, entities, "one command an entity: {path}");
    }
}

#[tokio::test]
async fn a_call_without_keys_does_not_go_to_the_store() {
    let server = RedisServer::start().await;
    let wire = Wire::to(server.url().replace("redis://", "")).await;
    let sandbox = Sandbox::with(Setup { redis: Some(format!("redis://{}", wire.addr)), ..Setup::default() }).await;
    let empty = sandbox.post("/v1/predict/score", r#"{"entities": {"driver_id": []}}"#).await;
    assert_eq!(empty.status, 200, "{}", empty.body);
    assert_eq!(wire.turns(), 0);
}
