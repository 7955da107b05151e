//! ONNX Runtime behind one handle: a model file becomes sessions with a bounded queue, tensors go in, tensors come out.

pub mod batch_input;
pub mod error;
pub mod fit;
pub mod model_file;
pub mod outputs;
pub mod runtime;
pub mod signature;
