//! YAML text to a tree whose nodes know their lines. YAML 1.2 core scalars: `no` and `on` are text, `0123` a number.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Number, Value};

use super::Problem;

/// The longest file.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The deepest nesting.
const MAX_DEPTH: usize = 64;

/// A node and the line it begins on.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The line, from 1.
    pub line: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A scalar: what it means, and how it is written.
    Scalar(Value, String),
    Sequence(Vec<Node>),
    /// Keys in order, each with its line.
    Mapping(Vec<(String, usize, Node)>),
}

impl Node {
    /// The value of `key` in a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Mapping(entries) => entries.iter().find(|(name, ..)| name == key).map(|(.., node)| node),
            _ => None,
        }
    }

    /// The text of a string scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(Value::String(text), _) => Some(text),
            _ => None,
        }
    }

    /// What an empty file is.
    pub(super) const fn empty_mapping() -> Self {
        Self { line: 1, kind: Kind::Mapping(Vec::new()) }
    }

    /// What it is, for messages about a secret: nothing of what is written.
    pub(super) fn described_without_content(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(Value::Null, _) => "nothing",
            Kind::Scalar(Value::Bool(_), _) => "a bool",
            Kind::Scalar(Value::Number(_), _) => "a number",
            Kind::Scalar(..) => "a text",
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a mapping",
        }
    }

    /// What it is, for messages.
    pub(super) fn described(&self) -> String {
        match &self.kind {
            Kind::Scalar(Value::Null, _) => "nothing".to_owned(),
            Kind::Scalar(Value::Bool(_), written) => format!("the bool {written}"),
            Kind::Scalar(Value::Number(_), written) => format!("the number {written}"),
            Kind::Scalar(_, written) => format!("the text {:?}", written.chars().take(40).collect::<String>()),
            Kind::Sequence(_) => "a list".to_owned(),
            Kind::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// The line of `path` (`features[2].type`), or of the last part of it that is there.
    pub(super) fn line_of(&self, path: &str) -> usize {
        self.walk(path).0
    }

    /// The line on which the text at `path` begins: below the `|` of a block.
    pub(super) fn text_line_of(&self, path: &str) -> usize {
        self.walk(path).1.line
    }

    fn walk(&self, path: &str) -> (usize, &Self) {
        let mut at = self;
        let mut line = self.line;
        for part in path.split(['.', '[']).map(|part| part.trim_end_matches(']')).filter(|part| !part.is_empty()) {
            let next = match &at.kind {
                Kind::Mapping(entries) => entries.iter().find(|(name, ..)| name == part).map(|(_, line, n)| (*line, n)),
                Kind::Sequence(items) => {
                    part.parse::<usize>().ok().and_then(|index| items.get(index)).map(|node| (node.line, node))
                }
                Kind::Scalar(..) => None,
            };
            match next {
                Some((next_line, node)) => (line, at) = (next_line, node),
                None => break,
            }
        }
        (line, at)
    }

    /// The node as JSON. Infinities and NaN, which JSON lacks, become the texts `.inf`, `-.inf` and `.nan`.
    pub(super) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value, _) => value.clone(),
            Kind::Sequence(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Kind::Mapping(entries) => {
                Value::Object(entries.iter().map(|(key, _, node)| (key.clone(), node.to_json())).collect::<Map<_, _>>())
            }
        }
    }
}

/// The documents of a file that are not empty.
pub(super) fn documents(file: &str, text: &str) -> Result<Vec<Node>, Vec<Problem>> {
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, the limit is {MAX_BYTES}", text.len());
        return Err(vec![Problem::error(file, 1, "", message)]);
    }
    let mut reader = Reader { file, events: Parser::new_from_str(text) };
    let mut documents = Vec::new();
    loop {
        match reader.next().map_err(|problem| vec![problem])? {
            None | Some((Event::StreamEnd, _)) => return Ok(documents),
            Some((Event::DocumentStart(_), _)) => {
                let node = reader.node(0).map_err(|problem| vec![problem])?;
                if !matches!(node.kind, Kind::Scalar(Value::Null, _)) {
                    documents.push(node);
                }
            }
            Some(_) => {}
        }
    }
}

