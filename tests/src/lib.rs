//! Whole-system tests; what they share lives here.
