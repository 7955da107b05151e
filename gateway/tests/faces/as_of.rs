//! `--as-of` against the store's event clock: what the store no longer has is never served as if it did.

use tidegate_catalog::{Deadline, Micros};
use tidegate_gateway::{BindError, Gateway};
use tidegate_store::{OnlineStore as _, StoreMarks};
use tokio::net::TcpListener;

use crate::{
    definitions::NOON,
    kit::{Sandbox, Setup},
};

async fn written_up_to(sandbox: &Sandbox, event_clock: Micros) {
    let marks =
        StoreMarks { registry_id: Some("registry-1".to_owned()), version: 1, event_clock, ..StoreMarks::default() };
    sandbox.store.raise_marks(&marks, Deadline::NEVER).await.unwrap();
}

fn noon() -> Micros {
    Micros::parse(NOON).unwrap()
}

#[tokio::test]
async fn case_37_a_start_as_of_an_earlier_time_than_the_store_was_written_up_to_is_refused_and_names_the_earliest() {
    let sandbox = Sandbox::start().await;
    written_up_to(&sandbox, noon()).await;
    let second_before = noon().saturating_sub(1_000_000);
    let refused = Gateway::bind(sandbox.another(), sandbox.parts(Some(second_before))).await.unwrap_err();
    assert!(matches!(refused, BindError::StoreIsLater { .. }), "{refused:?}");
    assert_eq!(
        refused.to_string(),
        "the online store was written up to 2013-11-15T12:00:00Z and no longer has the values of 2013-11-15T11:59:59Z; \
         start with --as-of 2013-11-15T12:00:00Z or later"
    );
    for usable in [noon(), noon().saturating_add(1)] {
        assert!(Gateway::bind(sandbox.another(), sandbox.parts(Some(usable))).await.is_ok(), "{usable}");
    }
    let by_a_microsecond = noon().saturating_sub(1);
    let refused = Gateway::bind(sandbox.another(), sandbox.parts(Some(by_a_microsecond))).await;
    assert!(refused.is_err(), "no skew is allowed at the start: the time is the caller's choice");
}

#[tokio::test]
async fn case_37_a_start_without_as_of_or_with_an_unwritten_store_is_refused_by_no_clock() {
    let sandbox = Sandbox::start().await;
    let long_ago = noon().saturating_sub(1_000_000_000_000);
    assert!(Gateway::bind(sandbox.another(), sandbox.parts(Some(long_ago))).await.is_ok(), "nothing was written yet");
    written_up_to(&sandbox, noon().saturating_add(1_000_000_000_000)).await;
    assert!(Gateway::bind(sandbox.another(), sandbox.parts(None)).await.is_ok(), "it starts and is not ready");
}

#[tokio::test]
async fn case_37_a_store_that_does_not_answer_cannot_refuse_a_start() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redis = Some(format!("redis://{}", free.local_addr().unwrap()));
    drop(free);
    let sandbox = Sandbox::with(Setup { redis, as_of: Some(noon()), ..Setup::default() }).await;
    let health = sandbox.get("/health").await.json();
    assert_eq!(health["clock"]["as_of"], NOON);
    let ready = sandbox.get("/ready").await;
    assert_eq!(
        ready.body,
        r#"{"ready":false,"not_ready":[{"part":"store","why":"the online store cannot be reached"}]}"#
    );
}

#[tokio::test]
async fn case_37_a_gateway_started_as_of_a_time_that_the_store_passes_stops_being_ready() {
    let sandbox = Sandbox::with(Setup { as_of: Some(noon()), ..Setup::default() }).await;
    written_up_to(&sandbox, noon().saturating_add(2_000_000)).await;
    assert_eq!(sandbox.get("/ready").await.status, 200, "two seconds are within the skew");
    written_up_to(&sandbox, noon().saturating_add(2_000_001)).await;
    let ready = sandbox.get("/ready").await;
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.json()["not_ready"][0]["why"],
        "the store was written up to 2013-11-15T12:00:02.000001Z, this gateway's event clock is at \
         2013-11-15T12:00:00Z; serve as of 2013-11-15T12:00:02.000001Z or later"
    );
    sandbox.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(sandbox.get("/ready").await.status, 200, "its clock runs on and comes within the skew again");
}
