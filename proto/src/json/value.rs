//! One JSON value of a column, not yet of any type: what the caller wrote, borrowed from the body.

use std::borrow::Cow;

/// A JSON scalar, or a list of them. Objects have no place in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonValue<'a> {
    /// null
    Null,
    /// true, false
    Bool(bool),
    /// A number as it was written: the type that it is read as decides, so nothing is rounded on the way.
    Number(&'a str),
    /// A string; borrowed unless it has escapes.
    String(Cow<'a, str>),
    /// A list.
    List(Vec<JsonValue<'a>>),
}

impl JsonValue<'_> {
    /// The value as a message shows it: its JSON form, cut to about forty characters.
    pub fn shown(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(text) => cut(text),
            Self::String(text) => format!("the string {:?}", cut(text)),
            Self::List(elements) => format!("a list of {}", elements.len()),
        }
    }
}

fn cut(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", text.split_at(at).0),
        None => text.to_owned(),
    }
}
