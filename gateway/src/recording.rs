//! Makes prediction records, for a sink that wants them.

use tidegate_store::ReadPlan;

use crate::{app::App, batch, faces::predict::Answered, gather::Gather, record::PredictionRecord};

/// Offers one record per answered row.
pub(crate) fn offer(
    app: &App,
    answered: &Answered<'_>,
    (read, looked_up, slots): (&ReadPlan, &[Option<u32>], &[Option<u32>]),
    gather: &Gather<'_>,
) {
    let hashes = batch::row_hashes(&answered.ran.input);
    let keys = read.keys().map(|(key, _)| key.bytes().clone()).collect::<Vec<_>>();
    let per_row = gather.plan.groups.len();
    let mut features = Vec::with_capacity(gather.plan.features.len());
    for (row, (looked_up, slot)) in looked_up.iter().zip(slots).enumerate() {
        let Some((looked_up, slot)) = looked_up.zip(*slot) else { continue };
        let (looked_up, slot) = (looked_up as usize, slot as usize);
        features.clear();
        features.extend(gather.plan.features.iter().map(|feature| {
            let (_, source) = gather.served(looked_up, feature);
            (gather.answers.stamp(looked_up, feature), source)
        }));
        app.sink.offer(&PredictionRecord {
            context: answered.context,
            prediction_id: answered.call.id.prediction(row),
            endpoint: &answered.plan.name,
            variant: &answered.plan.variant,
            model: &answered.plan.model.name,
            model_version: &answered.plan.model.version,
            model_hash: &answered.plan.model.hash,
            catalog_version: answered.catalog_version,
            event_now: gather.answers.now,
            entity_keys: keys.get(looked_up * per_row..(looked_up + 1) * per_row).unwrap_or(&[]),
            features: &features,
            input_hash: hashes.get(slot).copied().unwrap_or(0),
            outputs: answered.ran,
            output_row: slot,
        });
    }
}
