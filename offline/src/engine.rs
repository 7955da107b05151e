//! The query engine for one project: memory-limited, spilling, seeing nothing but the project's sources.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use datafusion::{
    execution::{
        context::{SQLOptions, SessionConfig, SessionContext},
        memory_pool::FairSpillPool,
        runtime_env::RuntimeEnvBuilder,
    },
    prelude::DataFrame,
};
use tidegate_catalog::{
    Definitions,
    definitions::{FeatureView, ViewQuery},
};

use crate::{
    Error,
    hints::with_quoted_names,
    source::{PinnedSource, SourceTable},
};

/// How queries run.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Bytes that one query may hold before it spills.
    pub memory_bytes: usize,
    /// Where it spills; made when needed, emptied with the query.
    pub spill_folder: PathBuf,
    /// Partitions of a query; `None` is one a core. Fewer where there is little memory.
    pub partitions: Option<usize>,
}

/// Computes views of one project. A clone is cheap; queries do not share memory.
#[derive(Clone, Debug)]
pub struct Engine {
    config: EngineConfig,
    root: PathBuf,
}

/// What a partition needs at least: many sorts side by side leave none of them, nor their merge, enough to work with.
const PARTITION_BYTES: usize = 8 << 20;

/// A view's query planned over pinned sources.
pub(crate) struct Planned {
    pub(crate) frame: DataFrame,
    pub(crate) sources: Vec<PinnedSource>,
}

impl Engine {
    /// An engine for the project in `root`: relative paths of sources start there.
    pub fn new(config: EngineConfig, root: &Path) -> Self {
        Self { config, root: root.to_owned() }
    }

    /// What one query may hold.
    pub(crate) const fn memory_bytes(&self) -> usize {
        self.config.memory_bytes
    }

    /// Pins the sources named, off the async workers.
    pub(crate) async fn pin(&self, definitions: &Definitions, names: &[&str]) -> Result<Vec<PinnedSource>, Error> {
        let sources = names.iter().filter_map(|name| definitions.sources.get(*name)).cloned().collect::<Vec<_>>();
        let root = self.root.clone();
        tokio::task::spawn_blocking(move || sources.iter().map(|source| PinnedSource::pin(source, &root)).collect())
            .await
            .map_err(|error| Error::Engine { reason: error.to_string() })?
    }

    /// Plans a view's query over sources that are pinned for it alone.
    pub(crate) async fn plan(&self, view: &FeatureView, definitions: &Definitions) -> Result<Planned, Error> {
        let sources = self.pin(definitions, &view.source_names(definitions)).await?;
        let frame = self.frame(view, &sources).await.map_err(|error| match &view.query {
            ViewQuery::Sql(sql) | ViewQuery::Source { filter: Some(sql), .. } => {
                with_quoted_names(error, sql, &sources)
            }
            ViewQuery::Source { filter: None, .. } => with_quoted_names(error, "", &sources),
        })?;
        Ok(Planned { frame, sources })
    }

    async fn frame(&self, view: &FeatureView, sources: &[PinnedSource]) -> Result<DataFrame, Error> {
        let context = self.context(sources)?;
        // how many lines of ours stand before the text that the user wrote
        let (sql, lines_before) = match &view.query {
            ViewQuery::Sql(sql) => (sql.clone(), 0),
            ViewQuery::Source { .. } => (plain_sql(view), 1),
        };
        let only_queries = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        context
            .sql_with_options(&sql, only_queries)
            .await
            .map_err(|error| query_error(&view.name, &error, lines_before))
    }

    fn context(&self, sources: &[PinnedSource]) -> Result<SessionContext, Error> {
        let failed = |error: datafusion::error::DataFusionError| Error::Engine { reason: error.to_string() };
        std::fs::create_dir_all(&self.config.spill_folder)
            .map_err(|error| Error::Engine { reason: format!("{}: {error}", self.config.spill_folder.display()) })?;
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(self.config.memory_bytes)))
            .with_temp_file_path(self.config.spill_folder.clone())
            .build_arc()
            .map_err(failed)?;
        let mut config = SessionConfig::new().with_information_schema(false);
        let partitions = self.config.partitions.unwrap_or_else(|| config.target_partitions());
        config = config.with_target_partitions(partitions.min(self.config.memory_bytes / PARTITION_BYTES).max(1));
        config.options_mut().execution.time_zone = Some("UTC".to_owned());
        config.options_mut().execution.parquet.pushdown_filters = false;
        // what a sort keeps back for its merge must fit the limit, whatever the limit
        let reserved = &mut config.options_mut().execution.sort_spill_reservation_bytes;
        *reserved = (*reserved).min(self.config.memory_bytes / 4);
        let context = SessionContext::new_with_config_rt(config, runtime);
        for source in sources {
            let table = Arc::new(SourceTable::new(source.clone()));
            // an unquoted name in SQL is lower case; both spellings find the table
            let lower = source.name.to_lowercase();
            if lower != source.name {
                context.register_table(quoted(&lower), Arc::clone(&table) as _).map_err(failed)?;
            }
            context.register_table(quoted(&source.name), table).map_err(failed)?;
        }
        Ok(context)
    }
}

/// The SQL of a plain view: its columns of one source, renamed, filtered.
fn plain_sql(view: &FeatureView) -> String {
    let ViewQuery::Source { source, columns, filter } = &view.query else { return String::new() };
    let own = |name: &String| columns.get(name).unwrap_or(name).clone();
    let mut outputs = view.join_keys.iter().map(|key| &key.name).collect::<Vec<_>>();
    outputs.push(&view.timestamp_field);
    outputs.extend(&view.created_timestamp_field);
    outputs.extend(&view.deleted_field);
    outputs.extend(view.features.iter().map(|feature| &feature.name));
    let mut seen = std::collections::BTreeSet::new();
    outputs.retain(|name| seen.insert(*name));
    let list = outputs.iter().map(|name| format!("{} AS {}", quoted(&own(name)), quoted(name)));
    let mut sql = format!("SELECT {} FROM {}", list.collect::<Vec<_>>().join(", "), quoted(source));
    if let Some(filter) = filter {
        // the line breaks keep a trailing comment from swallowing the bracket
        sql.push_str(&format!(" WHERE (\n{filter}\n)"));
    }
    sql
}

/// An SQL identifier, exactly.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The planner's words, with the position that they carry: a line of what the user wrote, which may stand in SQL of ours.
fn query_error(view: &str, error: &datafusion::error::DataFusionError, lines_before: u64) -> Error {
    let text = error.strip_backtrace();
    let mut message = text.strip_prefix("SQL error: ").unwrap_or(&text).to_owned();
    let position = position(&message).map(|(line, column)| {
        let written = line.saturating_sub(lines_before).max(1);
        message = message.replacen(&format!("Line: {line},"), &format!("Line: {written},"), 1);
        (written, column)
    });
    Error::Query { view: view.to_owned(), position, message }
}

/// Reads `Line: 2, Column: 10` out of a parser's message.
fn position(message: &str) -> Option<(u64, u64)> {
    let after = |text: &str, label: &str| {
        let digits = text.split_once(label)?.1;
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits.get(..end)?.parse().ok()
    };
    Some((after(message, "Line: ")?, after(message, "Column: ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_out_of_the_parsers_words() {
        assert_eq!(position("Expected: x, found: y at Line: 2, Column: 14"), Some((2, 14)));
        assert_eq!(position("something else"), None);
    }
}
