//! The same on a real Redis server, and on one that dies while it is written.

use std::{sync::Arc, time::Duration};

use tidegate_materializer::{Request, Silent, VerifyRequest, reclaim, verify, verify::KeyChoice};
use tidegate_store::{RedisConfig, RedisStore, testing::RedisServer};
use tokio_util::sync::CancellationToken;

use crate::world::{VIEW, World, dump, materialized, row};

fn connect(server: &RedisServer, world: &World) -> RedisStore {
    let config =
        RedisConfig { url: server.url(), password: None, namespace: String::new(), timeout: Duration::from_secs(5) };
    RedisStore::new(&config, Arc::clone(&world.clock) as _).unwrap()
}

#[tokio::test]
async fn redis_holds_what_the_embedded_store_holds_and_a_second_run_changes_nothing() {
    let server = RedisServer::start().await;
    let mut world = World::new().await;
    world.config.batch_rows = 100;
    world.yields(
        (0..5_000).map(|n| row(&format!("u{}", n % 2_000), n % 900, n as f64).named(&"y".repeat(n as usize % 90))),
    );
    let store = connect(&server, &world);
    let cancel = CancellationToken::new();
    let parts = world.parts_on(&store, &Silent);
    let report = materialized(&Request::default(), &parts, &cancel).await;
    assert_eq!((report.views[0].counts.reduced, report.views[0].counts.written), (3_000, 2_000));
    let again = Request { start: Some(tidegate_catalog::Micros(-1)), ..Request::default() };
    let report = materialized(&again, &parts, &cancel).await;
    assert!(report.is_no_op() && report.views[0].counts.equal == 2_000, "{report:?}");
    let audit = VerifyRequest { views: vec![], keys: KeyChoice::All };
    let found = verify(&audit, &parts, &cancel).await.unwrap();
    assert!(found.is_clean() && found.views[0].compared_keys == 2_000, "{found:?}");

    let twin = World::new().await;
    twin.yields(
        (0..5_000).map(|n| row(&format!("u{}", n % 2_000), n % 900, n as f64).named(&"y".repeat(n as usize % 90))),
    );
    twin.materialize().await;
    assert_eq!(dump(&store).await, dump(&twin.store).await);

    let field = world.field(VIEW).await;
    let reclaimed = reclaim(&store, &[field], &cancel).await.unwrap();
    assert_eq!((reclaimed.removed, dump(&store).await.len()), (2_000, 0));
}

#[tokio::test]
async fn case_32_a_server_killed_while_it_is_written_fails_the_run_and_loses_nothing() {
    let mut server = RedisServer::durable().await;
    let mut world = World::new().await;
    world.config.batch_rows = 10;
    world.config.batches_in_flight = 2;
    world.config.retry.attempts = 2;
    world.yields((0..3_000).map(|n| row(&format!("u{n}"), n % 900, n as f64)));
    let store = connect(&server, &world);
    let cancel = CancellationToken::new();
    let writing = tokio::sync::Notify::new();
    let progress = crate::world::AtFirstWrite(|| writing.notify_one());
    let request = Request::default();
    let report = {
        let parts = world.parts_on(&store, &progress);
        let run = materialized(&request, &parts, &cancel);
        let kill = async {
            writing.notified().await;
            server.kill().await;
        };
        tokio::join!(run, kill).0
    };
    assert!(!report.is_complete(), "{report:?}");
    let acknowledged = report.views[0].counts.written;
    assert!(acknowledged > 0 && acknowledged < 3_000);
    server.restart().await;
    let store = connect(&server, &world);
    assert!(dump(&store).await.len() as u64 >= acknowledged, "an acknowledged row is lost");
    let parts = world.parts_on(&store, &Silent);
    let report = materialized(&Request::default(), &parts, &cancel).await;
    assert!(report.is_complete(), "{report:?}");
    let audit = VerifyRequest { views: vec![], keys: KeyChoice::All };
    assert!(verify(&audit, &parts, &cancel).await.unwrap().is_clean());
}
