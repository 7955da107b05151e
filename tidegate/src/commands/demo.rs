//! `demo`: the flights example, whole. Definitions to the registry, a year of flights to the store, predictions for one
//! hour's departures over HTTP, and beside them what really happened.

use std::{collections::BTreeMap, net::SocketAddr};

use arrow_array::{Array, Float32Array, StringArray, TimestampMicrosecondArray, cast::AsArray, types::Int64Type};
use bytes::Bytes;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidegate_catalog::{
    Clock, FeatureType, Micros, ScalarType,
    definitions::{Described, Feature, FeatureView, JoinKey, KeyType, ViewQuery},
};
use tidegate_materializer::{Rebuild, Report, Request};
use tokio_util::sync::CancellationToken;

use super::{
    catalog::{self, Done, Failure},
    exit, materialize,
    online::with_gateway,
    until_cancelled,
};
use crate::{
    http_client::Connection,
    instance::Instance,
    output::{Printer, table},
};

/// The departures that are predicted: the hour that begins two hours after the demo's "now".
const FIRST_DEPARTURE: &str = "2013-11-15T14:00:00Z";
const LAST_DEPARTURE: &str = "2013-11-15T15:00:00Z";
/// How many ranked departures are shown.
const SHOWN: usize = 15;

#[derive(Debug, Serialize)]
struct DemoReport {
    as_of: Micros,
    materialized: Report,
    departures: usize,
    predictions: Vec<Prediction>,
    latency: Latency,
}

