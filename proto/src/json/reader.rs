//! A pull reader over one body: the caller asks for what its format wants next.
//!
//! RFC 8259, strictly: one value, UTF-8, no comments, no trailing commas, no NaN. Numbers are handed on as written,
//! strings borrowed unless escaped. Nesting is bounded; duplicate keys are the format's to refuse, by name.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::borrow::Cow;

use super::JsonValue;

/// Deepest nesting of lists and objects that is read.
pub const MAX_DEPTH: usize = 16;

/// Most values of one body that are kept: 10,000 rows of 100 columns. A byte or two make a value, which takes 32 in memory.
pub const MAX_VALUES: usize = 1_000_000;

/// A body that is not the JSON it should be. Messages name the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not a byte of a body.
    #[error("the body is empty; send a JSON object")]
    Empty,
    /// The bytes are not UTF-8.
    #[error("the body is not UTF-8: byte {at} is wrong")]
    NotUtf8 {
        /// Offset of the first wrong byte.
        at: usize,
    },
    /// The body ends inside a value.
    #[error("the body is cut off after {at} bytes, {expected} is missing")]
    CutOff {
        /// Its length.
        at: usize,
        /// What should follow.
        expected: &'static str,
    },
    /// Something else stands where `expected` belongs.
    #[error("the body is not valid JSON at byte {at}: expected {expected}, found {found}")]
    Unexpected {
        /// Offset of what was found.
        at: usize,
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// Over [`MAX_DEPTH`].
    #[error("the body is nested deeper than {MAX_DEPTH} levels at byte {at}")]
    TooDeep {
        /// Offset of the bracket that is one too many.
        at: usize,
    },
    /// Over [`MAX_VALUES`].
    #[error("the body has more than {MAX_VALUES} values; split the request")]
    TooManyValues,
}

