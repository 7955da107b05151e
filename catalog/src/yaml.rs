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

/// A file of one document, such as `tidegate.yaml`, with the line of each of its parts.
#[derive(Clone, Debug)]
pub struct Document {
    file: String,
    node: Option<Node>,
}

impl Document {
    /// Reads `text` and holds it against a JSON Schema, as definitions are held against theirs.
    /// # Errors
    /// What is wrong with the text as YAML, or every unknown or missing field and wrong type. Of a value whose schema says
    /// `writeOnly`, a secret, no message holds more than its kind.
    pub fn read(file: &str, text: &str, schema: &serde_json::Value) -> Result<Self, Vec<Problem>> {
        let mut documents = tree::documents(file, text)?;
        let (node, more) = (documents.pop(), documents.pop());
        if let (Some(second), Some(_)) = (&node, more) {
            return Err(vec![Problem::error(file, second.line, "", "a second document; this file holds one")]);
        }
        let document = Self { file: file.to_owned(), node };
        let mut problems = Vec::new();
        let empty = Node::empty_mapping();
        let mut shape = shape::Shape { file, root: schema, problems: &mut problems };
        shape.check(document.node.as_ref().unwrap_or(&empty), schema, "");
        if problems.is_empty() { Ok(document) } else { Err(problems) }
    }

    /// Its content as JSON.
    pub fn value(&self) -> serde_json::Value {
        self.node.as_ref().map_or_else(|| serde_json::Value::Object(serde_json::Map::new()), Node::to_json)
    }

    /// A problem with the value at `path`, found by who knows what it means.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        let line = self.node.as_ref().map_or(1, |node| node.line_of(path));
        Problem::error(&self.file, line, path, message)
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
