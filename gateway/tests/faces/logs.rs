//! What a failed call leaves in the log: its id, what failed, and no secret.

use std::{
    fmt::{Debug, Write as _},
    sync::{Mutex, OnceLock},
};

use tidegate_catalog::{KeyValue, Value};
use tokio::net::TcpListener;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::kit::{Client, Sandbox, Setup};

/// Keeps every event of the process as one line, whatever its level: tests look for those of their own calls.
struct Kept;

fn lines() -> &'static Mutex<Vec<String>> {
    static LINES: OnceLock<Mutex<Vec<String>>> = OnceLock::new();
    LINES.get_or_init(|| {
        tracing::subscriber::set_global_default(Kept).unwrap();
        Mutex::default()
    })
}

impl Subscriber for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                write!(self.0, " {}={value:?}", field.name()).unwrap();
            }
            fn record_str(&mut self, field: &Field, value: &str) {
                write!(self.0, " {}={value}", field.name()).unwrap();
            }
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        lines().lock().unwrap().push(line.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Begins to keep lines; at the latest when a test makes its calls.
pub(crate) fn keep() {
    lines();
}

/// The lines that name a call.
pub(crate) fn lines_of(request_id: &str) -> Vec<String> {
    lines().lock().unwrap().iter().filter(|line| line.contains(request_id)).cloned().collect()
}

async fn call(sandbox: &Sandbox, id: &str, path: &str, body: &str) -> u16 {
    let id = format!("x-request-id: {id}");
    let headers = [&*id, "authorization: Bearer t0p-s3cret"];
    Client::connect(sandbox.addr).await.send("POST", path, &headers, body.as_bytes()).await.status
}

#[tokio::test]
async fn a_failed_call_is_logged_with_its_request_id_and_without_the_stores_password() {
    keep();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let redis = Some(format!("redis://someone:p@ss%23w0rd-s3cret@{address}"));
    let sandbox = Sandbox::with(Setup { redis, ..Setup::default() }).await;
    let ask = r#"{"entities": {"driver_id": 7}}"#;
    assert_eq!(call(&sandbox, "log-predict", "/v1/predict/score", ask).await, 503);
    let lines_of_predict = lines_of("log-predict");
    let [store, failed] = lines_of_predict.as_slice() else { panic!("{lines_of_predict:?}") };
    assert!(store.starts_with("WARN ") && store.contains("message=the store did not answer"), "{store}");
    assert!(store.contains(&address.to_string()), "it says which store: {store}");
    for part in
        ["WARN ", "message=call failed", "request_id=log-predict", "route=/v1/predict/{endpoint}", "code=Unavailable"]
    {
        assert!(failed.contains(part), "{part:?} is not in {failed}");
    }
    assert!(failed.contains("the online store did not answer for feature"), "{failed}");

    sandbox.clock.advance(std::time::Duration::from_secs(1));
    let feast = r#"{"features": ["profile:score"], "entities": {"driver_id": [7]}}"#;
    assert_eq!(call(&sandbox, "log-feast", "/get-online-features", feast).await, 503);
    assert_eq!(lines_of("log-feast").len(), 2, "{:?}", lines_of("log-feast"));
    assert_eq!(sandbox.get("/ready").await.status, 503);

    let secrets = ["s3cret", "p@ss", "p%40ss"];
    let told = lines()
        .lock()
        .unwrap()
        .iter()
        .filter(|line| secrets.iter().any(|s| line.contains(s)))
        .cloned()
        .collect::<Vec<_>>();
    assert!(told.is_empty(), "{told:?}");
}

#[tokio::test]
async fn a_refused_call_is_a_debug_line_with_its_request_id() {
    keep();
    let sandbox = Sandbox::start().await;
    let body = r#"{"entities": {"driver_id": ["x"]}}"#;
    assert_eq!(call(&sandbox, "log-refused", "/v1/predict/score", body).await, 400);
    let seen = lines_of("log-refused");
    assert_eq!(seen.len(), 1, "{seen:?}");
    for part in ["DEBUG ", "message=call refused", "code=InvalidArgument", "entities.driver_id[0]: expected int64"] {
        assert!(seen[0].contains(part), "{part:?} is not in {}", seen[0]);
    }
}

#[tokio::test]
async fn an_answered_call_is_no_line() {
    keep();
    let sandbox = Sandbox::start().await;
    sandbox.put("profile", &[KeyValue::Int64(7)], 0, &[Value::Float32(2.0)]).await;
    assert_eq!(call(&sandbox, "log-answered", "/v1/predict/score", r#"{"entities": {"driver_id": 7}}"#).await, 200);
    assert_eq!(lines_of("log-answered"), Vec::<String>::new());
}
