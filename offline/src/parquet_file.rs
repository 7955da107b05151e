//! A batch as a Parquet file, for samples that the program writes itself.

use arrow_array::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;

use crate::Error;

/// The bytes of a Parquet file that holds `batch`.
/// # Errors
/// [`Error::Engine`] when a column has a type that Parquet lacks.
pub fn parquet_bytes(batch: &RecordBatch) -> Result<Vec<u8>, Error> {
    let failed = |error: datafusion::parquet::errors::ParquetError| Error::Engine { reason: error.to_string() };
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).map_err(failed)?;
    writer.write(batch).map_err(failed)?;
    writer.close().map_err(failed)?;
    Ok(bytes)
}
