//! A source pinned: its files with their identities, and the one schema they share.

use std::{
    fs::{File, Metadata},
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use datafusion::{
    arrow::datatypes::{DataType, Field, Schema, SchemaRef},
    common::ScalarValue,
    parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
};
use tidegate_catalog::{Micros, definitions::DataSource};

use super::{files, widen::wider};
use crate::Error;

/// One file as it was when it was pinned: equal identities mean equal content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedFile {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// When it was last modified.
    pub modified: Micros,
    /// Its rows, from its footer.
    pub rows: u64,
    /// The values of the hive partitions, in the order of [`PinnedSource::partitions`].
    pub(super) partition_values: Vec<ScalarValue>,
}

/// A source's files at one moment.
#[derive(Clone, Debug)]
pub struct PinnedSource {
    /// The source's name.
    pub name: String,
    /// Its files in name order.
    pub files: Vec<PinnedFile>,
    /// The columns of the files.
    pub(super) file_schema: SchemaRef,
    /// The columns that hive partitions add.
    pub(super) partitions: Vec<Field>,
}

impl PinnedSource {
    /// Finds the files and reads every footer. Blocking: call it off the async workers.
    /// # Errors
    /// [`Error`] naming the source and the file.
    pub fn pin(source: &DataSource, root: &Path) -> Result<Self, Error> {
        let found = files::find(source, root)?;
        let mut columns: Vec<Field> = Vec::new();
        let mut files = Vec::with_capacity(found.len());
        for file in &found {
            // an object-store path has no `..`; a link is read where it points now
            let path = std::fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
            let (metadata, footer) = read_footer(&source.name, &path)?;
            merge(&source.name, &path, &mut columns, footer.schema())?;
            files.push(PinnedFile {
                size_bytes: metadata.len(),
                modified: modified(&metadata),
                rows: u64::try_from(footer.metadata().file_metadata().num_rows()).unwrap_or(0),
                partition_values: Vec::new(),
                path,
            });
        }
        // a column in the file wins over a folder of the same name: the folder only repeats it
        let new = |field: &Field| columns.iter().all(|column| column.name() != field.name());
        let partitions = partition_fields(&found).into_iter().filter(new).collect::<Vec<_>>();
        for (file, found) in files.iter_mut().zip(&found) {
            file.partition_values = partitions.iter().map(|field| partition_value(field, found)).collect();
        }
        Ok(Self { name: source.name.clone(), files, file_schema: Arc::new(Schema::new(columns)), partitions })
    }

    /// Files' columns, then partitions'.
    pub fn schema(&self) -> Schema {
        let files = self.file_schema.fields().iter().map(|field| field.as_ref().clone());
        Schema::new(files.chain(self.partitions.iter().cloned()).collect::<Vec<_>>())
    }

    /// Says whether every file is still what was pinned. Blocking, one system call a file.
    /// # Errors
    /// [`Error::Changed`] naming the file.
    pub fn require_unchanged(&self) -> Result<(), Error> {
        for file in &self.files {
            let same = std::fs::metadata(&file.path)
                .is_ok_and(|now| now.len() == file.size_bytes && modified(&now) == file.modified);
            if !same {
                return Err(Error::Changed { source_name: self.name.clone(), file: file.path.clone() });
            }
        }
        Ok(())
    }
}

/// What hive writes for null.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

fn partition_value(field: &Field, file: &files::Found) -> ScalarValue {
    let text = file.partitions.get(field.name()).filter(|text| *text != HIVE_NULL);
    match field.data_type() {
        DataType::Int64 => ScalarValue::Int64(text.and_then(|text| text.parse().ok())),
        _ => ScalarValue::Utf8(text.cloned()),
    }
}

/// The partition columns of all files: int64 where every value is a whole number in its plain form, else string.
fn partition_fields(found: &[files::Found]) -> Vec<Field> {
    let names = found.iter().flat_map(|file| file.partitions.keys()).collect::<std::collections::BTreeSet<_>>();
    let field = |name: &String| {
        let mut values = found.iter().filter_map(|file| file.partitions.get(name)).filter(|value| *value != HIVE_NULL);
        let whole = values.all(|value| value.parse::<i64>().is_ok_and(|number| number.to_string() == *value));
        Field::new(name, if whole { DataType::Int64 } else { DataType::Utf8 }, true)
    };
    names.into_iter().map(field).collect()
}

fn read_footer(source_name: &str, path: &Path) -> Result<(Metadata, ArrowReaderMetadata), Error> {
    let failed = |reason: String| Error::File { source_name: source_name.to_owned(), file: path.to_owned(), reason };
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let metadata = file.metadata().map_err(|error| failed(error.to_string()))?;
    if metadata.len() == 0 {
        return Err(failed("it is empty".to_owned()));
    }
    let footer =
        ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|error| failed(error.to_string()))?;
    Ok((metadata, footer))
}

fn merge(source_name: &str, path: &Path, columns: &mut Vec<Field>, schema: &Schema) -> Result<(), Error> {
    for field in schema.fields() {
        let Some(known) = columns.iter_mut().find(|known| known.name() == field.name()) else {
            columns.push(field.as_ref().clone().with_nullable(true).with_metadata(Default::default()));
            continue;
        };
        let Some(both) = wider(known.data_type(), field.data_type()) else {
            return Err(Error::Conflict {
                source_name: source_name.to_owned(),
                file: path.to_owned(),
                column: field.name().clone(),
                found: field.data_type().to_string(),
                expected: known.data_type().to_string(),
            });
        };
        *known = known.clone().with_data_type(both);
    }
    Ok(())
}

fn modified(metadata: &Metadata) -> Micros {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Micros(since.and_then(|since| i64::try_from(since.as_micros()).ok()).unwrap_or(0))
}
