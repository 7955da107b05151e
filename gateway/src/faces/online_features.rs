//! `POST /get-online-features`: Feast's feature read. No defaults, no ladder: what the store says, or its failure.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use tidegate_catalog::{FeatureType, FieldStatus, Micros, Value};
use tidegate_proto::{
    Columns, OnlineFeaturesRequest,
    feast::OnlineFeaturesWriter,
    json::Writer,
    typed::{self, TimeForm},
};

use crate::{
    answers::Answers,
    app::App,
    http::connection::{Call, Scratch},
    keys::{KeyForm, RowKeys},
    plan::{ListPlan, LookupPlan},
    reading,
    refusal::Refusal,
    rows::{self, Bound, ENTITIES},
    served::Served,
    timings::{Stopwatch, Timings},
};

/// Answers one request.
/// # Errors
/// A [`Refusal`] for what cannot be read or is not there, and the store's failure.
/// # Cost
/// One round trip; a fixed number of allocations per request for a list that was seen before, none per value.
pub(crate) async fn answer(app: &App, call: &Call, body: &[u8], scratch: &mut Scratch) -> Result<Bytes, Refusal> {
    let mut watch = Stopwatch::start(&*app.clock);
    let context = call.context(app.config.max_deadline, app.config.max_deadline);
    let served = app.served()?;
    let request = OnlineFeaturesRequest::read(body)?;
    let listed;
    let plan = match &request.feature_service {
        Some(name) => service(&served, name)?,
        None => {
            let references = request.features.iter().map(Cow::as_ref);
            listed = served.lists.find_or_compile(references, &served.views, served.version)?;
            &*listed
        }
    };
    refuse_collision(plan, &request)?;
    let entities = request.entities.as_ref().ok_or(Refusal::NoEntities)?;
    let count = rows_of(plan, entities)?;
    let bound = Bound::bind(ENTITIES, &plan.lookup.columns, &plan.request, entities)?;
    let form = KeyForm { project: served.project, times: TimeForm::Seconds };
    let Scratch { keys, read, cells, out } = scratch;
    let encoded = RowKeys::encode(&plan.lookup, &bound, count, form, (read, keys))?;
    if let Some(failure) = encoded.failures.first() {
        let message = format!("row {}: {}", failure.row, failure.message);
        return Err(Refusal::Row { code: failure.code, message });
    }
    let mut timings = Timings { parse: watch.lap(), ..Timings::default() };
    reading::read(app, &context, read, cells).await.map_err(|error| {
        if let Some(held_back) = app.limits.store.allow(app.clock.monotonic()) {
            tracing::warn!(request_id = &*context.request_id, %error, held_back, "the store did not answer");
        }
        reading::refusal(&error)
    })?;
    let answers = reading::judge(app, &plan.lookup, read, cells, app.clock.event_now());
    if let Some(code) = answers.failed {
        let message = "the online store did not answer for every key".to_owned();
        return Err(Refusal::Store { code, message });
    }
    timings.features = watch.lap();
    let written = write(&request, entities, &plan.lookup, &answers, (count, out))?;
    timings.respond = watch.lap();
    app.metrics.online_features.record(&timings);
    Ok(written)
}

fn service<'s>(served: &'s Served, name: &str) -> Result<&'s ListPlan, Refusal> {
    served
        .services
        .get(name)
        .ok_or_else(|| Refusal::UnknownService { name: name.chars().take(64).collect(), version: served.version })
}

/// Short names must tell the features apart.
fn refuse_collision(plan: &ListPlan, request: &OnlineFeaturesRequest<'_>) -> Result<(), Refusal> {
    match &plan.collision {
        Some((one, other)) if !request.full_feature_names => {
            Err(Refusal::NameCollision { one: one.clone(), other: other.clone() })
        }
        _ => Ok(()),
    }
}

fn rows_of(plan: &ListPlan, entities: &Columns<'_>) -> Result<usize, Refusal> {
    Ok(if entities.is_empty() && plan.lookup.columns.is_empty() { 1 } else { entities.rows()? })
}

fn write(
    request: &OnlineFeaturesRequest<'_>,
    entities: &Columns<'_>,
    plan: &LookupPlan,
    answers: &Answers<'_>,
    (rows, out): (usize, &mut BytesMut),
) -> Result<Bytes, Refusal> {
    out.clear();
    let mut writer = OnlineFeaturesWriter::begin(out);
    let sent = || entities.iter().filter(|sent| plan.columns.iter().any(|column| column.name == sent.name));
    for column in sent() {
        let Some(key) = plan.columns.iter().find(|key| key.name == column.name) else { continue };
        let wanted = FeatureType::Scalar(key.key_type.scalar());
        let values = entities.values(column);
        for (row, value) in values.iter().enumerate() {
            rows::typed((ENTITIES, &column.name, row), value, wanted, TimeForm::Seconds)?;
        }
        writer.sent_column(rows, |writer, row| {
            let typed = values.get(row).and_then(|value| typed::Typed::read(value, wanted, TimeForm::Seconds).ok());
            match typed {
                Some(typed) => typed::write(writer, &typed.as_value(), TimeForm::Seconds),
                None => writer.null(),
            }
        });
    }
    for feature in &plan.features {
        let value = |writer: &mut Writer<'_>, row: usize| {
            let answer = answers.feature(row, feature);
            let sent = match answer.status {
                Some(FieldStatus::Present) => true,
                Some(FieldStatus::OutsideMaxAge) => request.include_stale,
                Some(FieldStatus::NullValue | FieldStatus::NotFound) | None => false,
            };
            typed::write(writer, if sent { &answer.value } else { &Value::Null }, TimeForm::Seconds);
        };
        let status = |row| answers.status(row, feature).0.unwrap_or(FieldStatus::NotFound);
        writer.column(rows, value, status, |row| answers.status(row, feature).1.unwrap_or(Micros::EPOCH));
    }
    let full = request.full_feature_names;
    let features = plan.features.iter().map(|feature| if full { &feature.column } else { &feature.name });
    writer.end(sent().map(|column| &*column.name).chain(features.map(String::as_str)));
    Ok(out.split().freeze())
}
