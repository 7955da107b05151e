//! The one status table: every [`ErrorCode`] and every refusal of the transport, with its numbers. Servers only read it.
#![deny(clippy::wildcard_enum_match_arm)]

use tidegate_catalog::ErrorCode;

/// What one code is on the wires, and what it means for callers and for our objectives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// The HTTP status.
    pub http: u16,
    /// The gRPC status number.
    pub grpc: u8,
    /// Whether sending the same again can help.
    pub retry: Retry,
    /// Whose objective it counts against.
    pub fault: Fault,
}

/// Whether a caller should send the same request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It fails again.
    No,
    /// Once, at once.
    Once,
    /// After a pause: `Retry-After`, else with growing pauses.
    Later,
}

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller: the answer would be the same on a perfect server.
    Caller,
    /// This server or what it stands on: the objective counts it.
    Ours,
}

/// A request refused before any face has looked at it. The body still has the shape of an error body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The path exists, not with this method.
    MethodNotAllowed,
    /// The body is over its route's limit.
    BodyTooLarge,
    /// The body is declared as something that the route does not read.
    UnsupportedMediaType,
    /// The request's head is over the limit.
    HeadTooLarge,
}

/// The numbers of `code`.
#[rustfmt::skip]
pub const fn wire(code: ErrorCode) -> Wire {
    match code {                             // HTTP  gRPC  retry         whose fault
        ErrorCode::InvalidArgument    => row(400,  3, Retry::No,    Fault::Caller),
        ErrorCode::NotFound           => row(404,  5, Retry::No,    Fault::Caller),
        ErrorCode::AlreadyExists      => row(409,  6, Retry::No,    Fault::Caller),
        ErrorCode::Aborted            => row(409, 10, Retry::Once,  Fault::Caller),
        ErrorCode::FailedPrecondition => row(422,  9, Retry::No,    Fault::Caller),
        ErrorCode::Unauthenticated    => row(401, 16, Retry::No,    Fault::Caller),
        ErrorCode::PermissionDenied   => row(403,  7, Retry::No,    Fault::Caller),
        ErrorCode::ResourceExhausted  => row(429,  8, Retry::Later, Fault::Ours),
        ErrorCode::Cancelled          => row(499,  1, Retry::No,    Fault::Caller),
        ErrorCode::DeadlineExceeded   => row(504,  4, Retry::Once,  Fault::Ours),
        ErrorCode::Unimplemented      => row(501, 12, Retry::No,    Fault::Caller),
        ErrorCode::Unavailable        => row(503, 14, Retry::Later, Fault::Ours),
        ErrorCode::Internal           => row(500, 13, Retry::No,    Fault::Ours),
    }
}

/// The HTTP status of a transport refusal, and the code that stands in its body.
#[rustfmt::skip]
pub const fn refusal(refusal: Refusal) -> (u16, ErrorCode) {
    match refusal {
        Refusal::MethodNotAllowed     => (405, ErrorCode::Unimplemented),
        Refusal::BodyTooLarge         => (413, ErrorCode::InvalidArgument),
        Refusal::UnsupportedMediaType => (415, ErrorCode::InvalidArgument),
        Refusal::HeadTooLarge         => (431, ErrorCode::InvalidArgument),
    }
}

const fn row(http: u16, grpc: u8, retry: Retry, fault: Fault) -> Wire {
    Wire { http, grpc, retry, fault }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_its_own_grpc_number_and_an_http_error() {
        let grpc = ErrorCode::ALL.into_iter().map(|code| wire(code).grpc).collect::<BTreeSet<_>>();
        assert_eq!(grpc.len(), ErrorCode::ALL.len());
        assert!(ErrorCode::ALL.into_iter().all(|code| (400..600).contains(&wire(code).http)));
    }

    #[test]
    fn the_server_side_statuses_count_as_ours() {
        for code in ErrorCode::ALL {
            let row = wire(code);
            let ours = row.http >= 500 && row.http != 501 || row.http == 429;
            assert_eq!(row.fault == Fault::Ours, ours, "{code}");
        }
    }

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors");
        let found = std::fs::read_dir(&pages)
            .unwrap_or_else(|error| panic!("{}: {error}", pages.display()))
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "README.md")
            .collect::<BTreeSet<_>>();
        let wanted = ErrorCode::ALL.into_iter().map(|code| format!("{code}.md")).collect::<BTreeSet<_>>();
        assert_eq!(found, wanted);
        for code in ErrorCode::ALL {
            let page = std::fs::read_to_string(pages.join(format!("{code}.md"))).unwrap();
            let row = wire(code);
            assert!(page.contains(&format!("HTTP {}, gRPC {}", row.http, row.grpc)), "{code}.md names other numbers");
        }
    }
}
