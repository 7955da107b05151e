//! ONNX Runtime behind one handle: a model file becomes sessions with a bounded queue, tensors go in, tensors come out.

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
