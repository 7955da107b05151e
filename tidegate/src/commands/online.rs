//! `predict`, `features get`, `store adopt`: what goes through the online side.
//!
//! The first two speak to the gateway over HTTP, as any caller does: to the one that this process serves, else to one that
//! lives as long as the command.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use serde_json::Value;
use tidegate_catalog::{Deadline, yaml};
use tidegate_control::{Marks, SnapshotSource};
use tidegate_store::{OnlineStore, StoreMarks};
use tokio::sync::oneshot;

use super::{
    catalog::{Done, Failure},
    exit,
};
use crate::{
    http_client::{Answer, Connection},
    instance::{Instance, Serving},
    output::Printer,
};

/// How long a command waits for the serving gateway to load the newest version.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(2);

/// Does `work` with the gateway that this process serves, or with one of its own that lives as long.
pub(super) async fn with_gateway<T, W: Future<Output = T>>(
    instance: &Instance,
    printer: &Printer,
    work: impl FnOnce(SocketAddr) -> W,
) -> Result<T, Failure> {
    if let Some(serving) = instance.serving.get() {
        catch_up(instance, serving, printer).await?;
        return Ok(work(serving.address).await);
    }
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    // a gateway's futures are large: not inside everything that may need one
    let bound = Box::pin(instance.gateway(free)).await.map_err(Failure::new)?;
    let work = work(bound.addr);
    let (stop, stopped) = oneshot::channel::<()>();
    let working = async {
        let done = work.await;
        drop(stop);
        done
    };
    let (done, ()) = tokio::join!(working, Box::pin(bound.run(async { drop(stopped.await) })));
    Ok(done)
}

/// Waits until the gateway serves the registry's newest version, as one that this command had started would: it follows
/// within a second. One that cannot load it goes on with the version before, and the command with it.
async fn catch_up(instance: &Instance, serving: &Serving, printer: &Printer) -> Result<(), Failure> {
    let Some(newest) = instance.registry.newest_version().await? else { return Ok(()) };
    if tokio::time::timeout(CATCH_UP_LIMIT, serving.version.reached(newest)).await.is_err() {
        printer.note(format!("the server has not loaded version {newest} yet; /health says why")).await;
    }
    Ok(())
}

/// `tidegate predict`
pub(super) async fn predict(instance: &Instance, printer: &Printer, endpoint: &str, body: &Value) -> Done {
    // the name becomes a part of the path: what is no name would become something else there
    if let Some(why) = yaml::name_refusal(endpoint) {
        return Err(Failure::new(format!("endpoint: {why}")));
    }
    post(instance, printer, &format!("/v1/predict/{endpoint}"), body).await
}

/// `tidegate features get`
pub(super) async fn features_get(instance: &Instance, printer: &Printer, body: &Value) -> Done {
    post(instance, printer, "/get-online-features", body).await
}

/// Posts `body` and prints the answer.
async fn post(instance: &Instance, printer: &Printer, path: &str, body: &Value) -> Done {
    let answer = with_gateway(instance, printer, |address| ask(address, path, body)).await??;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    if !answer.status.is_success() {
        return Err(Failure::new(format!("{}: {text}", answer.status)));
    }
    let pretty = serde_json::from_str::<Value>(&text).and_then(|value| serde_json::to_string_pretty(&value));
    printer.out(pretty.unwrap_or(text)).await;
    Ok(exit::DONE)
}

async fn ask(address: SocketAddr, path: &str, body: &Value) -> Result<Answer, Failure> {
    let body = serde_json::to_vec(body).expect("a JSON value can be written");
    Ok(Connection::open(address).await?.post(path, Bytes::from(body)).await?)
}

/// `tidegate store adopt`
pub(super) async fn adopt(instance: &Instance, printer: &Printer) -> Done {
    let store = instance.store.marks(Deadline::NEVER).await?;
    let Some(registry_id) = store.registry_id.clone() else {
        printer.out("the store has never been written; there is nothing to adopt").await;
        return Ok(exit::DONE);
    };
    let marks = Marks {
        registry_id,
        version: store.version,
        project: store.project,
        key_set: store.key_set,
        field: store.field,
    };
    let published = instance.registry.adopt(&marks).await?;
    let now = instance.registry.marks().await?;
    let raised = StoreMarks {
        registry_id: Some(now.registry_id.clone()),
        version: now.version,
        project: now.project,
        key_set: now.key_set,
        field: now.field,
        event_clock: store.event_clock,
    };
    instance.store.adopt(&raised, Deadline::NEVER).await?;
    let version = published.map_or(now.version, |snapshot| snapshot.version);
    printer.out(format!("the store is this registry's now, at version {version}; materialize to fill it")).await;
    Ok(exit::DONE)
}
