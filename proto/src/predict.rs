//! `POST /v1/predict/{endpoint}` on the wire: reading its body, writing its answer.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::BytesMut;
use tidegate_catalog::{ErrorCode, FieldStatus, Micros, Value, ValueSource};

use crate::{
    columns::{Columns, ColumnsError, shown},
    error_body::clipped,
    json::{JsonError, Reader, Writer},
    typed::{self, TimeForm},
};

/// A predict body: columns by name, not yet of any type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PredictRequest<'a> {
    /// Join keys, columnar.
    pub entities: Columns<'a>,
    /// Request values, columnar.
    pub request: Columns<'a>,
    /// What the answer should carry besides outputs.
    pub include: Include,
}

/// The parts of an answer that are made only when asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Include {
    /// Every feature's value, status, source and age.
    pub features: bool,
}

/// Why a body is not a predict request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PredictRequestError {
    /// Not JSON, or JSON of another shape.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Columns that are none.
    #[error("{field}: {source}")]
    Columns {
        /// `entities` or `request`.
        field: &'static str,
        /// Why.
        source: ColumnsError,
    },
    /// A field that predict does not have.
    #[error("unknown field {name:?}; a predict request has entities, request, include")]
    UnknownField {
        /// Its name, cut.
        name: String,
    },
    /// A field that stands twice.
    #[error("field {name:?} stands twice")]
    DuplicateField {
        /// Its name.
        name: String,
    },
    /// A part of the answer that does not exist.
    #[error("include: unknown part {name:?}; it may name features")]
    UnknownPart {
        /// Its name, cut.
        name: String,
    },
}

impl<'a> PredictRequest<'a> {
    /// Reads a body.
    /// # Errors
    /// [`PredictRequestError`] names what is wrong and where.
    /// # Cost
    /// One pass, strings borrowed; at most four allocations for any number of columns, more for escapes and lists.
    pub fn read(body: &'a [u8]) -> Result<Self, PredictRequestError> {
        let mut reader = Reader::new(body)?;
        let mut request = Self::default();
        let mut seen = [false; 3];
        reader.object(|reader, name| {
            let (place, field) = match &*name {
                "entities" => (0_usize, "entities"),
                "request" => (1, "request"),
                "include" => (2, "include"),
                _ => return Err(PredictRequestError::UnknownField { name: shown(&name) }),
            };
            if let Some(seen) = seen.get_mut(place)
                && std::mem::replace(seen, true)
            {
                return Err(PredictRequestError::DuplicateField { name: field.to_owned() });
            }
            let columns = |reader| Columns::read(reader).map_err(|error| in_field(error, field));
            match place {
                0 => request.entities = columns(reader)?,
                1 => request.request = columns(reader)?,
                _ => request.include = Include::read(reader)?,
            }
            Ok(())
        })?;
        reader.end()?;
        Ok(request)
    }
}

/// Malformed JSON names its own place; what is wrong with columns as such needs the field's.
fn in_field(error: ColumnsError, field: &'static str) -> PredictRequestError {
    match error {
        ColumnsError::Json(error) => PredictRequestError::Json(error),
        source @ (ColumnsError::Duplicate { .. } | ColumnsError::TooMany | ColumnsError::TooManyRows { .. }) => {
            PredictRequestError::Columns { field, source }
        }
    }
}

impl Include {
    fn read(reader: &mut Reader<'_>) -> Result<Self, PredictRequestError> {
        let mut include = Self::default();
        reader.list(|reader| {
            let part = reader.string()?;
            if part != "features" {
                return Err(PredictRequestError::UnknownPart { name: shown(&part) });
            }
            include.features = true;
            Ok(())
        })?;
        Ok(include)
    }
}

/// The answer's front: what was asked, and what answered.
#[derive(Clone, Copy, Debug)]
pub struct PredictHead<'a> {
    /// The call's id.
    pub request_id: &'a str,
    /// The endpoint.
    pub endpoint: &'a str,
    /// The variant that answered.
    pub variant: &'a str,
    /// Its model's name.
    pub model_name: &'a str,
    /// Its model's version.
    pub model_version: &'a str,
    /// Its model file's content hash.
    pub model_hash: &'a str,
    /// The snapshot's version.
    pub catalog_version: u64,
    /// Whether a value stands in for one that the store did not answer.
    pub degraded: bool,
}

/// One output of the model over the rows that ran.
#[derive(Clone, Copy, Debug)]
pub struct OutputColumn<'a> {
    /// Its name.
    pub name: &'a str,
    /// Values per row: one stands bare, several make a list.
    pub width: Option<usize>,
    /// The values, row after row.
    pub values: OutputValues<'a>,
}

