//! `GET /health`, `/ready`, `/metrics`: for whoever runs the gateway.

use std::time::Duration;

use bytes::BytesMut;
use tidegate_catalog::Deadline;
use tidegate_proto::json::Writer;
use tidegate_store::OnlineStore as _;

use crate::{
    app::App,
    event_clock,
    http::reply::Reply,
    served::{Origin, Served},
};

/// How long `/ready` waits for the store.
const STORE_CHECK: Duration = Duration::from_secs(1);

/// One reason why the gateway is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unready {
    part: &'static str,
    why: String,
}

/// Always 200 while the process answers; the body says how the gateway is.
pub(crate) fn health(app: &App) -> Reply {
    let mut out = BytesMut::new();
    let mut writer = Writer::new(&mut out);
    writer.begin_object();
    writer.key("status");
    writer.plain_string("live");
    catalog(&mut writer, app);
    clock(&mut writer, app);
    writer.end_object();
    Reply::json(out.freeze())
}

/// 200 when every part is ready, else 503 naming those that are not.
pub(crate) async fn ready(app: &App) -> Reply {
    let mut unready = Vec::new();
    let served = app.served.load_full();
    match &served {
        None => unready.push(no_catalog(app)),
        Some(served) => unready.extend(cold_models(served)),
    }
    unready.extend(store_troubles(app, served.as_deref()).await);
    let mut out = BytesMut::new();
    let mut writer = Writer::new(&mut out);
    writer.begin_object();
    writer.key("ready");
    writer.boolean(unready.is_empty());
    writer.key("not_ready");
    writer.begin_list();
    for reason in &unready {
        writer.begin_object();
        writer.key("part");
        writer.plain_string(reason.part);
        writer.key("why");
        writer.string(&reason.why);
        writer.end_object();
    }
    writer.end_list();
    writer.end_object();
    Reply { status: if unready.is_empty() { 200 } else { 503 }, ..Reply::json(out.freeze()) }
}

/// The metrics page.
pub(crate) fn metrics(app: &App) -> Reply {
    let body = app.page.render().into();
    Reply { status: 200, content_type: "text/plain; version=0.0.4", body }
}

fn no_catalog(app: &App) -> Unready {
    let why = match app.follow.facts().refused {
        Some((version, why)) => format!("no catalog is loaded: version {version} was refused: {why}"),
        None => "no catalog is loaded".to_owned(),
    };
    Unready { part: "catalog", why }
}

fn cold_models(served: &Served) -> impl Iterator<Item = Unready> + '_ {
    served.endpoints.values().filter(|endpoint| !endpoint.model.is_ready()).map(|endpoint| Unready {
        part: "model",
        why: format!("the model of endpoint {} is not running", endpoint.name),
    })
}

async fn store_troubles(app: &App, served: Option<&Served>) -> Vec<Unready> {
    let store = |why: &str| Unready { part: "store", why: why.to_owned() };
    let deadline = Deadline::after(app.clock.monotonic(), STORE_CHECK);
    if let Err(error) = app.store.ready(deadline).await {
        if let Some(held_back) = app.limits.not_ready.allow(app.clock.monotonic()) {
            tracing::warn!(%error, held_back, "the store is not ready");
        }
        return vec![store(error.client_message())];
    }
    let marks = match app.store.marks(deadline).await {
        Ok(marks) => marks,
        Err(error) => return vec![store(error.client_message())],
    };
    let mut troubles = Vec::new();
    if let (Some(ours), Some(theirs)) = (served.map(|served| served.registry_id.as_str()), marks.registry_id.as_deref())
        && ours != theirs
    {
        troubles.push(store("the online store belongs to another registry"));
    }
    let overtaken = event_clock::overtaken(marks.event_clock, app.clock.event_now(), app.config.max_clock_skew);
    troubles.extend(overtaken.map(|why| Unready { part: "clock", why }));
    troubles
}

fn catalog(writer: &mut Writer<'_>, app: &App) {
    let facts = app.follow.facts();
    writer.key("catalog");
    writer.begin_object();
    match app.served.load_full() {
        None => {
            writer.key("version");
            writer.null();
        }
        Some(served) => {
            writer.key("version");
            writer.unsigned(served.version);
            writer.key("hash");
            writer.plain_string(&served.hash);
            writer.key("from");
            writer.plain_string(match served.origin {
                Origin::Feed => "registry",
                Origin::LastGood => "last_good",
            });
            writer.key("made_at");
            writer.time(served.made_at);
            writer.key("age_seconds");
            writer.int(app.clock.wall_now().0.saturating_sub(served.made_at.0).div_euclid(1_000_000));
        }
    }
    writer.key("registry_error");
    match &facts.feed_error {
        Some(error) => writer.plain_string(error),
        None => writer.null(),
    }
    writer.key("refused");
    match &facts.refused {
        None => writer.null(),
        Some((version, why)) => {
            writer.begin_object();
            writer.key("version");
            writer.unsigned(*version);
            writer.key("why");
            writer.string(why);
            writer.end_object();
        }
    }
    writer.end_object();
}

fn clock(writer: &mut Writer<'_>, app: &App) {
    writer.key("clock");
    writer.begin_object();
    writer.key("event_now");
    writer.time(app.clock.event_now());
    writer.key("as_of");
    match app.as_of {
        Some(as_of) => writer.time(as_of),
        None => writer.null(),
    }
    writer.end_object();
}
