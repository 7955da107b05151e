//! What a run needs from the offline side: a view's rows. Bound to the query engine; tests bind what they need.

use std::future::Future;

use arrow_array::RecordBatch;
use futures::{StreamExt, stream::BoxStream};
use tidegate_catalog::{
    Snapshot,
    definitions::{FeatureView, ViewQuery},
};
use tidegate_control::SourceFile;
use tidegate_offline::{Engine, PinnedFile};

use crate::Error;

/// Computes views.
pub trait ViewSource: Send + Sync {
    /// Opens the rows of `view` under the definitions of `snapshot`, in any order. The sources are pinned when they are
    /// opened: one that changes while it is read is an error of the stream.
    /// # Errors
    /// [`Error::Offline`] when the sources or the query cannot be used.
    fn open(&self, snapshot: &Snapshot, view: &FeatureView) -> impl Future<Output = Result<OpenedView, Error>> + Send;
}

/// A view's rows, ready to flow.
pub struct OpenedView {
    /// Normalised batches: join keys sorted by name, event, created, deleted, features in declared order, and last why a
    /// row is none (null in all others).
    pub batches: BoxStream<'static, Result<RecordBatch, Error>>,
    /// The files that they come from.
    pub sources: Vec<SourceFile>,
    /// How many rows will come, where that is known before.
    pub total_rows: Option<u64>,
}

impl ViewSource for Engine {
    async fn open(&self, snapshot: &Snapshot, view: &FeatureView) -> Result<OpenedView, Error> {
        let rows = self.view_rows(view, &snapshot.definitions).await?;
        let files = rows.sources.iter().flat_map(|source| &source.files);
        // only a plain view without a filter yields exactly its source's rows
        let plain = matches!(view.query, ViewQuery::Source { filter: None, .. });
        Ok(OpenedView {
            sources: files.map(source_file).collect(),
            total_rows: plain.then_some(rows.source_rows),
            batches: rows.batches.map(|batch| batch.map_err(Error::from)).boxed(),
        })
    }
}

fn source_file(file: &PinnedFile) -> SourceFile {
    SourceFile {
        path: file.path.to_string_lossy().into_owned(),
        size_bytes: file.size_bytes,
        modified: file.modified,
        rows: Some(file.rows),
    }
}
