//! JSON into one buffer that its owner reuses. Commas are the writer's business, structure is the caller's.

use bytes::{BufMut, BytesMut};
use tidegate_catalog::Micros;

use super::time::{RFC_3339_BYTES, rfc3339};

/// Appends JSON to a buffer.
/// # Cost
/// No allocation while the buffer has room; numbers and times are formatted on the stack.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut BytesMut,
    comma: bool,
}

impl<'b> Writer<'b> {
    /// Appends to `out`.
    pub const fn new(out: &'b mut BytesMut) -> Self {
        Self { out, comma: false }
    }

    /// `{`
    pub fn begin_object(&mut self) {
        self.open(b'{');
    }

    /// `}`
    pub fn end_object(&mut self) {
        self.close(b'}');
    }

    /// `[`
    pub fn begin_list(&mut self) {
        self.open(b'[');
    }

    /// `]`
    pub fn end_list(&mut self) {
        self.close(b']');
    }

    /// A key that needs no escaping: ours, or a name from the catalog.
    pub fn key(&mut self, plain: &str) {
        self.separate();
        self.out.put_u8(b'"');
        self.out.put_slice(plain.as_bytes());
        self.out.put_slice(b"\":");
        self.comma = false;
    }

    /// A key from outside, a model's for example.
    pub fn key_escaped(&mut self, text: &str) {
        self.string(text);
        self.out.put_u8(b':');
        self.comma = false;
    }

    /// A string, escaped.
    pub fn string(&mut self, text: &str) {
        self.separate();
        self.out.put_u8(b'"');
        put_escaped(text, self.out);
        self.out.put_u8(b'"');
    }

    /// A string that is known to need no escaping.
    pub fn plain_string(&mut self, plain: &str) {
        self.plain_bytes(plain.as_bytes());
    }

    /// A string of several pieces that need no escaping.
    pub fn plain_pieces(&mut self, pieces: &[&str]) {
        self.separate();
        self.out.put_u8(b'"');
        for piece in pieces {
            self.out.put_slice(piece.as_bytes());
        }
        self.out.put_u8(b'"');
    }

    /// Bytes as base64 (standard alphabet, padded).
    pub fn base64(&mut self, bytes: &[u8]) {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        self.separate();
        self.out.put_u8(b'"');
        let mut quad = [0_u8; 4];
        for three in bytes.chunks(3) {
            let written = STANDARD.encode_slice(three, &mut quad).unwrap_or(0);
            self.out.put_slice(quad.get(..written).unwrap_or(&[]));
        }
        self.out.put_u8(b'"');
    }

    /// A 128-bit id as 32 hexadecimal digits.
    pub fn hex128(&mut self, id: u128) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.separate();
        self.out.put_u8(b'"');
        for shift in (0..32_u32).rev() {
            let nibble = (id >> (shift * 4)) & 0xf;
            self.out.put_u8(DIGITS.get(nibble as usize).copied().unwrap_or(b'0'));
        }
        self.out.put_u8(b'"');
    }

    /// null
    pub fn null(&mut self) {
        self.word("null");
    }

    /// true, false
    pub fn boolean(&mut self, value: bool) {
        self.word(if value { "true" } else { "false" });
    }

    /// A signed integer, exactly.
    pub fn int(&mut self, value: i64) {
        self.word(itoa::Buffer::new().format(value));
    }

    /// An unsigned integer, exactly.
    pub fn unsigned(&mut self, value: u64) {
        self.word(itoa::Buffer::new().format(value));
    }

    /// The shortest decimal that reads back as the same float32; null for NaN and the infinities.
    pub fn float32(&mut self, value: f32) {
        if value.is_finite() { self.word(zmij::Buffer::new().format_finite(value)) } else { self.null() }
    }

    /// The shortest decimal that reads back as the same float64; null for NaN and the infinities.
    pub fn float64(&mut self, value: f64) {
        if value.is_finite() { self.word(zmij::Buffer::new().format_finite(value)) } else { self.null() }
    }

    /// An instant as an RFC 3339 string; one outside the years 0 to 9999 as a number of microseconds.
    pub fn time(&mut self, instant: Micros) {
        let mut buffer = [0_u8; RFC_3339_BYTES];
        match rfc3339(instant, &mut buffer) {
            Some(text) => self.plain_bytes(text),
            None => self.int(instant.0),
        }
    }

    /// A date (days since 1970) as `YYYY-MM-DD`; one outside the years 0 to 9999 as a number of days.
    pub fn date(&mut self, days: i32) {
        let mut buffer = [0_u8; RFC_3339_BYTES];
        let instant = Micros(i64::from(days).saturating_mul(86_400_000_000));
        match rfc3339(instant, &mut buffer).and_then(|text| text.get(..10)) {
            Some(text) => self.plain_bytes(text),
            None => self.int(i64::from(days)),
        }
    }

    /// A string of ASCII that needs no escaping.
    fn plain_bytes(&mut self, plain: &[u8]) {
        self.separate();
        self.out.put_u8(b'"');
        self.out.put_slice(plain);
        self.out.put_u8(b'"');
    }

    fn word(&mut self, word: &str) {
        self.separate();
        self.out.put_slice(word.as_bytes());
    }

    fn open(&mut self, bracket: u8) {
        self.separate();
        self.out.put_u8(bracket);
        self.comma = false;
    }

    fn close(&mut self, bracket: u8) {
        self.out.put_u8(bracket);
        self.comma = true;
    }

    /// Before each value or key: a comma, unless it is the first, or follows its key.
    fn separate(&mut self) {
        if self.comma {
            self.out.put_u8(b',');
        }
        self.comma = true;
    }
}

fn put_escaped(text: &str, out: &mut BytesMut) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        let (plain, special) = rest.split_at(at);
        out.put_slice(plain);
        match special.first() {
            Some(b'"') => out.put_slice(b"\\\""),
            Some(b'\\') => out.put_slice(b"\\\\"),
            Some(b'\n') => out.put_slice(b"\\n"),
            Some(b'\r') => out.put_slice(b"\\r"),
            Some(b'\t') => out.put_slice(b"\\t"),
            Some(byte) => {
                out.put_slice(if *byte < 0x10 { b"\\u000" } else { b"\\u001" });
                out.put_u8(char::from_digit(u32::from(*byte & 0xf), 16).map_or(b'0', |digit| digit as u8));
            }
            None => {}
        }
        rest = special.get(1..).unwrap_or(&[]);
    }
    out.put_slice(rest);
}
