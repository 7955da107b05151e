//! The body of every refusal, on every face: `{"code", "message", "request_id"}`.

use bytes::BytesMut;

use crate::json::Writer;

/// Longest message that a caller is sent, in bytes: it must fit where a gRPC status travels, in a header.
pub const MAX_MESSAGE_BYTES: usize = 1024;

/// What a caller is told when a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorBody<'a> {
    /// The code's name.
    pub code: &'a str,
    /// What was wrong, and where.
    pub message: &'a str,
    /// The call's id.
    pub request_id: &'a str,
}

impl ErrorBody<'_> {
    /// Appends the body.
    pub fn write(&self, out: &mut BytesMut) {
        let mut writer = Writer::new(out);
        writer.begin_object();
        writer.key("code");
        writer.string(self.code);
        writer.key("message");
        writer.string(clipped(self.message));
        writer.key("request_id");
        writer.string(self.request_id);
        writer.end_object();
    }
}

/// `message`, cut to [`MAX_MESSAGE_BYTES`] between two characters.
pub fn clipped(message: &str) -> &str {
    message.get(..message.floor_char_boundary(MAX_MESSAGE_BYTES)).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let message = "é".repeat(MAX_MESSAGE_BYTES);
        assert_eq!(clipped(&message).len(), MAX_MESSAGE_BYTES);
        let odd = format!("x{message}");
        assert_eq!(clipped(&odd).len(), MAX_MESSAGE_BYTES - 1);
        assert_eq!(clipped("short"), "short");
    }
}
