//! Definitions as text: YAML documents in, [`Definitions`] out, or every problem with its file, line and path.
//!
//! Pure: whoever calls it reads the files. The parts: [`tree`] keeps the line of every node, [`shape`] holds it against the
//! JSON Schema of [`raw`], so that what editors complete is what is accepted, and [`check`] makes what cannot be wrong.

mod check;
mod defaults;
mod names;
mod raw;
mod services;
mod shape;
mod tree;
mod views;

use std::collections::BTreeMap;

use crate::Definitions;

pub use tree::Node;

/// The text of one file.
#[derive(Clone, Debug)]
pub struct SourceText {
    /// How the file is called in messages.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// Whether a problem stops the definitions from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does.
    Error,
    /// It does not, but somebody should look.
    Warning,
}

/// Something wrong in a definition, and where.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The path inside the document, like `features[2].type`; empty for the document itself.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl Problem {
    /// An error at a place.
    pub fn error(file: &str, line: usize, path: &str, message: impl Into<String>) -> Self {
        let (file, path) = (file.to_owned(), path.to_owned());
        Self { severity: Severity::Error, file, line, path, message: message.into() }
    }

    /// The problem of a file whose bytes are no text.
    pub fn not_utf8(file: &str) -> Self {
        Self::error(file, 1, "", "the file is not UTF-8 text; save it as UTF-8")
    }
}

/// Definitions with what is worth saying about them and where each of their parts stands.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The definitions.
    pub definitions: Definitions,
    /// Problems that stop nothing.
    pub warnings: Vec<Problem>,
    /// Where everything stands.
    pub locations: Locations,
}

/// Finds the line of a part of a definition, for checks that come later.
#[derive(Clone, Debug, Default)]
pub struct Locations(BTreeMap<(String, String), (String, Node)>);

impl Locations {
    /// File and line of `path` inside the definition `kind` `name`; of the nearest part around it where it is not written.
    pub fn find(&self, kind: &str, name: &str, path: &str) -> Option<(&str, usize)> {
        let (file, node) = self.0.get(&(kind.to_owned(), name.to_owned()))?;
        Some((file, node.line_of(path)))
    }

    /// File and line of a line inside a text such as an SQL query, counted from 1 on the text's own first line.
    pub fn find_in_text(&self, kind: &str, name: &str, path: &str, text_line: usize) -> Option<(&str, usize)> {
        let (file, node) = self.0.get(&(kind.to_owned(), name.to_owned()))?;
        Some((file, node.text_line_of(path).saturating_add(text_line.saturating_sub(1))))
    }

    pub(in crate::yaml) fn insert(&mut self, kind: &str, name: &str, file: &str, node: Node) {
        self.0.insert((kind.to_owned(), name.to_owned()), (file.to_owned(), node));
    }
}

/// Reads the definitions of `project` from all its files.
/// # Errors
/// Every problem of every file, in file and line order.
pub fn load(project: &str, files: &[SourceText]) -> Result<Loaded, Vec<Problem>> {
    check::load(project, files)
}

/// Reads a file of one document, such as `tidegate.yaml`, as a JSON value.
/// # Errors
/// What is wrong with the text as YAML.
pub fn value(file: &str, text: &str) -> Result<serde_json::Value, Vec<Problem>> {
    let mut documents = tree::documents(file, text)?;
    match (documents.pop(), documents.is_empty()) {
        (None, _) => Ok(serde_json::Value::Object(serde_json::Map::new())),
        (Some(node), true) => Ok(node.to_json()),
        (Some(second), false) => {
            Err(vec![Problem::error(file, second.line, "", "a second document; this file holds one")])
        }
    }
}

/// Why `name` cannot name anything, if so: the one rule for names of every kind.
pub fn name_refusal(name: &str) -> Option<String> {
    names::refusal(name)
}

/// The JSON Schema of a definition of any kind, for editors.
pub fn schema() -> serde_json::Value {
    shape::schema()
}

#[cfg(test)]
mod tests;