#[derive(Clone, Debug, Serialize)]
struct Prediction {
    flight: String,
    origin: String,
    dest: String,
    scheduled: Micros,
    probability: f64,
    arrival_delay_minutes: Option<f32>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Latency {
    calls: usize,
    p50_us: u64,
    p99_us: u64,
    /// Which build measured it: a dev build's figure says little.
    build: &'static str,
}

/// One scheduled departure, as the sources have it.
#[derive(Clone, Debug)]
struct Departure {
    carrier: String,
    flight: i64,
    tailnum: Option<String>,
    origin: String,
    dest: String,
    distance: f32,
    scheduled: Micros,
    delay: Option<f32>,
}

/// `tidegate demo`
pub(super) async fn demo(instance: &Instance, printer: &Printer, cancel: &CancellationToken, calls: u32) -> Done {
    printer.note("1/4 definitions to the registry").await;
    let quiet = Printer::silent();
    if until_cancelled(cancel, catalog::apply(instance, &quiet, false, None)).await? != exit::DONE {
        return until_cancelled(cancel, catalog::apply(instance, printer, false, None)).await;
    }
    printer.note("2/4 features of a year of flights to the online store").await;
    // as a plain `tidegate materialize` would: the two continue each other
    let request = Request { views: Vec::new(), start: None, end: None, rebuild: Rebuild::No };
    let materialized = materialize::run(instance, printer, cancel, &request).await?;
    if !materialized.is_complete() {
        printer.out(materialize::text(&materialized)).await;
        return Ok(materialize::code(&materialized));
    }
    until_cancelled(cancel, predictions(instance, printer, calls, materialized)).await
}

/// The demo's second half: what a caller sees.
async fn predictions(instance: &Instance, printer: &Printer, calls: u32, materialized: Report) -> Done {
    printer.note("3/4 predictions for the next departures over HTTP").await;
    let departures = &departures(instance).await?;
    let (answers, latency) = with_gateway(instance, printer, |address| async move {
        let answers = predict(address, departures).await?;
        printer.note(format!("4/4 {calls} calls of one departure each")).await;
        Ok::<_, Failure>((answers, measure(instance, address, departures, calls).await?))
    })
    .await??;
    let report = DemoReport {
        as_of: instance.clock.event_now(),
        departures: departures.len(),
        predictions: ranked(departures, &answers),
        latency,
        materialized,
    };
    printer.result(&report, |report| text(report, &instance.project.flags())).await;
    Ok(exit::DONE)
}

/// The flights scheduled in the demo's hour, straight from the sources.
async fn departures(instance: &Instance) -> Result<Vec<Departure>, Failure> {
    let snapshot = instance.registry.newest().await?.ok_or_else(|| Failure::new("nothing was applied"))?;
    let feature = |name: &str, scalar| Feature {
        name: name.to_owned(),
        feature_type: FeatureType::Scalar(scalar),
        default: None,
        described: Described::default(),
    };
    let strings = ["carrier", "tailnum", "origin", "dest"].map(|name| feature(name, ScalarType::String));
    let mut features = strings.to_vec();
    features.extend([feature("distance", ScalarType::Float32), feature("arr_delay", ScalarType::Float32)]);
    let filter = format!("sched_dep >= TIMESTAMP '{FIRST_DEPARTURE}' AND sched_dep <= TIMESTAMP '{LAST_DEPARTURE}'");
    let scheduled = FeatureView {
        name: "departures".to_owned(),
        entities: Vec::new(),
        join_keys: vec![JoinKey { name: "flight".to_owned(), key_type: KeyType::Int64 }],
        query: ViewQuery::Source { source: "flights".to_owned(), columns: BTreeMap::new(), filter: Some(filter) },
        timestamp_field: "sched_dep".to_owned(),
        created_timestamp_field: None,
        deleted_field: None,
        ttl: None,
        features,
        described: Described::default(),
    };
    let mut rows = instance.engine.view_rows(&scheduled, &snapshot.definitions).await?.batches;
    let mut departures = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let text = |name: &str| batch.column_by_name(name).and_then(|c| c.as_any().downcast_ref::<StringArray>());
        let float = |name: &str| batch.column_by_name(name).and_then(|c| c.as_any().downcast_ref::<Float32Array>());
        let time = batch.column_by_name(tidegate_offline::EVENT).and_then(|c| c.as_any().downcast_ref());
        let columns =
            (text("carrier"), text("tailnum"), text("origin"), text("dest"), float("distance"), float("arr_delay"));
        let (Some(carrier), Some(tailnum), Some(origin), Some(dest), Some(distance), Some(delay)) = columns else {
            return Err(Failure::new("the flights have other columns than the example's"));
        };
        let time: &TimestampMicrosecondArray =
            time.ok_or_else(|| Failure::new("the flights have no departure time"))?;
        let flight = batch.column(0).as_primitive::<Int64Type>();
        departures.extend((0..batch.num_rows()).map(|row| Departure {
            carrier: carrier.value(row).to_owned(),
            flight: flight.value(row),
            tailnum: tailnum.is_valid(row).then(|| tailnum.value(row).to_owned()),
            origin: origin.value(row).to_owned(),
            dest: dest.value(row).to_owned(),
            distance: distance.value(row),
            scheduled: Micros(time.value(row)),
            delay: delay.is_valid(row).then(|| delay.value(row)),
        }));
    }
    departures.sort_by(|a, b| (a.scheduled, &a.carrier, a.flight).cmp(&(b.scheduled, &b.carrier, b.flight)));
    Ok(departures)
}

/// The body of a predict call for these departures.
fn body(departures: &[Departure]) -> Bytes {
    let each = |value: &dyn Fn(&Departure) -> serde_json::Value| departures.iter().map(value).collect::<Vec<_>>();
    let calendar = departures.iter().map(|departure| calendar(departure.scheduled)).collect::<Vec<_>>();
    let body = json!({
        "entities": {
            "carrier": each(&|d| json!(d.carrier)),
            "tailnum": each(&|d| json!(d.tailnum.as_deref().unwrap_or_default())),
            "origin": each(&|d| json!(d.origin)),
            "dest": each(&|d| json!(d.dest)),
        },
        "request": {
            "distance": each(&|d| json!(d.distance)),
            "hour": calendar.iter().map(|c| c.0).collect::<Vec<_>>(),
            "weekday": calendar.iter().map(|c| c.1).collect::<Vec<_>>(),
            "month": calendar.iter().map(|c| c.2).collect::<Vec<_>>(),
        },
    });
    Bytes::from(body.to_string())
}

/// Hour, ISO weekday and month in UTC.
fn calendar(at: Micros) -> (i64, i64, i64) {
    let text = at.to_string();
    let number = |from: usize, to: usize| text.get(from..to).and_then(|part| part.parse::<i64>().ok()).unwrap_or(0);
    let days = at.0.div_euclid(86_400_000_000);
    // 1970-01-01 was a Thursday
    (number(11, 13), (days + 3).rem_euclid(7) + 1, number(5, 7))
}

