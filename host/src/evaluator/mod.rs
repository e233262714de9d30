//! Evaluators: classifiers on detached features.

mod classifiers;

pub use classifiers::{Classifiers, Logits, Plan};
