//! `POST /v1/predict/{endpoint}`: entity keys in, prediction out. The life of the call, stage by stage.

use bytes::Bytes;
use tidegate_catalog::{CallContext, Value};
use tidegate_proto::{
    PredictRequest,
    predict::{FeatureCell, PredictHead, PredictWriter, RowFailure},
    typed::{TimeForm, Typed},
};

use tidegate_store::Error as StoreError;

use crate::{
    app::App,
    batch::{self, Filled},
    gather::Gather,
    http::connection::{Call, Scratch},
    keys::{KeyForm, RowKeys},
    models::Ran,
    plan::{EndpointPlan, LookupPlan},
    reading, recording,
    refusal::Refusal,
    rows::{self, Bound, ENTITIES, REQUEST},
    served::Served,
    timings::{Stopwatch, Timings},
};

/// What a call has once it is read.
struct Parsed<'c> {
    lookup: &'c LookupPlan,
    rows: usize,
    keys: RowKeys,
    /// Request values, row after row, column after column.
    values: Vec<Typed<'c>>,
}

/// Answers one call.
/// # Errors
/// A [`Refusal`] for a request that cannot be read, or whose rows all fail.
/// # Cost
/// One store round trip, one model run. A fixed number of allocations per call, none per feature; `predict_path` in the
/// benches counts them.
pub(crate) async fn answer(
    app: &App,
    call: &Call,
    endpoint: &str,
    body: &[u8],
    scratch: &mut Scratch,
) -> Result<Bytes, Refusal> {
    let mut watch = Stopwatch::start(&*app.clock);
    let served = app.served()?;
    let plan = served.endpoints.get(endpoint).ok_or_else(|| unknown(endpoint, served.version))?;
    let context = call.context(plan.deadline, app.config.max_deadline);
    let request = PredictRequest::read(body)?;
    let Parsed { lookup, rows, keys, values } = parse(&served, plan, &request, scratch)?;
    let mut timings = Timings { parse: watch.lap(), ..Timings::default() };

    in_time(app, &context, "the features were read")?;
    let now = app.clock.event_now();
    let Scratch { read, cells, out, .. } = scratch;
    let answers = match reading::read(app, &context, read, cells).await {
        Ok(()) => reading::judge(app, lookup, read, cells, now),
        // the caller asked for it: defaults would hide that
        Err(error @ StoreError::TooMuch { .. }) => return Err(reading::refusal(&error)),
        Err(error) => {
            if let Some(held_back) = app.limits.store.allow(app.clock.monotonic()) {
                tracing::warn!(request_id = &*context.request_id, %error, held_back, "the store did not answer");
            }
            reading::unanswered(lookup, keys.live, now, &error)
        }
    };
    let gather =
        Gather { plan: lookup, answers: &answers, request: &plan.request, values: &values, missing: plan.missing };
    let Filled { batch, slots, mut failures } = batch::fill(&plan.gather, &gather, &keys.slots, plan.model.batch(rows));
    failures.extend(keys.failures);
    failures.sort_by_key(|failure| failure.row);
    if let Some(failure) = failures.first().filter(|_| failures.len() == rows) {
        return Err(all_failed(failure));
    }
    timings.features = watch.lap();

    in_time(app, &context, "the model ran")?;
    let ran = plan.model.run(batch, &context).await?;
    (timings.queue, timings.run) = (ran.queued, ran.ran);
    watch.lap();

    let degraded = answers.failed.is_some();
    let catalog_version = served.version;
    let answered = Answered { plan, context: &context, call, catalog_version, degraded, rows, ran: &ran };
    if app.sink.wants(&plan.name) {
        recording::offer(app, &answered, (read, &keys.slots, &slots), &gather);
    }
    out.clear();
    let shown = request.include.features.then_some((&gather, keys.slots.as_slice()));
    write(&answered, &slots, &failures, shown, out);
    if degraded {
        app.metrics.degraded.increment(1);
    }
    plan.model.recycle(ran);
    timings.respond = watch.lap();
    plan.stages.record(&timings);
    Ok(out.split().freeze())
}