/// Reads one JSON text from its front to its end.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the front of `body`.
    /// # Errors
    /// [`JsonError::NotUtf8`], or [`JsonError::Empty`] when there is nothing but white space.
    pub fn new(body: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(body).map_err(|error| JsonError::NotUtf8 { at: error.valid_up_to() })?;
        let mut reader = Self { text, at: 0, depth: 0, values: 0 };
        if reader.peek().is_none() { Err(JsonError::Empty) } else { Ok(reader) }
    }

    /// Reads an object: `member` gets each key and must read its value.
    /// # Errors
    /// What is malformed, and whatever `member` refuses.
    pub fn object<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.enter(b'{', "an object")?;
        if self.peek() != Some(b'}') {
            loop {
                let key = self.string()?;
                self.expect(b':', "a colon")?;
                member(self, key)?;
                if self.peek() != Some(b',') {
                    break;
                }
                self.step();
                if self.peek() == Some(b'}') {
                    return Err(self.unexpected("a key after the comma").into());
                }
            }
        }
        Ok(self.leave(b'}', "a comma or the end of the object")?)
    }

    /// Reads a list: `element` must read one value each time.
    /// # Errors
    /// What is malformed, and whatever `element` refuses.
    pub fn list<E: From<JsonError>>(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
        self.enter(b'[', "a list")?;
        if self.peek() != Some(b']') {
            loop {
                element(self)?;
                if self.peek() != Some(b',') {
                    break;
                }
                self.step();
                if self.peek() == Some(b']') {
                    return Err(self.unexpected("a value after the comma").into());
                }
            }
        }
        Ok(self.leave(b']', "a comma or the end of the list")?)
    }

    /// Reads a scalar or a list of them.
    /// # Errors
    /// Malformed JSON, an object, more than [`MAX_VALUES`].
    /// # Cost
    /// One pass; allocates for lists and for strings with escapes only.
    pub fn value(&mut self) -> Result<JsonValue<'a>, JsonError> {
        self.values = self.values.saturating_add(1);
        if self.values > MAX_VALUES {
            return Err(JsonError::TooManyValues);
        }
        match self.peek() {
            Some(b'"') => Ok(JsonValue::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(JsonValue::Number(self.number()?)),
            Some(b'[') => {
                let mut elements = Vec::new();
                self.list(|reader| {
                    elements.push(reader.value()?);
                    Ok::<_, JsonError>(())
                })?;
                Ok(JsonValue::List(elements))
            }
            Some(b't') => self.word("true").map(|()| JsonValue::Bool(true)),
            Some(b'f') => self.word("false").map(|()| JsonValue::Bool(false)),
            Some(b'n') => self.word("null").map(|()| JsonValue::Null),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// Reads any value and drops it.
    /// # Errors
    /// Malformed JSON.
    pub fn skip(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'{') => self.object(|reader, _| reader.skip()),
            Some(b'[') => self.list(Self::skip),
            _ => self.value().map(drop),
        }
    }

    /// Reads `true` or `false`.
    /// # Errors
    /// Anything else.
    pub fn boolean(&mut self) -> Result<bool, JsonError> {
        match self.peek() {
            Some(b't') => self.word("true").map(|()| true),
            Some(b'f') => self.word("false").map(|()| false),
            _ => Err(self.unexpected("true or false")),
        }
    }

    /// Reads a string.
    /// # Errors
    /// Anything else; control characters, unknown escapes and lone surrogates in it.
    /// # Cost
    /// Borrowed; one allocation when it has escapes.
    pub fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a string"));
        }
        self.step();
        let start = self.at;
        let end = self.plain_end()?;
        let plain = self.slice(start, end);
        self.at = end;
        if self.here() == Some(b'"') {
            self.step();
            return Ok(Cow::Borrowed(plain));
        }
        let mut owned = String::from(plain);
        self.escaped(&mut owned)?;
        Ok(Cow::Owned(owned))
    }

    /// After the value: nothing but white space may follow.
    /// # Errors
    /// Anything that does.
    pub fn end(&mut self) -> Result<(), JsonError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.unexpected("the end of the body")) }
    }

    /// The first byte of what comes next, white space passed over.
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.here() {
            self.step();
        }
        self.here()
    }

    /// The error of something else standing where `expected` belongs.
    pub fn unexpected(&mut self, expected: &'static str) -> JsonError {
        self.peek();
        match self.rest().chars().next() {
            None => JsonError::CutOff { at: self.at, expected },
            Some(found) => JsonError::Unexpected { at: self.at, expected, found: format!("{found:?}") },
        }
    }

    fn enter(&mut self, bracket: u8, expected: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(bracket) {
            return Err(self.unexpected(expected));
        }
        if self.depth >= MAX_DEPTH {
            return Err(JsonError::TooDeep { at: self.at });
        }
        self.depth = self.depth.saturating_add(1);
        self.step();
        Ok(())
    }

    fn leave(&mut self, bracket: u8, expected: &'static str) -> Result<(), JsonError> {
        self.depth = self.depth.saturating_sub(1);
        self.expect(bracket, expected)
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.unexpected(expected));
        }
        self.step();
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), JsonError> {
        let follows = self.rest().as_bytes().get(word.len()).copied();
        if self.rest().starts_with(word) && !follows.is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            self.at = self.at.saturating_add(word.len());
            return Ok(());
        }
        let cut = word.starts_with(self.rest());
        if cut {
            self.at = self.text.len();
        }
        Err(self.unexpected("true, false or null"))
    }

    fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        self.step_if(b"-");
        match self.here() {
            Some(b'0') => self.step(),
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.unexpected_here("a digit")),
        }
        if self.step_if(b".") {
            self.digits()?;
        }
        if self.step_if(b"eE") {
            self.step_if(b"+-");
            self.digits()?;
        }
        // `0123`, `1.2.3`, `12abc`: the token goes on where a number cannot
        if self.here().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'.') {
            return Err(self.unexpected_here("the end of the number"));
        }
        Ok(self.slice(start, self.at))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.here().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.unexpected_here("a digit"));
        }
        while self.here().is_some_and(|byte| byte.is_ascii_digit()) {
            self.step();
        }
        Ok(())
    }

    /// From the first escape to the closing quote.
    fn escaped(&mut self, out: &mut String) -> Result<(), JsonError> {
        loop {
            let start = self.at;
            let end = self.plain_end()?;
            out.push_str(self.slice(start, end));
            self.at = end;
            if self.here() == Some(b'"') {
                self.step();
                return Ok(());
            }
            self.step(); // the backslash
            let letter = match self.here() {
                Some(b'n') => '\n',
                Some(b't') => '\t',
                Some(b'r') => '\r',
                Some(b'b') => '\u{8}',
                Some(b'f') => '\u{c}',
                Some(letter @ (b'"' | b'\\' | b'/')) => char::from(letter),
                Some(b'u') => {
                    self.step();
                    out.push(self.unicode()?);
                    continue;
                }
                _ => return Err(self.unexpected_here("an escape")),
            };
            self.step();
            out.push(letter);
        }
    }

    /// The four digits after `\u`, and the second half when they are the first of a pair.
    fn unicode(&mut self) -> Result<char, JsonError> {
        const LONE: &str = "the second half of a surrogate pair";
        let first = self.hex4()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or_else(|| self.unexpected_here(LONE));
        }
        if first >= 0xdc00 || !self.rest().starts_with("\\u") {
            return Err(self.unexpected_here(LONE));
        }
        self.step();
        self.step();
        let second = self.hex4()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(self.unexpected_here(LONE));
        }
        let high = (first & 0x3ff) << 10;
        char::from_u32((high | (second & 0x3ff)).saturating_add(0x1_0000)).ok_or_else(|| self.unexpected_here(LONE))
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let mut value = 0_u32;
        for _ in 0..4 {
            let digit = self.here().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return Err(self.unexpected_here("four hexadecimal digits")) };
            value = (value << 4) | digit;
            self.step();
        }
        Ok(value)
    }

    /// Where the run of plain characters ends: at a quote or a backslash.
    fn plain_end(&self) -> Result<usize, JsonError> {
        let special = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < 0x20;
        let Some(length) = self.rest().as_bytes().iter().position(special) else {
            return Err(JsonError::CutOff { at: self.text.len(), expected: "the end of a string" });
        };
        let end = self.at.saturating_add(length);
        match self.text.as_bytes().get(end) {
            Some(byte) if *byte < 0x20 => Err(JsonError::Unexpected {
                at: end,
                expected: "an escape in the string",
                found: format!("{:?}", char::from(*byte)),
            }),
            _ => Ok(end),
        }
    }

    fn unexpected_here(&self, expected: &'static str) -> JsonError {
        match self.rest().chars().next() {
            None => JsonError::CutOff { at: self.at, expected },
            Some(found) => JsonError::Unexpected { at: self.at, expected, found: format!("{found:?}") },
        }
    }

    fn here(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Past an ASCII byte that was just seen, so the offset stays on a character.
    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn step_if(&mut self, any_of: &[u8]) -> bool {
        let found = self.here().is_some_and(|byte| any_of.contains(&byte));
        if found {
            self.step();
        }
        found
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or("")
    }
}
