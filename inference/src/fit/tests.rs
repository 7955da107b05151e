//! Tests of `fit`.