/// A call that has been answered, for whoever writes it down.
pub(crate) struct Answered<'c> {
    pub(crate) plan: &'c EndpointPlan,
    pub(crate) context: &'c CallContext,
    pub(crate) call: &'c Call,
    pub(crate) catalog_version: u64,
    pub(crate) degraded: bool,
    pub(crate) rows: usize,
    pub(crate) ran: &'c Ran,
}

fn unknown(endpoint: &str, version: u64) -> Refusal {
    Refusal::UnknownEndpoint { name: endpoint.chars().take(64).collect(), version }
}

fn all_failed(failure: &RowFailure) -> Refusal {
    Refusal::AllRows { code: failure.code, row: failure.row, message: failure.message.clone() }
}

/// Refuses work that cannot finish in time.
fn in_time(app: &App, context: &CallContext, before: &'static str) -> Result<(), Refusal> {
    if context.deadline.is_over(app.clock.monotonic()) { Err(Refusal::TimeOver { before }) } else { Ok(()) }
}

fn parse<'c>(
    served: &Served,
    plan: &'c EndpointPlan,
    request: &'c PredictRequest<'c>,
    scratch: &mut Scratch,
) -> Result<Parsed<'c>, Refusal> {
    let lookup = if request.include.features { &plan.full } else { &plan.needed };
    let rows = rows::count(&request.entities, &request.request)?;
    let entities = Bound::bind(ENTITIES, &lookup.columns, &[], &request.entities)?;
    let sent = Bound::bind(REQUEST, &plan.request, &[], &request.request)?;
    let mut values = Vec::with_capacity(rows * plan.request.len());
    for row in 0..rows {
        for (at, column) in plan.request.iter().enumerate() {
            values.push(match sent.value(at, row) {
                None => Typed::Null,
                Some(value) => {
                    rows::typed((REQUEST, &column.name, row), value, column.feature_type, TimeForm::Rfc3339)?
                }
            });
        }
    }
    let form = KeyForm { project: served.project, times: TimeForm::Rfc3339 };
    let keys = RowKeys::encode(lookup, &entities, rows, form, (&mut scratch.read, &mut scratch.keys))?;
    Ok(Parsed { lookup, rows, keys, values })
}

fn write(
    answered: &Answered<'_>,
    slots: &[Option<u32>],
    failures: &[RowFailure],
    shown: Option<(&Gather<'_>, &[Option<u32>])>,
    out: &mut bytes::BytesMut,
) {
    let Answered { plan, context, call, catalog_version, degraded, rows, ran } = *answered;
    let head = PredictHead {
        request_id: &context.request_id,
        endpoint: &plan.name,
        variant: &plan.variant,
        model_name: &plan.model.name,
        model_version: &plan.model.version,
        model_hash: &plan.model.hash,
        catalog_version,
        degraded,
    };
    let mut writer = PredictWriter::begin(out, &head, (0..rows).map(|row| call.id.prediction(row)));
    writer.outputs(ran.columns(), slots);
    writer.errors(failures);
    if let Some((gather, looked_up)) = shown {
        features(&mut writer, gather, looked_up);
    }
    writer.end();
}

fn features(writer: &mut PredictWriter<'_>, gather: &Gather<'_>, looked_up: &[Option<u32>]) {
    let now = gather.answers.now;
    let planned = &gather.plan.features;
    writer.features(planned.iter().map(|feature| feature.reference.as_str()), looked_up.len(), |index, row| {
        let found = planned.get(index).zip(looked_up.get(row).copied().flatten());
        let Some((feature, slot)) = found else {
            return FeatureCell { value: Value::Null, status: None, source: None, event_time: None, now };
        };
        let (value, source) = gather.served(slot as usize, feature);
        let (status, event_time) = gather.answers.status(slot as usize, feature);
        FeatureCell { value, status, source, event_time, now }
    });
}
