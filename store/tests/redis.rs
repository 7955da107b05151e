//! The contract on a real Redis server, and what only it promises.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{sync::Arc, time::Duration};

use tidegate_catalog::{Clock, Deadline, Micros, Monotonic};
use tidegate_store::{
    Cells, Error, OnlineStore, PutOutcome, ReadPlan, RedisConfig, RedisStore,
    conformance::stored,
    testing::{RedisServer, TestRow, key, steady_clock},
};

const ROW: TestRow = TestRow { entity: 1, field: 1, event: 1, created: None, value: Some(1) };

fn store(url: String, password: Option<&str>, namespace: &str, timeout: Duration) -> RedisStore {
    let config = RedisConfig { url, password: password.map(str::to_owned), namespace: namespace.to_owned(), timeout };
    RedisStore::new(&config, steady_clock()).unwrap()
}

async fn fresh() -> (RedisStore, RedisServer) {
    let server = RedisServer::start().await;
    (store(server.url(), None, "", Duration::from_secs(5)), server)
}

tidegate_store::conformance_suite!(fresh);

async fn fresh_in_a_namespace() -> (RedisStore, RedisServer) {
    let server = RedisServer::start().await;
    (store(server.url(), None, "[a]*", Duration::from_secs(5)), server)
}

mod in_a_namespace {
    use super::fresh_in_a_namespace;
    tidegate_store::conformance_suite!(fresh_in_a_namespace);
}

#[tokio::test]
async fn a_password_with_special_characters_opens_the_server() {
    let server = RedisServer::with_password("p@ss#50%$/").await;
    let by_url = store(server.url(), None, "", Duration::from_secs(5));
    assert_eq!(by_url.put(&[ROW.put()], Deadline::NEVER).await.unwrap(), [PutOutcome::Written]);
    let place = server.url().rsplit_once('@').map(|(_, place)| format!("redis://{place}")).unwrap();
    let by_itself = store(place.clone(), Some("p@ss#50%$/"), "", Duration::from_secs(5));
    assert_eq!(by_itself.put(&[ROW.put()], Deadline::NEVER).await.unwrap(), [PutOutcome::Equal]);
    let wrong = store(place, Some("n0pe"), "", Duration::from_secs(5));
    let error = wrong.put(&[ROW.put()], Deadline::NEVER).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(!error.to_string().contains("n0pe") && !format!("{wrong:?}").contains("n0pe"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_down_is_an_error_in_time_and_recovers_by_itself() {
    let mut server = RedisServer::durable().await;
    let store = store(server.url(), None, "", Duration::from_millis(500));
    assert_eq!(store.put(&[ROW.put()], Deadline::NEVER).await.unwrap(), [PutOutcome::Written]);
    server.kill().await;
    let mut plan = ReadPlan::default();
    plan.push(key(1), &[tidegate_catalog::FieldNumber(1)]);
    for _ in 0..3 {
        let mut cells = Cells::default();
        let asked = tokio::time::Instant::now();
        let error = store.read(&plan, Deadline::NEVER, &mut cells).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        assert!(asked.elapsed() < Duration::from_secs(3), "an error came after {:?}", asked.elapsed());
        assert!(store.put(&[ROW.put()], Deadline::NEVER).await.is_err());
    }
    server.restart().await;
    // the restarted server has forgotten the scripts; the store loads them again
    let later = TestRow { event: 2, ..ROW };
    let mut outcome = Err(());
    for _ in 0..100 {
        outcome = store.put(&[later.put()], Deadline::NEVER).await.map_err(drop);
        if outcome.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let outcome = outcome.expect("the store recovers within 5 s");
    assert!(matches!(outcome[..], [PutOutcome::Written | PutOutcome::Equal]), "{outcome:?}");
    assert_eq!(stored(&store, 1, 1).await, Some(later.put().row));
}

/// A proxy whose first connection goes silent when told, and whose later ones work.
#[expect(clippy::disallowed_methods, reason = "a test's tasks end with it")]
async fn proxy_whose_first_connection_goes_silent(place: String) -> (u16, tokio::sync::oneshot::Sender<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (silence, silenced) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut silenced = Some(silenced);
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = tokio::net::TcpStream::connect(&place).await.unwrap();
            let silenced = silenced.take();
            tokio::spawn(async move {
                let copied = tokio::io::copy_bidirectional(&mut client, &mut server);
                match silenced {
                    None => drop(copied.await),
                    Some(silenced) => {
                        tokio::select! { _ = copied => {}, _ = silenced => {} }
                        std::future::pending::<()>().await;
                    }
                }
            });
        }
    });
    (port, silence)
}

#[tokio::test]
async fn a_silent_peer_is_left_for_a_new_connection() {
    let server = RedisServer::start().await;
    let place = server.url().trim_start_matches("redis://").to_owned();
    let (port, silence) = proxy_whose_first_connection_goes_silent(place).await;
    let timeout = Duration::from_millis(200);
    let url = format!("redis://127.0.0.1:{port}");
    let config = RedisConfig { url, password: None, namespace: String::new(), timeout };
    let store = RedisStore::new(&config, Arc::new(Ticking(tokio::time::Instant::now()))).unwrap();
    assert_eq!(store.put(&[ROW.put()], Deadline::NEVER).await.unwrap(), [PutOutcome::Written]);
    silence.send(()).unwrap();
    let mut late = 0;
    let outcome = loop {
        match store.put(&[ROW.put()], Deadline::NEVER).await {
            Ok(outcome) => break outcome,
            Err(error) => assert!(matches!(error, Error::Late { .. }), "{error}"),
        }
        late += 1;
        assert!(late < 20, "the silent connection was never left");
    };
    assert!(late > 0, "the proxy did not go silent");
    assert_eq!(outcome, [PutOutcome::Equal]);
}

/// A clock that goes.
#[derive(Debug)]
struct Ticking(tokio::time::Instant);

impl Clock for Ticking {
    fn event_now(&self) -> Micros {
        Micros::EPOCH
    }
    fn wall_now(&self) -> Micros {
        Micros::EPOCH
    }
    fn monotonic(&self) -> Monotonic {
        Monotonic(self.0.elapsed())
    }
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_loaded_again() {
    let (store, server) = fresh().await;
    store.ready(Deadline::NEVER).await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut connection).await.unwrap();
    assert_eq!(store.put(&[ROW.put()], Deadline::NEVER).await.unwrap(), [PutOutcome::Written]);
}

#[tokio::test]
async fn a_cell_whose_key_is_no_hash_fails_alone() {
    let (store, server) = fresh().await;
    store.put(&[ROW.put()], Deadline::NEVER).await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("SET").arg(key(2).as_bytes()).arg("x").exec_async(&mut connection).await.unwrap();
    let mut plan = ReadPlan::default();
    plan.push(key(2), &[tidegate_catalog::FieldNumber(1)]);
    plan.push(key(1), &[tidegate_catalog::FieldNumber(1)]);
    let mut cells = Cells::default();
    store.read(&plan, Deadline::NEVER, &mut cells).await.unwrap();
    assert_eq!(cells.cell(0), tidegate_store::Cell::Failed);
    assert_eq!(cells.cell(1), tidegate_store::Cell::Row(&ROW.put().row));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_connections_end_with_the_greatest_stamp() {
    let server = RedisServer::start().await;
    let writers = [0; 4].map(|_| store(server.url(), None, "", Duration::from_secs(5)));
    tidegate_store::testing::racing_writers_end_with_the_greatest_stamp(writers, 1000, 12).await;
}
