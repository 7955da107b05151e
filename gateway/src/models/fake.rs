//! Models without ONNX Runtime, for tests of everything around the model: the output is the sum of a row's inputs.

use std::collections::HashMap;

use tidegate_catalog::{FeatureType, ScalarType, definitions::ModelRef};
use tokio::sync::watch;

use super::{InputForm, ModelError, ModelInput, ModelLoader, ModelOutput, Ran, Runner, Source, Values};
use crate::{
    batch::{Batch, Column, Tensors},
    convert::Element,
    refusal::Refusal,
};

/// Fake models by path.
#[derive(Debug, Default)]
pub struct FakeModels {
    by_path: HashMap<String, FakeModel>,
}

/// One fake: its output `sum` (float32) adds up a row's elements, a string counts as its length.
#[derive(Clone, Debug)]
pub struct FakeModel {
    inputs: Vec<ModelInput>,
    /// Runs wait while this says so.
    held: Option<watch::Receiver<bool>>,
}

impl FakeModel {
    /// One packed float input.
    pub fn packed() -> Self {
        let form = InputForm::Packed { width: None };
        Self { inputs: vec![ModelInput { name: "input".to_owned(), form }], held: None }
    }

    /// One input per column.
    pub fn by_name(inputs: &[(&str, ScalarType)]) -> Self {
        let inputs = inputs.iter().map(|(name, scalar)| {
            let elements = [
                Element::Float32,
                Element::Float64,
                Element::Int64,
                Element::Int32,
                Element::Bool,
                Element::String,
            ];
            let exact = |element: &Element| element.name() == scalar.name();
            let takes = |element: &Element| element.accepts(FeatureType::Scalar(*scalar));
            let element = elements.into_iter().find(exact).or_else(|| elements.into_iter().find(takes));
            let form = InputForm::One { element: element.unwrap_or(Element::String) };
            ModelInput { name: (*name).to_owned(), form }
        });
        Self { inputs: inputs.collect(), held: None }
    }

    /// Runs wait while `held` is true.
    #[must_use]
    pub fn held(self, held: watch::Receiver<bool>) -> Self {
        Self { held: Some(held), ..self }
    }

    pub(super) async fn run(&self, batch: &Batch) -> Result<Ran, Refusal> {
        if let Some(mut held) = self.held.clone() {
            held.wait_for(|held| !held).await.map_err(|_| Refusal::Internal)?;
        }
        let values = Values::Float32((0..batch.rows).map(|row| sum(&batch.tensors, row)).collect());
        let sum = ModelOutput { name: "sum".to_owned(), width: None, values };
        Ok(Ran { outputs: vec![sum], ..Ran::default() })
    }
}

impl FakeModels {
    /// Adds a model under a path.
    #[must_use]
    pub fn with(mut self, path: &str, model: FakeModel) -> Self {
        self.by_path.insert(path.to_owned(), model);
        self
    }

    pub(super) fn load(
        &self,
        reference: &ModelRef,
        hash: Option<&str>,
    ) -> Result<(String, Vec<ModelInput>, Runner), ModelError> {
        let path = reference.path.clone();
        let model = self.by_path.get(&path).ok_or(ModelError::Load { path, message: "no such file".to_owned() })?;
        Ok((hash.unwrap_or("fake").to_owned(), model.inputs.clone(), Runner::Fake(model.clone())))
    }
}

impl ModelLoader {
    /// A loader of fakes.
    pub fn fake(models: FakeModels) -> Self {
        Self { source: Source::Fake(models.into()) }
    }
}

fn sum(tensors: &Tensors, row: usize) -> f32 {
    match tensors {
        Tensors::Packed { width, values } => values.iter().skip(row * width).take(*width).sum(),
        Tensors::Named(columns) => columns.iter().map(|column| element(column, row)).sum(),
    }
}

fn element(column: &Column, row: usize) -> f32 {
    let element = match column {
        Column::Float32(values) => values.get(row).copied(),
        Column::Float64(values) => values.get(row).map(|value| *value as f32),
        Column::Int64(values) => values.get(row).map(|value| *value as f32),
        Column::Int32(values) => values.get(row).map(|value| *value as f32),
        Column::Bool(values) => values.get(row).map(|value| f32::from(u8::from(*value))),
        Column::String(values) => values.get(row).map(|value| value.len() as f32),
    };
    element.unwrap_or(0.0)
}
