//! A view's rows as a stream of normalised batches over pinned sources.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use datafusion::{
    error::DataFusionError,
    logical_expr::{Expr, ident},
    physical_plan::{ExecutionPlan, execute_stream},
    prelude::DataFrame,
};
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use tidegate_catalog::{Definitions, definitions::FeatureView};

use crate::{
    Engine, Error, PinnedSource,
    engine::Planned,
    normalise::Normaliser,
    unread::{keep_unread, unread},
};

/// A view opened for reading.
pub struct ViewRows {
    /// The sources, pinned: the stream ends with an error when one of them has changed meanwhile.
    pub sources: Vec<PinnedSource>,
    /// How many rows the sources hold together: an upper bound for a plain view, a hint for any other.
    pub source_rows: u64,
    /// The batches, in any order. Columns: join keys by name, `event`, `created`, `deleted`, then the features in declared
    /// order, each in the Arrow type of its definition; last `refused`, which says why a row is none, and is null in all
    /// others.
    pub batches: BoxStream<'static, Result<RecordBatch, Error>>,
    /// How much did not fit into memory.
    pub spilled: Spilled,
}

impl Engine {
    /// Opens `view`. The whole output is streamed: what lies outside an interval is for the reader to pass over, since the
    /// SQL must see its sources whole.
    /// # Errors
    /// [`Error`] when a source cannot be read, the query cannot be planned, or its output does not fit the definition.
    pub async fn view_rows(&self, view: &FeatureView, definitions: &Definitions) -> Result<ViewRows, Error> {
        let planned = self.plan(view, definitions).await?;
        let normaliser = Normaliser::new(view, planned.frame.schema().as_arrow())?;
        let (name, memory_bytes) = (view.name.clone(), self.memory_bytes());
        let failed = move |error: DataFusionError| execution_error(&name, memory_bytes, &error);
        let frame = planned.readable(view).map_err(&failed)?;
        let task = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await.map_err(&failed)?;
        let rows = execute_stream(Arc::clone(&plan), task).map_err(&failed)?;
        let batches = rows.map(move |batch| normaliser.normalise(&batch.map_err(&failed)?));
        let source_rows = planned.sources.iter().flat_map(|source| &source.files).map(|file| file.rows).sum();
        let sources = planned.sources.clone();
        let batches = checked_at_the_end(batches, sources).boxed();
        Ok(ViewRows { batches, source_rows, sources: planned.sources, spilled: Spilled(plan) })
    }
}

/// What a query has put into files because it did not fit into memory, so far.
#[derive(Clone, Debug)]
pub struct Spilled(Arc<dyn ExecutionPlan>);

impl Spilled {
    /// Bytes in all files that the query has written.
    pub fn bytes(&self) -> usize {
        bytes_of(self.0.as_ref())
    }
}

fn bytes_of(plan: &dyn ExecutionPlan) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.spilled_bytes()).unwrap_or(0);
    own + plan.children().into_iter().map(|input| bytes_of(input.as_ref())).sum::<usize>()
}

/// What a query that fails while it runs says to whoever wrote it.
fn execution_error(view: &str, memory_bytes: usize, error: &DataFusionError) -> Error {
    let (view, reason) = (view.to_owned(), error.strip_backtrace());
    match error.find_root() {
        DataFusionError::ResourcesExhausted(reason) => Error::Memory { view, memory_bytes, reason: reason.clone() },
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::CastError(reason) | ArrowError::ParseError(reason) | ArrowError::ComputeError(reason) => {
                Error::Row { view, reason: reason.clone() }
            }
            ArrowError::DivideByZero | ArrowError::ArithmeticOverflow(_) => {
                Error::Row { view, reason: error.to_string() }
            }
            _ => Error::Execution { view, reason },
        },
        // functions say so of their arguments
        DataFusionError::Execution(reason) => Error::Row { view, reason: reason.clone() },
        _ => Error::Execution { view, reason },
    }
}

impl Planned {
    /// The columns that `view` takes, and beside its times what could not be read as one.
    fn readable(&self, view: &FeatureView) -> datafusion::common::Result<DataFrame> {
        let times = [Some(&view.timestamp_field), view.created_timestamp_field.as_ref()];
        let times = times.into_iter().flatten().collect::<Vec<_>>();
        let (state, plan) = self.frame.clone().into_parts();
        let frame = DataFrame::new(state, keep_unread(plan, &times)?);
        let has = |name: &String| frame.schema().has_column_with_unqualified_name(name);
        let kept = times.into_iter().map(|time| unread(time)).filter(has);
        let columns = output_columns(view).into_iter().chain(kept);
        let columns = columns.map(ident).collect::<Vec<Expr>>();
        frame.select(columns)
    }

    /// The query with only the columns that `view` takes.
    pub(crate) fn selected(&self, view: &FeatureView) -> datafusion::common::Result<DataFrame> {
        let columns = output_columns(view);
        self.frame.clone().select(columns.iter().map(|name| ident(name.as_str())).collect::<Vec<Expr>>())
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
