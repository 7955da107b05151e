//! The wire: how requests are read and answers are written, and the one table of status numbers.
//!
//! It knows bytes and the catalog's values. It opens no socket, reads no clock, and knows no store and no model: the
//! gateway asks it to read a body and hands it what to write. JSON today; protobuf joins it with gRPC.
//!
//! ```text
//!  body ──> json::Reader ──> PredictRequest / OnlineFeaturesRequest ──> (columns of JsonValue)
//!                                                     │ typed::Scalar::read, by the plan's types
//!                                                     v
//!                                                key and request values
//!  answer ──> json::Writer ──> one reused buffer
//!  ErrorCode ──> status::wire ──> HTTP and gRPC numbers
//! ```
//!
//! ```
//! use tidegate_catalog::ErrorCode;
//! assert_eq!(tidegate_proto::status::wire(ErrorCode::FailedPrecondition).http, 422);
//! let request = tidegate_proto::PredictRequest::read(br#"{"entities": {"carrier": "AA"}}"#).unwrap();
//! assert_eq!(request.entities.rows(), Ok(1));
//! ```

pub mod columns;
pub mod error_body;
pub mod feast;
pub mod feast_status;
pub mod json;
pub mod predict;
pub mod status;
pub mod typed;

pub use columns::{Column, Columns, Ragged};
pub use error_body::ErrorBody;
pub use feast::OnlineFeaturesRequest;
pub use predict::PredictRequest;