/// An output's values by type.
#[derive(Clone, Copy, Debug)]
pub enum OutputValues<'a> {
    /// float32
    Float32(&'a [f32]),
    /// float64
    Float64(&'a [f64]),
    /// int64
    Int64(&'a [i64]),
    /// int32
    Int32(&'a [i32]),
    /// bool
    Bool(&'a [bool]),
    /// string
    String(&'a [String]),
}

/// One row that failed alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFailure {
    /// Which row, from 0.
    pub row: usize,
    /// Why, as a code.
    pub code: ErrorCode,
    /// Why, in words.
    pub message: String,
}

/// One feature of one row, for `include: ["features"]`.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureCell<'a> {
    /// What the model was given: the value, or the default.
    pub value: Value<'a>,
    /// The store's word; `None` when it gave none.
    pub status: Option<FieldStatus>,
    /// Where the value came from; `None` when there is none.
    pub source: Option<ValueSource>,
    /// When it was true, if there is a row.
    pub event_time: Option<Micros>,
    /// Now, by the event clock: ages are counted from here.
    pub now: Micros,
}

/// Writes the answer part by part, in the order of its methods.
#[derive(Debug)]
pub struct PredictWriter<'b> {
    writer: Writer<'b>,
}

impl<'b> PredictWriter<'b> {
    /// Begins with the head and the prediction ids, one per row.
    pub fn begin(out: &'b mut BytesMut, head: &PredictHead<'_>, prediction_ids: impl Iterator<Item = u128>) -> Self {
        let mut writer = Writer::new(out);
        writer.begin_object();
        for (key, value) in [("request_id", head.request_id), ("endpoint", head.endpoint), ("variant", head.variant)] {
            writer.key(key);
            writer.string(value);
        }
        writer.key("model");
        writer.begin_object();
        for (key, value) in [("name", head.model_name), ("version", head.model_version), ("hash", head.model_hash)] {
            writer.key(key);
            writer.string(value);
        }
        writer.end_object();
        writer.key("catalog_version");
        writer.unsigned(head.catalog_version);
        writer.key("degraded");
        writer.boolean(head.degraded);
        writer.key("prediction_ids");
        writer.begin_list();
        for id in prediction_ids {
            writer.hex128(id);
        }
        writer.end_list();
        Self { writer }
    }

    /// The outputs; `slots` says for each row which row of the batch it was, `None` for one that failed.
    pub fn outputs<'o>(&mut self, outputs: impl Iterator<Item = OutputColumn<'o>>, slots: &[Option<u32>]) {
        self.writer.key("outputs");
        self.writer.begin_object();
        for output in outputs {
            self.writer.key_escaped(output.name);
            self.writer.begin_list();
            for slot in slots {
                match slot {
                    Some(slot) => self.output_row(&output, *slot as usize),
                    None => self.writer.null(),
                }
            }
            self.writer.end_list();
        }
        self.writer.end_object();
    }

    /// The rows that failed alone.
    pub fn errors(&mut self, errors: &[RowFailure]) {
        self.writer.key("errors");
        self.writer.begin_list();
        for error in errors {
            self.writer.begin_object();
            self.writer.key("row");
            self.writer.unsigned(error.row as u64);
            self.writer.key("code");
            self.writer.plain_string(error.code.as_str());
            self.writer.key("message");
            self.writer.string(clipped(&error.message));
            self.writer.end_object();
        }
        self.writer.end_list();
    }

    /// The features, each by its reference, `cell(feature, row)` for every row.
    pub fn features<'c>(
        &mut self,
        references: impl Iterator<Item = &'c str>,
        rows: usize,
        cell: impl Fn(usize, usize) -> FeatureCell<'c>,
    ) {
        self.writer.key("features");
        self.writer.begin_object();
        for (feature, reference) in references.enumerate() {
            self.writer.key(reference);
            self.writer.begin_list();
            for row in 0..rows {
                self.feature(&cell(feature, row));
            }
            self.writer.end_list();
        }
        self.writer.end_object();
    }

    /// The end.
    pub fn end(mut self) {
        self.writer.end_object();
    }

    fn feature(&mut self, cell: &FeatureCell<'_>) {
        let writer = &mut self.writer;
        writer.begin_object();
        writer.key("value");
        typed::write(writer, &cell.value, TimeForm::Rfc3339);
        writer.key("status");
        match cell.status {
            Some(status) => writer.plain_string(status.as_str()),
            None => writer.null(),
        }
        writer.key("source");
        match cell.source {
            Some(source) => writer.plain_string(source.as_str()),
            None => writer.null(),
        }
        writer.key("event_time");
        match cell.event_time {
            Some(time) => writer.time(time),
            None => writer.null(),
        }
        writer.key("age_ms");
        match cell.event_time {
            Some(time) => writer.int(cell.now.0.saturating_sub(time.0).div_euclid(1_000)),
            None => writer.null(),
        }
        writer.end_object();
    }

    fn output_row(&mut self, output: &OutputColumn<'_>, row: usize) {
        let width = output.width.unwrap_or(1);
        let start = row.saturating_mul(width);
        if output.width.is_some() {
            self.writer.begin_list();
        }
        for at in start..start.saturating_add(width) {
            self.output_value(&output.values, at);
        }
        if output.width.is_some() {
            self.writer.end_list();
        }
    }

    fn output_value(&mut self, values: &OutputValues<'_>, at: usize) {
        let writer = &mut self.writer;
        let written = match values {
            OutputValues::Float32(values) => values.get(at).map(|value| writer.float32(*value)),
            OutputValues::Float64(values) => values.get(at).map(|value| writer.float64(*value)),
            OutputValues::Int64(values) => values.get(at).map(|value| writer.int(*value)),
            OutputValues::Int32(values) => values.get(at).map(|value| writer.int(i64::from(*value))),
            OutputValues::Bool(values) => values.get(at).map(|value| writer.boolean(*value)),
            OutputValues::String(values) => values.get(at).map(|value| writer.string(value)),
        };
        if written.is_none() {
            writer.null();
        }
    }
}

#[cfg(test)]
mod tests;
