//! What a model takes and gives: its inputs and outputs as names, element types and dimensions. Pure.
//!
//! Every served tensor has the row as its first dimension. A signature that exists was checked for that and for its
//! element types when its file was opened (`model_file`).

use std::sync::Arc;

/// The inputs and outputs of a model, in the model's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What it takes.
    pub inputs: Arc<[TensorSpec]>,
    /// What it gives.
    pub outputs: Arc<[TensorSpec]>,
}

/// One input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in the model.
    pub name: String,
    /// The type of its elements.
    pub element: ElementType,
    /// Its dimensions; the first is the row.
    pub dims: Vec<Dim>,
}

/// The types of elements that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary64.
    Float64,
    /// Signed 32-bit integer.
    Int32,
    /// Signed 64-bit integer.
    Int64,
    /// True or false.
    Bool,
    /// UTF-8 text without NUL.
    String,
}

impl ElementType {
    /// The name in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Bool => "bool",
            Self::String => "string",
        }
    }
}

impl std::fmt::Display for ElementType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One dimension of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// As long as each run wants it.
    Free,
    /// Always this long.
    Fixed(usize),
}

impl std::fmt::Display for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Free => f.write_str("?"),
            Self::Fixed(length) => write!(f, "{length}"),
        }
    }
}

impl TensorSpec {
    /// `float32 [?, 4]`.
    pub fn shape_text(&self) -> String {
        let dims = self.dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        format!("{} [{dims}]", self.element)
    }
}

/// Which outputs are a classifier's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classifier {
    /// Index of the output with one label (int64, int32 or string) a row.
    pub label: usize,
    /// Index of the output with the probabilities, float: one a class, or one a row.
    pub probability: usize,
}

impl Signature {
    /// The rows of every run if the model fixes them; `None` if any number goes.
    pub fn fixed_rows(&self) -> Option<usize> {
        self.inputs.iter().find_map(|input| match input.dims.first() {
            Some(Dim::Fixed(rows)) => Some(*rows),
            Some(Dim::Free) | None => None,
        })
    }

    /// The label and probability outputs, where the model has exactly one of each: an output whose name holds `label`
    /// with one value a row, and a float output whose name holds `prob`, as scikit-learn exporters name them.
    pub fn classifier(&self) -> Option<Classifier> {
        let label = self.only_output(|spec| named(spec, "label") && !is_float(spec) && width(spec) == Some(1))?;
        let probability = self.only_output(|spec| named(spec, "prob") && is_float(spec) && spec.dims.len() <= 2)?;
        Some(Classifier { label, probability })
    }

    fn only_output(&self, wanted: impl Fn(&TensorSpec) -> bool) -> Option<usize> {
        let mut found = self.outputs.iter().enumerate().filter(|(_, spec)| wanted(spec)).map(|(index, _)| index);
        let only = found.next()?;
        found.next().is_none().then_some(only)
    }
}

fn named(spec: &TensorSpec, part: &str) -> bool {
    spec.name.to_ascii_lowercase().contains(part)
}

const fn is_float(spec: &TensorSpec) -> bool {
    matches!(spec.element, ElementType::Float32 | ElementType::Float64)
}

/// Values a row, where the dimensions tell.
pub(crate) fn width(spec: &TensorSpec) -> Option<usize> {
    match spec.dims.as_slice() {
        [_row] => Some(1),
        [_row, Dim::Fixed(width)] => Some(*width),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, element: ElementType, dims: &[Dim]) -> TensorSpec {
        TensorSpec { name: name.to_owned(), element, dims: dims.to_vec() }
    }

    fn signature(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> Signature {
        Signature { inputs: inputs.into(), outputs: outputs.into() }
    }

    #[test]
    fn a_label_and_one_float_probability_make_a_classifier() {
        let probability = spec("probabilities", ElementType::Float32, &[Dim::Free, Dim::Fixed(3)]);
        let label = spec("output_label", ElementType::String, &[Dim::Free]);
        let found = signature(vec![], vec![probability.clone(), label.clone()]).classifier();
        assert_eq!(found, Some(Classifier { label: 1, probability: 0 }));
        assert_eq!(signature(vec![], vec![probability.clone()]).classifier(), None);
        assert_eq!(signature(vec![], vec![label, probability.clone(), probability]).classifier(), None, "two of them");
    }

    #[test]
    fn the_first_fixed_row_dimension_fixes_every_run() {
        let free = spec("a", ElementType::Float32, &[Dim::Free, Dim::Fixed(4)]);
        let fixed = spec("b", ElementType::Float32, &[Dim::Fixed(8), Dim::Fixed(4)]);
        assert_eq!(signature(vec![free.clone()], vec![]).fixed_rows(), None);
        assert_eq!(signature(vec![free, fixed], vec![]).fixed_rows(), Some(8));
    }

    #[test]
    fn shapes_read_like_the_exporter_prints_them() {
        assert_eq!(spec("a", ElementType::Int64, &[Dim::Free, Dim::Fixed(4)]).shape_text(), "int64 [?, 4]");
    }
}
