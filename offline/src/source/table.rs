//! A pinned source as a table of the query engine: its files, split among the partitions, with statistics for pruning.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::{
    arrow::datatypes::SchemaRef,
    catalog::{Session, TableProvider},
    common::{DataFusionError, Result},
    datasource::{
        TableType,
        file_format::{FileFormat, parquet::ParquetFormat},
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource},
        table_schema::TableSchema,
    },
    execution::object_store::ObjectStoreUrl,
    logical_expr::{Expr, TableProviderFilterPushDown},
    physical_plan::ExecutionPlan,
};
use object_store::{ObjectMeta, path::Path as StorePath};

use super::{PinnedSource, units::TimesUpFactory};

/// The table.
#[derive(Debug)]
pub(crate) struct SourceTable {
    source: PinnedSource,
    schema: SchemaRef,
}

impl SourceTable {
    pub(crate) fn new(source: PinnedSource) -> Self {
        let schema = Arc::new(source.schema());
        Self { source, schema }
    }

    fn files(&self) -> Result<Vec<PartitionedFile>> {
        let file = |pinned: &super::PinnedFile| {
            let location =
                StorePath::from_absolute_path(&pinned.path).map_err(|error| DataFusionError::External(error.into()))?;
            let modified = chrono::DateTime::from_timestamp_micros(pinned.modified.0).unwrap_or_default();
            let meta =
                ObjectMeta { location, last_modified: modified, size: pinned.size_bytes, e_tag: None, version: None };
            Ok(PartitionedFile::new_from_meta(meta).with_partition_values(pinned.partition_values.clone()))
        };
        self.source.files.iter().map(file).collect()
    }
}

#[async_trait]
impl TableProvider for SourceTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // statistics prune, the engine still filters
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partitions = self.source.partitions.iter().map(|field| Arc::new(field.clone())).collect::<Vec<_>>();
        let table =
            TableSchema::builder(Arc::clone(&self.source.file_schema)).with_table_partition_cols(partitions).build();
        let groups = FileGroup::new(self.files()?).split_files(state.config().target_partitions());
        let config =
            FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(ParquetSource::new(table)))
                .with_file_groups(groups)
                .with_projection_indices(projection.cloned())?
                .with_limit(limit)
                .with_expr_adapter(Some(Arc::new(TimesUpFactory)))
                .build();
        ParquetFormat::new()
            .with_options(state.table_options().parquet.clone())
            .create_physical_plan(state, config)
            .await
    }
}