struct Reader<'a> {
    file: &'a str,
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Problem> {
        self.events.next().transpose().map_err(|error| {
            Problem::error(self.file, error.marker().line(), "", format!("not YAML: {}", error.info()))
        })
    }

    fn node(&mut self, depth: usize) -> Result<Node, Problem> {
        let Some((event, span)) = self.next()? else {
            return Err(Problem::error(self.file, 1, "", "not YAML: the document ends too early"));
        };
        self.node_of(event, span, depth)
    }

    fn node_of(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Problem> {
        let line = span.start.line();
        if depth > MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(Problem::error(self.file, line, "", message));
        }
        if is_tagged(&event) {
            let message = "a tag (!!type) is not taken here; a text that looks like something else stands in quotes";
            return Err(Problem::error(self.file, line, "", message));
        }
        let kind = match event {
            Event::Scalar(text, style, _, _) => {
                let value = if style == ScalarStyle::Plain { core_scalar(&text) } else { text.as_ref().into() };
                Kind::Scalar(value, text.into_owned())
            }
            Event::SequenceStart(..) => Kind::Sequence(self.sequence(depth)?),
            Event::MappingStart(..) => Kind::Mapping(self.mapping(depth)?),
            Event::Alias(_) => {
                let message = "an alias (*name) is not taken here; write the value out";
                return Err(Problem::error(self.file, line, "", message));
            }
            _ => Kind::Scalar(Value::Null, String::new()),
        };
        Ok(Node { line, kind })
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.node_of(event, span, depth.saturating_add(1))?);
        }
        Ok(items)
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<(String, usize, Node)>, Problem> {
        let mut entries: Vec<(String, usize, Node)> = Vec::new();
        let mut lines = HashMap::new();
        while let Some((event, span)) = self.next()? {
            let line = span.start.line();
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(Problem::error(self.file, line, "", "a key must be a plain word")),
            };
            if let Some(first) = lines.insert(key.clone(), line) {
                let message = format!("key {key:?} stands here twice; the first is on line {first}");
                return Err(Problem::error(self.file, line, "", message));
            }
            let node = self.node(depth.saturating_add(1))?;
            entries.push((key, line, node));
        }
        Ok(entries)
    }
}

fn is_tagged(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(.., tag) | Event::SequenceStart(.., tag) | Event::MappingStart(.., tag) => tag.is_some(),
        _ => false,
    }
}

/// A plain scalar by the YAML 1.2 core schema.
fn core_scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return ".nan".into(),
        ".inf" | ".Inf" | ".INF" | "+.inf" => return ".inf".into(),
        "-.inf" | "-.Inf" | "-.INF" => return "-.inf".into(),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let hex = digits.strip_prefix("0x").and_then(|hex| i64::from_str_radix(hex, 16).ok());
    if let Some(value) = hex.filter(|_| digits == text) {
        return value.into();
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '-' | '+'))
        && digits.contains(|c: char| c.is_ascii_digit());
    if !numeric {
        return text.into();
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let whole = unsigned.parse::<i64>().map(Number::from).or_else(|_| unsigned.parse::<u64>().map(Number::from));
        return whole.map_or_else(|_| text.into(), Value::Number);
    }
    match unsigned.parse::<f64>().ok().and_then(Number::from_f64) {
        Some(number) => Value::Number(number),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_begins_below_the_mark_of_a_block_and_on_its_own_line_elsewhere() {
        let text = "a: x\nb: |\n  one\n  two\nc: >-\n  folded\nd:\n  plain\ne: [\"quoted\"]\n";
        let document = documents("f.yaml", text).unwrap().remove(0);
        let lines = ["a", "b", "c", "d", "e[0]"].map(|path| (document.line_of(path), document.text_line_of(path)));
        assert_eq!(lines, [(1, 1), (2, 3), (5, 6), (7, 8), (9, 9)]);
    }
}
