//! The contract on a real Redis server, and what only it promises.
#![expect(clippy::unwrap_used, reason = "tests")]

#[cfg(test)]
#[path = "redis/wire.rs"]
mod wire;

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use tidegate_catalog::{
    Clock, Deadline, EntityKey, FieldNumber, KeySetNumber, KeyValue, Micros, Monotonic, ProjectNumber,
};
use tidegate_store::{
    Cell, Cells, Error, OnlineStore, Put, PutOutcome, ReadPlan, RedisConfig, RedisStore, StoreMarks,
    conformance::{self, everything, stored},
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
    plan.push(key(1), &[FieldNumber(1)]);
    for _ in 0..3 {
        let mut cells = Cells::default();
        cells.push_absent();
        let asked = tokio::time::Instant::now();
        let error = store.read(&plan, Deadline::NEVER, &mut cells).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        assert!(cells.is_empty());
        let unready = store.ready(Deadline::NEVER).await.unwrap_err();
        assert!(unready.is_transient(), "{unready:?}");
        store.read(&ReadPlan::default(), Deadline::NEVER, &mut cells).await.expect("nothing asks for no server");
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

/// What the server is told -> what a call says -> what it is told then -> the store works, without being made anew.
#[tokio::test]
async fn a_server_that_refused_the_greeting_is_greeted_again() {
    let table = [
        (":pass@", "", "Password authentication failed", "CONFIG SET requirepass pass"),
        ("", "ACL SETUSER default -select", "refused to switch database", "ACL SETUSER default +select"),
    ];
    for (credentials, told, words, told_then) in table {
        let server = RedisServer::start().await;
        if !told.is_empty() {
            tell(&server, &[told]).await;
        }
        let place = server.url().trim_start_matches("redis://").to_owned();
        let (url, timeout) = (format!("redis://{credentials}{place}/3"), Duration::from_millis(200));
        let config = RedisConfig { url, password: None, namespace: String::new(), timeout };
        let store = RedisStore::new(&config, Arc::new(Ticking(tokio::time::Instant::now()))).unwrap();
        for _ in 0..3 {
            let error = store.put(&[ROW.put()], Deadline::NEVER).await.unwrap_err();
            assert!(matches!(&error, Error::Unavailable { reason, .. } if reason.contains(words)), "{error:?}");
        }
        tell(&server, &[told_then]).await;
        let works = async {
            while store.put(&[ROW.put()], Deadline::NEVER).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), works).await.expect("the server is greeted again");
        assert_eq!(stored(&store, 1, 1).await, Some(ROW.put().row));
    }
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
    let fields = [1, 2, 3].map(|field| TestRow { field, ..ROW }.put());
    assert_eq!(store.put(&fields, Deadline::NEVER).await.unwrap(), [PutOutcome::Written; 3]);
}

#[tokio::test]
async fn a_cell_whose_key_is_no_hash_fails_alone() {
    let (store, server) = fresh().await;
    store.put(&[ROW.put()], Deadline::NEVER).await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("SET").arg(key(2).as_bytes()).arg("x").exec_async(&mut connection).await.unwrap();
    let mut plan = ReadPlan::default();
    plan.push(key(2), &[FieldNumber(1)]);
    plan.push(key(1), &[FieldNumber(1)]);
    let mut cells = Cells::default();
    store.read(&plan, Deadline::NEVER, &mut cells).await.unwrap();
    assert_eq!(cells.cell(0), Cell::Failed);
    assert_eq!(cells.cell(1), Cell::Row(&ROW.put().row));
    plan.clear();
    plan.push(key(2), &[FieldNumber(1)]);
    store.read(&plan, Deadline::NEVER, &mut cells).await.unwrap();
    assert_eq!(cells.iter().collect::<Vec<_>>(), [Cell::Failed], "asked by itself it fails alone as well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_connections_end_with_the_greatest_stamp() {
    let server = RedisServer::start().await;
    let writers = [0; 4].map(|_| store(server.url(), None, "", Duration::from_secs(5)));
    tidegate_store::testing::racing_writers_end_with_the_greatest_stamp(writers, 1000, 12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_connections_raise_each_mark_to_its_maximum() {
    let server = RedisServer::start().await;
    let writers = (0..8).map(|_| store(server.url(), None, "", Duration::from_secs(5))).collect();
    conformance::each_mark_is_a_maximum_of_its_own_under_racing_writers(writers).await;
}

async fn connection(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Sends each line of words as one command.
async fn tell(server: &RedisServer, commands: &[&str]) {
    let mut connection = connection(server).await;
    for line in commands {
        let mut words = line.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        command.exec_async(&mut connection).await.unwrap();
    }
}

fn code_and_words(error: &Error, server: &RedisServer) -> String {
    let words = error.to_string().replace(server.url().trim_start_matches("redis://"), "SERVER");
    format!("{:?}: {words}", error.code())
}

/// What the server is told -> what a read, a put and the question whether it is ready then answer: the whole call fails with
/// the server's words, a state that passes as `Unavailable`.
#[tokio::test]
async fn a_server_that_refuses_everything_fails_the_call() {
    const FINE: &str = "";
    let away = "Unavailable: redis at SERVER cannot be reached: ";
    let table: [(&[&str], [String; 3]); 5] = [
        (
            &["CONFIG SET replica-serve-stale-data no", "REPLICAOF 127.0.0.1 1"],
            [format!("{away}MASTERDOWN"), format!("{away}MASTERDOWN"), format!("{away}MASTERDOWN")],
        ),
        (&["REPLICAOF 127.0.0.1 1"], [FINE.to_owned(), format!("{away}READONLY"), format!("{away}READONLY")]),
        (&["CONFIG SET maxmemory 1"], [FINE.to_owned(), "Internal: redis refused: OOM".to_owned(), "OOM".to_owned()]),
        (
            &["ACL SETUSER default -hmget"],
            ["Internal: redis refused: NOPERM".to_owned(), FINE.to_owned(), FINE.to_owned()],
        ),
        (
            &["ACL SETUSER default -evalsha"],
            [FINE.to_owned(), "Internal: redis refused: NOPERM".to_owned(), "NOPERM".to_owned()],
        ),
    ];
    for (told, [read, put, ready]) in table {
        let (store, server) = fresh().await;
        store.put(&[ROW.put()], Deadline::NEVER).await.unwrap();
        store.ready(Deadline::NEVER).await.unwrap();
        tell(&server, told).await;
        let mut plan = ReadPlan::default();
        (1..4).for_each(|entity| plan.push(key(entity), &[FieldNumber(1), FieldNumber(2)]));
        let mut cells = Cells::default();
        cells.push_absent();
        let answers = [
            (read, store.read(&plan, Deadline::NEVER, &mut cells).await.err()),
            (put, store.put(&[TestRow { event: 2, ..ROW }.put()], Deadline::NEVER).await.err()),
            (ready, store.ready(Deadline::NEVER).await.err()),
        ];
        for (wanted, error) in answers {
            let found = error.map(|error| code_and_words(&error, &server)).unwrap_or_default();
            let holds = if wanted == FINE { found == FINE } else { found.contains(&wanted) };
            assert!(holds, "{told:?}: wanted {wanted:?}, found {found:?}");
        }
        assert!(cells.is_empty() || cells.cell(0) == Cell::Row(&ROW.put().row));
    }
}

/// A snapshot that fails makes the server refuse writes until one works again.
#[tokio::test]
async fn a_server_that_cannot_save_refuses_the_put_in_its_own_words() {
    let (store, server) = fresh().await;
    let mut connection = connection(&server).await;
    let at: Vec<String> = redis::cmd("CONFIG").arg("GET").arg("dir").query_async(&mut connection).await.unwrap();
    // no file can take the place of a folder
    std::fs::create_dir_all(std::path::Path::new(&at[1]).join("dump.rdb").join("full")).unwrap();
    redis::cmd("CONFIG").arg("SET").arg("save").arg("3600 1").exec_async(&mut connection).await.unwrap();
    redis::cmd("BGSAVE").exec_async(&mut connection).await.unwrap();
    let mut failed = false;
    for _ in 0..500 {
        let info: String = redis::cmd("INFO").arg("persistence").query_async(&mut connection).await.unwrap();
        failed = info.contains("rdb_last_bgsave_status:err");
        if failed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(failed, "the snapshot was saved");
    let put = store.put(&[ROW.put()], Deadline::NEVER).await.unwrap_err();
    let ready = store.ready(Deadline::NEVER).await.unwrap_err();
    for error in [put, ready] {
        let words = code_and_words(&error, &server);
        assert!(words.starts_with("Internal: redis refused: ") && words.contains("MISCONF"), "{words}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_know_us_fails_the_call() {
    let server = RedisServer::with_password("secret").await;
    let place = server.url().rsplit_once('@').map(|(_, place)| format!("redis://{place}")).unwrap();
    let stranger = store(place, None, "", Duration::from_secs(5));
    let mut plan = ReadPlan::default();
    plan.push(key(1), &[FieldNumber(1)]);
    let mut cells = Cells::default();
    let error = stranger.read(&plan, Deadline::NEVER, &mut cells).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable { reason, .. } if reason.contains("NOAUTH")), "{error}");
    assert!(cells.is_empty());
    assert!(matches!(stranger.ready(Deadline::NEVER).await, Err(Error::Unavailable { .. })));
}

/// Reply to each HMGET -> what the read of two keys is.
#[tokio::test]
async fn an_error_for_all_keys_fails_the_read_and_one_for_some_fails_their_cells() {
    let row = "$3\r\nrow\r\n";
    let loading = "-LOADING Redis is loading the dataset in memory\r\n";
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    let one_row = format!("*1\r\n{row}");
    type Read<'a> = Result<[Cell<'a>; 2], &'a str>;
    let table: [(&[&str], Read<'_>); 7] = [
        (&[loading, loading], Err("LOADING")),
        (&["-MASTERDOWN Link with MASTER is down\r\n", loading], Err("MASTERDOWN")),
        (&[wrong, loading], Err("LOADING")),
        (&["-OOM command not allowed\r\n", "-OOM command not allowed\r\n"], Err("OOM")),
        (&[wrong, wrong], Ok([Cell::Failed, Cell::Failed])),
        (&[&one_row, loading], Ok([Cell::Row(b"row"), Cell::Failed])),
        (&[&one_row, "*2\r\n$-1\r\n$-1\r\n"], Ok([Cell::Row(b"row"), Cell::Failed])),
    ];
    for (replies, wanted) in table {
        let port = wire::server_that_answers("HMGET", replies.iter().map(|reply| (*reply).to_owned()).collect()).await;
        let store = store(format!("redis://127.0.0.1:{port}"), None, "", Duration::from_secs(5));
        let mut plan = ReadPlan::default();
        plan.push(key(1), &[FieldNumber(1)]);
        plan.push(key(2), &[FieldNumber(1)]);
        let mut cells = Cells::default();
        match (store.read(&plan, Deadline::NEVER, &mut cells).await, wanted) {
            (Ok(()), Ok(wanted)) => assert_eq!(cells.iter().collect::<Vec<_>>(), wanted, "{replies:?}"),
            (Err(error), Err(words)) => {
                assert!(error.to_string().contains(words), "{replies:?}: {error}");
                assert!(words == "OOM" || error.is_transient(), "{replies:?}: {error:?}");
                assert!(cells.is_empty());
            }
            (found, wanted) => unreachable!("{replies:?}: wanted {wanted:?}, found {found:?}"),
        }
    }
}

#[tokio::test]
async fn a_scan_passes_over_what_others_keep_on_the_server() {
    for namespace in ["", "mine"] {
        let server = RedisServer::start().await;
        let store = store(server.url(), None, namespace, Duration::from_secs(5));
        store.put(&[ROW.put()], Deadline::NEVER).await.unwrap();
        let beside = [&b"mine\0"[..], key(7).as_bytes()].concat();
        let mut connection = connection(&server).await;
        for key in [&b"user:1"[..], b"mine", b"mine\0session", b"minerals", b"m", key(7).as_bytes(), &beside] {
            let mut pipeline = redis::pipe();
            pipeline.cmd("SET").arg([key, b":text"].concat()).arg("x").ignore();
            pipeline.cmd("RPUSH").arg([key, b":list"].concat()).arg("x").ignore();
            pipeline.cmd("HSET").arg([key, b":hash"].concat()).arg("\u{1}").arg("x").ignore();
            pipeline.exec_async(&mut connection).await.unwrap();
        }
        // fields under one of our entities that are no field numbers
        let prefix: &[u8] = if namespace.is_empty() { b"" } else { b"mine\0" };
        let mine = [prefix, key(1).as_bytes()].concat();
        let mut odd = redis::cmd("HSET");
        odd.arg(mine).arg("name").arg("x").arg(&b""[..]).arg("x").arg(&b"\xff\xff\xff\xff\xff\x01"[..]).arg("x");
        odd.exec_async(&mut connection).await.unwrap();
        let row = ROW.put();
        assert_eq!(everything(&store).await, [(row.key, row.field, row.row)], "namespace {namespace:?}");
    }
}

/// A key that, behind a longer namespace and no separator, reads as another key behind the shorter one.
fn treacherous_key() -> EntityKey {
    let values = [KeyValue::Bytes(b"12345678")];
    EntityKey::encode(ProjectNumber(1), KeySetNumber(9), values, &mut BytesMut::new()).unwrap()
}

#[tokio::test]
async fn namespaces_of_which_one_begins_with_the_other_do_not_see_each_other() {
    let server = RedisServer::start().await;
    let names = ["", "f", "fo", "foo", "foob", "foobar", "foo*"];
    let stores = names.map(|name| (name, store(server.url(), None, name, Duration::from_secs(5))));
    let row = |number: i64| TestRow { value: Some(number), ..ROW }.put();
    let marks =
        |number: u64| StoreMarks { registry_id: Some(format!("r{number}")), version: number, ..StoreMarks::default() };
    for (number, (_, store)) in stores.iter().enumerate() {
        let mine = row(number as i64);
        let treacherous = Put { key: treacherous_key(), ..mine.clone() };
        let outcomes = store.put(&[mine, treacherous], Deadline::NEVER).await.unwrap();
        assert_eq!(outcomes, [PutOutcome::Written; 2]);
        store.raise_marks(&marks(number as u64), Deadline::NEVER).await.unwrap();
        store.ready(Deadline::NEVER).await.unwrap();
    }
    for (number, (name, store)) in stores.iter().enumerate() {
        let mine = row(number as i64);
        assert_eq!(stored(store, 1, 1).await, Some(mine.row.clone()), "{name:?}");
        let all = [(mine.key, mine.field, mine.row.clone()), (treacherous_key(), mine.field, mine.row)];
        assert_eq!(everything(store).await, all, "{name:?}");
        assert_eq!(store.marks(Deadline::NEVER).await.unwrap(), marks(number as u64), "{name:?}");
    }
    let (_, foo) = &stores[3];
    assert_eq!(foo.erase(&[key(1), treacherous_key()], Deadline::NEVER).await.unwrap(), 2);
    for (name, store) in &stores {
        let left = if *name == "foo" { 0 } else { 2 };
        assert_eq!(everything(store).await.len(), left, "{name:?}");
    }
}

/// The number behind `name` in one of the server's reports.
async fn figure(connection: &mut redis::aio::MultiplexedConnection, section: &str, name: &str) -> u64 {
    let report: String = redis::cmd("INFO").arg(section).query_async(connection).await.unwrap();
    let line = report.lines().find_map(|line| line.strip_prefix(name));
    let digits = line.map(|line| line.chars().take_while(char::is_ascii_digit).collect::<String>());
    digits.map_or(0, |digits| digits.parse().unwrap())
}

/// The proxy keeps every reply back until the whole batch has come, so a client that waits in between gets none.
#[tokio::test]
async fn a_read_of_many_keys_is_one_round_trip() {
    let server = RedisServer::start().await;
    let place = server.url().trim_start_matches("redis://").to_owned();
    let (port, proxy) = wire::proxy_that_waits_for_whole_batches(place).await;
    let store = store(format!("redis://127.0.0.1:{port}"), None, "ns", Duration::from_secs(5));
    let rows = (0..100_i64).flat_map(|entity| [1, 2, 3].map(|field| TestRow { entity, field, ..ROW }.put()));
    let rows = rows.collect::<Vec<_>>();
    store.put(&rows, Deadline::NEVER).await.unwrap();
    let mut plan = ReadPlan::default();
    (0..100).for_each(|entity| plan.push(key(entity), &[1, 2, 3].map(FieldNumber)));
    let mut cells = Cells::default();
    let mut asking = connection(&server).await;
    let calls = figure(&mut asking, "commandstats", "cmdstat_hmget:calls=").await;
    let reads = figure(&mut asking, "stats", "total_reads_processed:").await;
    let commands = figure(&mut asking, "stats", "total_commands_processed:").await;

    proxy.hold_until(b"HMGET", 100);
    store.read(&plan, Deadline::NEVER, &mut cells).await.unwrap();

    let commands_after = figure(&mut asking, "stats", "total_commands_processed:").await;
    let reads_after = figure(&mut asking, "stats", "total_reads_processed:").await;
    let expected = rows.iter().map(|put| Cell::Row(&put.row)).collect::<Vec<_>>();
    assert_eq!(cells.iter().collect::<Vec<_>>(), expected);
    assert_eq!(figure(&mut asking, "commandstats", "cmdstat_hmget:calls=").await - calls, 100, "one command an entity");
    // beside the question between the figures
    assert_eq!(commands_after - commands - 1, 100, "no other command");
    assert_eq!(proxy.batches(), 1, "the batch came in one piece");
    assert_eq!(reads_after - reads - 3, 1, "the server read it at once");

    proxy.hold_until(b"EVALSHA", 1);
    store.put(&rows, Deadline::NEVER).await.unwrap();
    assert_eq!(proxy.batches(), 1, "a put is one command");
}

/// What is stored before -> what one put of so many fields of fifty keys costs.
#[tokio::test]
async fn the_fields_of_one_key_side_by_side_cost_one_read_and_one_write() {
    for fields in 2..=8_u32 {
        let (store, server) = fresh().await;
        let mut asking = connection(&server).await;
        let rows = |event: i64, fields: std::ops::RangeInclusive<u32>| {
            let of = |entity| fields.clone().map(move |field| TestRow { entity, field, event, ..ROW }.put());
            (0..50).flat_map(of).collect::<Vec<_>>()
        };
        let mut before = [0; 3];
        let mut cost = async || {
            let mut calls = [0; 3];
            for (calls, name) in calls.iter_mut().zip(["hmget", "hset", "hget"]) {
                *calls = figure(&mut asking, "commandstats", &format!("cmdstat_{name}:calls=")).await;
            }
            let cost = std::array::from_fn::<_, 3, _>(|at| calls[at] - before[at]);
            before = calls;
            cost
        };
        store.put(&rows(1, 1..=fields), Deadline::NEVER).await.unwrap();
        assert_eq!(cost().await, [50, 50, 0], "{fields} fields on an empty store");
        store.put(&rows(2, 1..=fields), Deadline::NEVER).await.unwrap();
        assert_eq!(cost().await, [50, 50, 0], "{fields} fields over older rows");
        store.put(&rows(2, 1..=fields), Deadline::NEVER).await.unwrap();
        assert_eq!(cost().await, [50, 0, 0], "{fields} fields over the same rows");
        store.put(&rows(3, 1..=1), Deadline::NEVER).await.unwrap();
        assert_eq!(cost().await, [0, 50, 50], "one field");
        store.put(&rows(3, 1..=fields), Deadline::NEVER).await.unwrap();
        assert_eq!(cost().await, [50, 50, 0], "of {fields} fields all but the first win");
    }
}
