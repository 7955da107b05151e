//! Gathers what `validate` and `plan` judge by: schemas and plans from the engine, signatures from ONNX Runtime.

use std::{collections::BTreeMap, path::Path};

use tidegate_catalog::Definitions;
use tidegate_control::facts::{
    Column, Element, Fact, Facts, Failure, ModelSignature, PlannedView, Position, SourceSchema, Tensor,
};
use tidegate_inference::{Dim, ElementType, ModelFile, Runtime, Signature};
use tidegate_offline::{Engine, OfflineFacts};

/// The largest model file that is looked at.
const MODEL_LIMIT_BYTES: u64 = tidegate_inference::DEFAULT_LIMIT_BYTES;

/// Gathers everything; `runtime` may be missing, then the models' checks are reported as not made.
pub(crate) async fn gather(
    definitions: &Definitions,
    engine: &Engine,
    runtime: &Result<Runtime, String>,
    root: &Path,
) -> Facts {
    let mut facts = Facts::default();
    add_offline(engine.describe(definitions).await, &mut facts);
    let variants = definitions.endpoints.values().flat_map(|endpoint| &endpoint.variants);
    let paths = variants.map(|variant| variant.model.path.clone()).collect::<std::collections::BTreeSet<_>>();
    for path in paths {
        let (file, runtime) = (root.join(&path), runtime.clone());
        // reading a model takes as long as it is large
        let looked = tokio::task::spawn_blocking(move || look_at_model(&file, &runtime)).await;
        let (signature, hash) = looked.unwrap_or_else(|error| (not_made(error.to_string()), None));
        facts.model_hashes.extend(hash.map(|hash| (path.clone(), hash)));
        facts.models.insert(path, signature);
    }
    facts
}

fn look_at_model(file: &Path, runtime: &Result<Runtime, String>) -> (Fact<ModelSignature>, Option<String>) {
    let failed = |message: String| Fact::Failed(Failure { message, position: None });
    let bytes = match tidegate_inference::read_bounded(file, MODEL_LIMIT_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => return (failed(error.to_string()), None),
    };
    let hash = Some(tidegate_inference::content_hash(&bytes));
    let signature = match runtime {
        Err(why) => not_made(why.clone()),
        Ok(runtime) => match ModelFile::of_bytes(runtime, file, bytes) {
            Ok(model) => Fact::Known(signature(model.signature())),
            Err(error) => failed(error.to_string()),
        },
    };
    (signature, hash)
}

fn not_made<T>(why: String) -> Fact<T> {
    Fact::NotMade { why }
}

fn signature(signature: &Signature) -> ModelSignature {
    let tensors = |specs: &[tidegate_inference::TensorSpec]| {
        let tensor = |spec: &tidegate_inference::TensorSpec| Tensor {
            name: spec.name.to_string(),
            element: element(spec.element),
            dims: spec
                .dims
                .iter()
                .map(|dim| match dim {
                    Dim::Free => None,
                    Dim::Fixed(size) => Some(*size as u64),
                })
                .collect(),
        };
        specs.iter().map(tensor).collect()
    };
    ModelSignature { inputs: tensors(&signature.inputs), outputs: tensors(&signature.outputs) }
}

const fn element(element: ElementType) -> Element {
    match element {
        ElementType::Float32 => Element::Float32,
        ElementType::Float64 => Element::Float64,
        ElementType::Int32 => Element::Int32,
        ElementType::Int64 => Element::Int64,
        ElementType::Bool => Element::Bool,
        ElementType::String => Element::String,
    }
}

fn add_offline(offline: OfflineFacts, facts: &mut Facts) {
    let columns = |schema: &arrow_schema::Schema| {
        let column = |field: &arrow_schema::FieldRef| Column {
            name: field.name().clone(),
            data_type: field.data_type().clone(),
        };
        schema.fields().iter().map(column).collect::<Vec<_>>()
    };
    facts.sources = each(offline.sources, |schema| SourceSchema { columns: columns(&schema) });
    facts.views = each(offline.views, |planned| PlannedView {
        columns: columns(&planned.schema),
        volatile: planned.volatile,
        order_warnings: planned.order_warnings,
    });
}

fn each<T, U>(
    all: BTreeMap<String, Result<T, tidegate_offline::Error>>,
    known: impl Fn(T) -> U,
) -> BTreeMap<String, Fact<U>> {
    let fact = |result: Result<T, tidegate_offline::Error>| match result {
        Ok(thing) => Fact::Known(known(thing)),
        Err(error) => {
            let position = match &error {
                tidegate_offline::Error::Query { position, .. } => *position,
                _ => None,
            };
            let position = position.map(|(line, column)| Position { line, column });
            Fact::Failed(Failure { message: error.to_string(), position })
        }
    };
    all.into_iter().map(|(name, result)| (name, fact(result))).collect()
}

#[cfg(test)]
mod tests;
