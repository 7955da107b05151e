//! `POST /get-online-features` on the wire: the body as Feast's clients send it, the answer as they read it.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::borrow::Cow;

use bytes::BytesMut;
use tidegate_catalog::{FieldStatus, Micros};

use crate::{
    columns::{Columns, ColumnsError},
    json::{JsonError, Reader, Writer},
};

/// A request for features by name or by service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnlineFeaturesRequest<'a> {
    /// Join keys and request values, columnar; `None` when the body has none.
    pub entities: Option<Columns<'a>>,
    /// `view:feature` references in the caller's order.
    pub features: Vec<Cow<'a, str>>,
    /// A service's name; it wins over `features`.
    pub feature_service: Option<Cow<'a, str>>,
    /// Whether names in the answer are `view__feature`.
    pub full_feature_names: bool,
    /// Ours, off unless asked for: values older than their ttl are sent beside their OUTSIDE_MAX_AGE.
    pub include_stale: bool,
}

/// Why a body is not such a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnlineFeaturesRequestError {
    /// Not JSON, or JSON of another shape.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// `entities` is not columns.
    #[error("entities: {0}")]
    Columns(#[source] ColumnsError),
    /// A field that stands twice.
    #[error("field {name:?} stands twice")]
    DuplicateField {
        /// Its name.
        name: &'static str,
    },
    /// Over [`MAX_REFERENCES`].
    #[error("features: more than {MAX_REFERENCES} references; split the request")]
    TooManyFeatures,
}

/// Most features of one request.
pub const MAX_REFERENCES: usize = 4_096;

const FIELDS: [&str; 5] = ["entities", "features", "feature_service", "full_feature_names", "include_stale"];

impl<'a> OnlineFeaturesRequest<'a> {
    /// Reads a body. Fields that we do not know are passed over: Feast's clients send more with every version.
    /// # Errors
    /// [`OnlineFeaturesRequestError`] names what is wrong and where.
    pub fn read(body: &'a [u8]) -> Result<Self, OnlineFeaturesRequestError> {
        let mut reader = Reader::new(body)?;
        let mut request = Self::default();
        let mut seen = [false; FIELDS.len()];
        reader.object(|reader, name| {
            let place = FIELDS.iter().position(|field| *field == name);
            if let Some((place, seen)) = place.and_then(|place| Some((place, seen.get_mut(place)?)))
                && std::mem::replace(seen, true)
            {
                return Err(OnlineFeaturesRequestError::DuplicateField {
                    name: FIELDS.get(place).copied().unwrap_or(""),
                });
            }
            request.member(reader, place)
        })?;
        reader.end()?;
        Ok(request)
    }

    fn member(&mut self, reader: &mut Reader<'a>, place: Option<usize>) -> Result<(), OnlineFeaturesRequestError> {
        // a null stands for an absent field, as pydantic's optional fields do
        if reader.peek() == Some(b'n') {
            return Ok(reader.skip()?);
        }
        match place {
            Some(0) => {
                self.entities = Some(Columns::read(reader).map_err(|error| match error {
                    ColumnsError::Json(error) => OnlineFeaturesRequestError::Json(error),
                    other => OnlineFeaturesRequestError::Columns(other),
                })?);
            }
            Some(1) => reader.list(|reader| {
                if self.features.len() == MAX_REFERENCES {
                    return Err(OnlineFeaturesRequestError::TooManyFeatures);
                }
                self.features.push(reader.string()?);
                Ok(())
            })?,
            Some(2) => self.feature_service = Some(reader.string()?),
            Some(3) => self.full_feature_names = reader.boolean()?,
            Some(4) => self.include_stale = reader.boolean()?,
            _ => reader.skip()?,
        }
        Ok(())
    }
}

/// Writes the answer: one result per name, join keys first, then the names.
#[derive(Debug)]
pub struct OnlineFeaturesWriter<'b> {
    writer: Writer<'b>,
}

impl<'b> OnlineFeaturesWriter<'b> {
    /// Begins the answer.
    pub fn begin(out: &'b mut BytesMut) -> Self {
        let mut writer = Writer::new(out);
        writer.begin_object();
        writer.key("results");
        writer.begin_list();
        Self { writer }
    }

    /// A column that the caller sent: all PRESENT, at the epoch.
    pub fn sent_column(&mut self, rows: usize, value: impl FnMut(&mut Writer<'_>, usize)) {
        self.column(rows, value, |_| FieldStatus::Present, |_| Micros::EPOCH);
    }

    /// A feature's column. `value` must write exactly one value.
    pub fn column(
        &mut self,
        rows: usize,
        mut value: impl FnMut(&mut Writer<'_>, usize),
        status: impl Fn(usize) -> FieldStatus,
        event_time: impl Fn(usize) -> Micros,
    ) {
        let writer = &mut self.writer;
        writer.begin_object();
        writer.key("values");
        writer.begin_list();
        for row in 0..rows {
            value(writer, row);
        }
        writer.end_list();
        writer.key("statuses");
        writer.begin_list();
        for row in 0..rows {
            writer.plain_string(status(row).as_str());
        }
        writer.end_list();
        writer.key("event_timestamps");
        writer.begin_list();
        for row in 0..rows {
            writer.time(event_time(row));
        }
        writer.end_list();
        writer.end_object();
    }

    /// Ends it with the names, in the order of the columns.
    pub fn end<'n>(self, names: impl Iterator<Item = &'n str>) {
        let mut writer = self.writer;
        writer.end_list();
        writer.key("metadata");
        writer.begin_object();
        writer.key("feature_names");
        writer.begin_list();
        for name in names {
            writer.string(name);
        }
        writer.end_list();
        writer.end_object();
        writer.end_object();
    }
}

#[cfg(test)]
mod tests;
