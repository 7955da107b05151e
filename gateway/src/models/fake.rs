//! Models without ONNX Runtime, for tests of everything around the model: the output is the sum of a row's inputs.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tidegate_catalog::ErrorCode;
use tidegate_inference::{
    batch_input::BatchInput,
    signature::{Dim, ElementType, Signature, TensorSpec},
};
use tokio::sync::watch;

use super::{Given, LoadError, ModelLoader, Opened, Ran, Source};
use crate::refusal::Refusal;

/// Fake models by path.
#[derive(Debug, Default)]
pub struct FakeModels {
    by_path: HashMap<String, FakeModel>,
    opens: AtomicUsize,
}

/// One fake: its output `sum` (float32) adds up a row's elements, a string counts as its length.
#[derive(Clone, Debug)]
pub struct FakeModel {
    inputs: Vec<TensorSpec>,
    /// Runs wait while this says so.
    held: Option<watch::Receiver<bool>>,
    /// It is warm once this says so; without it, from the start.
    warm: Option<watch::Receiver<bool>>,
}

impl FakeModel {
    /// One packed float input.
    pub fn packed() -> Self {
        let dims = vec![Dim::Free, Dim::Free];
        let input = TensorSpec { name: "input".to_owned(), element: ElementType::Float32, dims };
        Self { inputs: vec![input], held: None, warm: None }
    }

    /// One input per column.
    pub fn by_name(inputs: &[(&str, ElementType)]) -> Self {
        let inputs = inputs.iter().map(|(name, element)| TensorSpec {
            name: (*name).to_owned(),
            element: *element,
            dims: vec![Dim::Free, Dim::Fixed(1)],
        });
        Self { inputs: inputs.collect(), held: None, warm: None }
    }

    /// Runs wait while `held` is true.
    #[must_use]
    pub fn held(self, held: watch::Receiver<bool>) -> Self {
        Self { held: Some(held), ..self }
    }

    /// It is not ready before `warm` is true.
    #[must_use]
    pub fn warm_when(self, warm: watch::Receiver<bool>) -> Self {
        Self { warm: Some(warm), ..self }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.warm.as_ref().is_none_or(|warm| *warm.borrow())
    }

    pub(super) async fn run(&self, input: BatchInput) -> Result<Ran, Refusal> {
        if let Some(mut held) = self.held.clone() {
            let gone = |_| Refusal::Model { code: ErrorCode::Unavailable, message: "nobody holds it".to_owned() };
            held.wait_for(|held| !held).await.map_err(gone)?;
        }
        let sums = (0..input.rows()).map(|row| self.sum(&input, row)).collect();
        Ok(Ran { outputs: Given::Sums(sums), input, queued: Duration::ZERO, ran: Duration::ZERO })
    }

    fn sum(&self, batch: &BatchInput, row: usize) -> f32 {
        // a string comes as its length and then its bytes; packed tensors have one element type for all
        let mut elements = self.inputs.iter().map(|input| input.element).cycle();
        let mut text = false;
        let mut sum = 0.0;
        batch.feed_row(row, |bytes| {
            if std::mem::take(&mut text) {
                sum += bytes.len() as f32;
                return;
            }
            match (elements.next(), bytes) {
                (Some(ElementType::String), _) => text = true,
                (Some(ElementType::Float32), [a, b, c, d]) => sum += f32::from_le_bytes([*a, *b, *c, *d]),
                (Some(ElementType::Int32), [a, b, c, d]) => sum += i32::from_le_bytes([*a, *b, *c, *d]) as f32,
                (Some(ElementType::Bool), [byte]) => sum += f32::from(*byte),
                (Some(ElementType::Float64), _) => {
                    sum += bytes.try_into().map_or(f32::NAN, |bytes| f64::from_le_bytes(bytes) as f32);
                }
                (Some(ElementType::Int64), _) => {
                    sum += bytes.try_into().map_or(f32::NAN, |bytes| i64::from_le_bytes(bytes) as f32);
                }
                _ => sum = f32::NAN,
            }
        });
        sum
    }
}

impl FakeModels {
    /// Adds a model under a path.
    #[must_use]
    pub fn with(mut self, path: &str, model: FakeModel) -> Self {
        self.by_path.insert(path.to_owned(), model);
        self
    }

    /// How often a file was opened.
    pub fn opens(&self) -> usize {
        self.opens.load(Ordering::Relaxed)
    }

    pub(super) fn open(&self, path: &str, hash: Option<&str>) -> Result<(Signature, String, Opened), LoadError> {
        self.opens.fetch_add(1, Ordering::Relaxed);
        let message = "no such file in a folder of the machine".to_owned();
        let missing = || LoadError::Failed { path: path.to_owned(), message, told: "no such file" };
        let model = self.by_path.get(path).ok_or_else(missing)?;
        let signature = Signature { inputs: model.inputs.clone().into(), outputs: Vec::new().into() };
        Ok((signature, hash.unwrap_or("fake").to_owned(), Opened::Fake(model.clone())))
    }
}

impl ModelLoader {
    /// A loader of fakes.
    pub fn fake(models: impl Into<Arc<FakeModels>>) -> Self {
        Self { source: Source::Fake(models.into()) }
    }
}
