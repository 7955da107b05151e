//! The models of ONNX Runtime: `inference`'s handles behind the gateway's words.
use super::*;
#[derive(Clone, Debug)]
pub(super) struct OnnxSource { runtime: tidegate_inference::Runtime, root: PathBuf }
#[derive(Debug)]
pub(super) struct OnnxModel;
impl OnnxSource {
    pub(super) fn new(runtime: tidegate_inference::Runtime, root: PathBuf) -> Self { Self { runtime, root } }
    pub(super) async fn load(&self, reference: &ModelRef, _hash: Option<&str>) -> Result<(String, Vec<ModelInput>, Runner), ModelError> {
        Err(ModelError::Load { path: reference.path.clone(), message: "not yet".into() })
    }
}
impl OnnxModel {
    pub(super) fn is_ready(&self) -> bool { false }
    pub(super) async fn run(&self, _batch: Batch, _context: &CallContext) -> Result<Ran, Refusal> { Err(Refusal::Internal) }
}