#[derive(Debug, Deserialize)]
struct Answer {
    outputs: BTreeMap<String, Vec<Option<f64>>>,
}

async fn predict(address: SocketAddr, departures: &[Departure]) -> Result<Vec<Option<f64>>, Failure> {
    let mut connection = Connection::open(address).await?;
    let answer = connection.post("/v1/predict/arrival_delay", body(departures)).await?;
    if !answer.status.is_success() {
        return Err(Failure::new(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body))));
    }
    let answer: Answer = serde_json::from_slice(&answer.body)?;
    let probability = answer.outputs.get("probability").cloned();
    probability.ok_or_else(|| Failure::new("the model has no output named \"probability\""))
}

/// One connection, one departure a call, one after the other.
async fn measure(
    instance: &Instance,
    address: SocketAddr,
    departures: &[Departure],
    calls: u32,
) -> Result<Latency, Failure> {
    let bodies = departures.iter().map(|departure| body(std::slice::from_ref(departure))).collect::<Vec<_>>();
    let mut connection = Connection::open(address).await?;
    let mut times = Vec::new();
    for one in bodies.iter().cycle().take(calls as usize) {
        let start = instance.clock.monotonic();
        let answer = connection.post("/v1/predict/arrival_delay", one.clone()).await?;
        times.push(instance.clock.monotonic().since(start));
        if !answer.status.is_success() {
            return Err(Failure::new(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body))));
        }
    }
    times.sort();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        let time = times.get(index.min(times.len().saturating_sub(1)));
        time.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    };
    let build = if cfg!(debug_assertions) { "dev" } else { "release" };
    Ok(Latency { calls: times.len(), p50_us: at(0.5), p99_us: at(0.99), build })
}

fn ranked(departures: &[Departure], probabilities: &[Option<f64>]) -> Vec<Prediction> {
    let both = departures.iter().zip(probabilities);
    let mut predictions = both
        .filter_map(|(departure, probability)| {
            Some(Prediction {
                flight: format!("{}{}", departure.carrier, departure.flight),
                origin: departure.origin.clone(),
                dest: departure.dest.clone(),
                scheduled: departure.scheduled,
                probability: (*probability)?,
                arrival_delay_minutes: departure.delay,
            })
        })
        .collect::<Vec<_>>();
    predictions.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    predictions
}

fn text(report: &DemoReport, flags: &str) -> String {
    let happened = |delay: Option<f32>| match delay {
        None => "never arrived".to_owned(),
        Some(minutes) if minutes > 15.0 => format!("{minutes:.0} min late"),
        Some(minutes) => format!("{minutes:+.0} min"),
    };
    let rows = report.predictions.iter().take(SHOWN).map(|p| {
        let route = format!("{} {}", p.origin, p.dest);
        let probability = format!("{:.3}", p.probability);
        [p.scheduled.to_string(), p.flight.clone(), route, probability, happened(p.arrival_delay_minutes)]
    });
    let latency = report.latency;
    let note = match latency.build {
        "dev" => " (a dev build: not what a release build takes)",
        _ => "",
    };
    format!(
        "{}\n\nwill it arrive more than 15 minutes late? known at {}, {} departures, the {} likeliest:\n\n{}\n\n{} calls of one departure: p50 {} us, p99 {} us{note}\n\nto keep it serving:\n  tidegate {flags} serve --as-of {}",
        materialize::text(&report.materialized),
        report.as_of,
        report.departures,
        report.predictions.len().min(SHOWN),
        table(["scheduled", "flight", "route", "probability", "what happened"], rows),
        latency.calls,
        latency.p50_us,
        latency.p99_us,
        report.as_of,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_is_utc_and_weeks_begin_on_monday() {
        assert_eq!(calendar(Micros::parse("2013-11-15T14:05:00Z").unwrap()), (14, 5, 11));
        assert_eq!(calendar(Micros::parse("1970-01-01T00:00:00Z").unwrap()), (0, 4, 1));
        assert_eq!(calendar(Micros::parse("1969-12-29T23:00:00Z").unwrap()), (23, 1, 12));
    }
}
