//! JSON in and out: a reader that borrows and keeps numbers as written, a writer into one buffer. Why our own: the ADR
//! `the-data-plane-reads-and-writes-json-itself`.

mod reader;
mod time;
mod value;
mod writer;

pub use reader::{JsonError, MAX_DEPTH, MAX_VALUES, Reader};
pub use value::JsonValue;
pub use writer::Writer;

#[cfg(test)]
mod tests;
