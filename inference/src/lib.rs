//! ONNX Runtime behind one handle: a model file becomes sessions behind a bounded queue, tensors go in, tensors come out.
//!
//! It knows tensors, never features or HTTP: whoever calls it says which column is written where ([`fit`]) and until when
//! it waits. It reads one model file and one shared library, no other file, no environment and no clock of its own.
//!
//! ```text
//!  library ──> Runtime ──┐
//!  model file ───────────┴─> ModelFile ── Signature ──┐
//!  columns of a feature service ──────────────────────┴─ fit ──> InputPlan ──> BatchInput, written cell by cell
//!                                                                                  │
//!                        ModelHandle ── one bounded queue ── replica threads <─────┘
//!                                                             each owns a session ──> Outputs, read row by row
//! ```
//!
//! ```
//! use tidegate_catalog::{FeatureType, ScalarType};
//! use tidegate_inference::{Column, Dim, ElementType, Signature, TensorSpec, fit};
//!
//! let spec = |name: &str, width| TensorSpec {
//!     name: name.to_owned(),
//!     element: ElementType::Float32,
//!     dims: vec![Dim::Free, Dim::Fixed(width)],
//! };
//! let signature = Signature { inputs: [spec("x", 2)].into(), outputs: [spec("y", 1)].into() };
//! let float = FeatureType::Scalar(ScalarType::Float32);
//! let columns = ["weather__temp", "distance"].map(|name| Column { name, feature_type: float });
//! let plan = fit(&signature, &columns).expect("two columns for an input of two");
//!
//! let mut batch = plan.batch(1);
//! batch.put_f32(0, plan.slot(0).expect("the model takes it"), 21.5).expect("row 0 is there");
//! assert_eq!(batch.rows(), 1);
//! ```

pub mod batch_input;
pub mod error;
pub mod fit;
mod metrics;
pub mod model;
pub mod model_file;
pub mod outputs;
mod replica;
pub mod runtime;
mod session;
pub mod signature;

pub use batch_input::{BatchInput, CellError, Slot};
pub use error::{Error, LibraryError, ModelError, Stage};
pub use fit::{Column, FitProblem, FitWarning, InputPlan, fit};
pub use model::{Inference, ModelConfig, ModelHandle};
pub use model_file::{DEFAULT_LIMIT_BYTES, ModelFile, content_hash, read_bounded};
pub use outputs::{Classified, OutputRow, OutputTensor, OutputValues, Outputs};
pub use runtime::{Runtime, find_library, library_candidates};
pub use signature::{Classifier, Dim, ElementType, Signature, TensorSpec};
