//! Why a call is refused: one closed enum for every face, each variant with its code and its words for the caller.

use std::time::Duration;

use tidegate_catalog::ErrorCode;
use tidegate_proto::{
    columns::Ragged,
    feast::OnlineFeaturesRequestError,
    predict::PredictRequestError,
    status::{self, Refusal as Transport},
};

use crate::{http::route::Permission, plan::list::ListError, rows::ColumnError};

/// Why a call got no answer. Messages go to the caller: they name what was wrong and where, and nothing inside.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this path answers {allow} only")]
    MethodNotAllowed { allow: &'static str },
    #[error("this needs the permission {permission:?}")]
    NotPermitted { permission: Permission },
    #[error("no such path: {path:?}")]
    UnknownPath { path: String },
    #[error("the body is over the limit of {limit_bytes} bytes; send fewer rows per request")]
    BodyTooLarge { limit_bytes: usize },
    #[error("the body is declared as {found:?}; send application/json")]
    NotJson { found: String },
    #[error("the body did not arrive within {} ms", .waited.as_millis())]
    BodyLate { waited: Duration },
    #[error("the body was cut off before its declared end")]
    BodyCutOff,
    #[error("x-deadline-ms is {found:?}; send a whole number of milliseconds above 0")]
    BadDeadline { found: String },
    #[error("{limit} requests are being answered, no more are taken; try again")]
    TooManyInFlight { limit: usize },
    #[error("other large bodies are being read, there is no room for this one; try again")]
    NoRoomForBody,
    #[error("no catalog is loaded yet: nothing was applied, or the registry cannot be reached")]
    NoCatalog,
    #[error(transparent)]
    PredictBody(#[from] PredictRequestError),
    #[error(transparent)]
    FeastBody(#[from] OnlineFeaturesRequestError),
    #[error("endpoint {name:?} is not in catalog version {version}")]
    UnknownEndpoint { name: String, version: u64 },
    #[error("feature service {name:?} is not in catalog version {version}")]
    UnknownService { name: String, version: u64 },
    #[error(transparent)]
    List(#[from] ListError),
    #[error("features {one:?} and {other:?} have one short name; ask with full_feature_names")]
    NameCollision { one: String, other: String },
    #[error("entities are missing; send one list per join key")]
    NoEntities,
    #[error(transparent)]
    Column(#[from] ColumnError),
    #[error(transparent)]
    Ragged(#[from] Ragged),
    #[error("{message}")]
    Row { code: ErrorCode, message: String },
    #[error("every row failed; row {row}: {message}")]
    AllRows { code: ErrorCode, row: usize, message: String },
    #[error("{message}")]
    Store { code: ErrorCode, message: String },
    #[error("{message}")]
    Model { code: ErrorCode, message: String },
    #[error("the call's time was over before {before}")]
    TimeOver { before: &'static str },
}

impl Refusal {
    /// The code in the body, in logs and in metrics.
    pub(crate) const fn code(&self) -> ErrorCode {
        match self {
            Self::MethodNotAllowed { .. } => status::refusal(Transport::MethodNotAllowed).1,
            Self::BodyTooLarge { .. } => status::refusal(Transport::BodyTooLarge).1,
            Self::NotJson { .. } => status::refusal(Transport::UnsupportedMediaType).1,

            Self::BodyLate { .. }
            | Self::BodyCutOff
            | Self::BadDeadline { .. }
            | Self::PredictBody(_)
            | Self::FeastBody(_)
            | Self::NameCollision { .. }
            | Self::NoEntities
            | Self::Column(_)
            | Self::Ragged(_) => ErrorCode::InvalidArgument,
            Self::NotPermitted { .. } => ErrorCode::PermissionDenied,
            Self::TooManyInFlight { .. } | Self::NoRoomForBody => ErrorCode::ResourceExhausted,
            Self::NoCatalog => ErrorCode::Unavailable,
            Self::UnknownPath { .. } | Self::UnknownEndpoint { .. } | Self::UnknownService { .. } => {
                ErrorCode::NotFound
            }
            Self::List(error) => error.code(),
            Self::Row { code, .. }
            | Self::AllRows { code, .. }
            | Self::Store { code, .. }
            | Self::Model { code, .. } => *code,
            Self::TimeOver { .. } => ErrorCode::DeadlineExceeded,
        }
    }

    /// The HTTP status outside the Feast face.
    pub(crate) const fn http(&self) -> u16 {
        match self.transport() {
            Some(http) => http,
            None => status::wire(self.code()).http,
        }
    }

    /// The HTTP status on the Feast face.
    pub(crate) const fn feast_http(&self) -> u16 {
        match self.transport() {
            Some(http) => http,
            None => tidegate_proto::feast_status::http(self.code()),
        }
    }

    /// What the caller reads.
    pub(crate) fn client_message(&self) -> String {
        self.to_string()
    }

    const fn transport(&self) -> Option<u16> {
        match self {
            Self::MethodNotAllowed { .. } => Some(status::refusal(Transport::MethodNotAllowed).0),
            Self::BodyTooLarge { .. } => Some(status::refusal(Transport::BodyTooLarge).0),
            Self::NotJson { .. } => Some(status::refusal(Transport::UnsupportedMediaType).0),
            _ => None,
        }
    }
}
