//! A view's rows as a stream of normalised batches over pinned sources.

use std::sync::Arc;

use arrow_array::RecordBatch;
use datafusion::logical_expr::{Expr, ident};
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use tidegate_catalog::{Definitions, definitions::FeatureView};

use crate::{Engine, Error, PinnedSource, normalise::Normaliser};

/// A view opened for reading.
pub struct ViewRows {
    /// The sources, pinned: the stream ends with an error when one of them has changed meanwhile.
    pub sources: Vec<PinnedSource>,
    /// How many rows the sources hold together: an upper bound for a plain view, a hint for any other.
    pub source_rows: u64,
    /// The batches, in any order. Columns: join keys by name, `event`, `created`, `deleted`, then the features in declared
    /// order, each in the Arrow type of its definition.
    pub batches: BoxStream<'static, Result<RecordBatch, Error>>,
}

impl Engine {
    /// Opens `view`. The whole output is streamed: what lies outside an interval is for the reader to pass over, since the
    /// SQL must see its sources whole.
    /// # Errors
    /// [`Error`] when a source cannot be read, the query cannot be planned, or its output does not fit the definition.
    pub async fn view_rows(&self, view: &FeatureView, definitions: &Definitions) -> Result<ViewRows, Error> {
        let planned = self.plan(view, definitions).await?;
        let columns = output_columns(view);
        let normaliser = Normaliser::new(view, planned.frame.schema().as_arrow())?;
        let execution = |error: datafusion::error::DataFusionError| Error::Execution {
            view: view.name.clone(),
            reason: error.strip_backtrace(),
        };
        let selected = columns.iter().map(|name| ident(name.as_str())).collect::<Vec<Expr>>();
        let frame = planned.frame.select(selected).map_err(execution)?;
        let rows = frame.execute_stream().await.map_err(execution)?;
        let name = view.name.clone();
        let batches = rows.map(move |batch| {
            let batch =
                batch.map_err(|error| Error::Execution { view: name.clone(), reason: error.strip_backtrace() })?;
            normaliser.normalise(&batch)
        });
        let source_rows = planned.sources.iter().flat_map(|source| &source.files).map(|file| file.rows).sum();
        let sources = planned.sources.clone();
        Ok(ViewRows { batches: checked_at_the_end(batches, sources).boxed(), source_rows, sources: planned.sources })
    }
}

/// The output columns that a view needs, each once.
fn output_columns(view: &FeatureView) -> Vec<String> {
    let mut columns = view.join_keys.iter().map(|key| key.name.clone()).collect::<Vec<_>>();
    columns.push(view.timestamp_field.clone());
    columns.extend(view.created_timestamp_field.clone());
    columns.extend(view.deleted_field.clone());
    columns.extend(view.features.iter().map(|feature| feature.name.clone()));
    let mut seen = std::collections::BTreeSet::new();
    columns.retain(|column| seen.insert(column.clone()));
    columns
}

/// After the last batch, or a failure, looks at the files again: rows of two states of a source are never both believed,
/// and a failure that a replaced file caused says so.
fn checked_at_the_end(
    batches: impl Stream<Item = Result<RecordBatch, Error>> + Send + 'static,
    sources: Vec<PinnedSource>,
) -> impl Stream<Item = Result<RecordBatch, Error>> + Send + 'static {
    let sources = Arc::new(sources);
    let check = move || {
        let sources = Arc::clone(&sources);
        async move {
            let looked =
                tokio::task::spawn_blocking(move || sources.iter().try_for_each(PinnedSource::require_unchanged));
            looked.await.unwrap_or_else(|error| Err(Error::Engine { reason: error.to_string() }))
        }
    };
    let at_failure = check.clone();
    let batches = batches.then(move |batch| {
        let check = batch.is_err().then(&at_failure);
        async move {
            match (batch, check) {
                (Err(error), Some(check)) => Err(check.await.err().unwrap_or(error)),
                (batch, _) => batch,
            }
        }
    });
    let end =
        stream::once(async move { check().await }).filter_map(|unchanged| async move { unchanged.err().map(Err) });
    batches.chain(end)
}
