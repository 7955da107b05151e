//! The Feast face's status: Feast's clients accept 200 only, so the numbers are our table's, with one exception.
//!
//! Its own 422 means a body that cannot be read; its clients print the body of whatever is not 200.
#![deny(clippy::wildcard_enum_match_arm)]

use tidegate_catalog::ErrorCode;

use crate::status::wire;

/// The HTTP status that the Feast face answers for `code`.
pub const fn http(code: ErrorCode) -> u16 {
    match code {
        // in Feast 422 means a body that cannot be read
        ErrorCode::FailedPrecondition => 400,
        ErrorCode::InvalidArgument
        | ErrorCode::NotFound
        | ErrorCode::AlreadyExists
        | ErrorCode::Aborted
        | ErrorCode::Unauthenticated
        | ErrorCode::PermissionDenied
        | ErrorCode::ResourceExhausted
        | ErrorCode::Cancelled
        | ErrorCode::DeadlineExceeded
        | ErrorCode::Unimplemented
        | ErrorCode::Unavailable
        | ErrorCode::Internal => wire(code).http,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_404_and_bad_requests_400() {
        assert_eq!(http(ErrorCode::NotFound), 404);
        assert_eq!(http(ErrorCode::InvalidArgument), 400);
        assert_eq!(http(ErrorCode::FailedPrecondition), 400);
        assert_eq!(http(ErrorCode::Unavailable), 503);
    }
}
