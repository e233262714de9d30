//! Evaluators, all on detached representations: classifiers that are trained (`classifiers`), nearest neighbours (`knn`),
//! and how much of its space a representation uses (`collapse`).

mod classifiers;
mod collapse;
mod knn;

pub use classifiers::{Classifiers, Logits, Plan};
pub use collapse::{alignment, feature_std, rankme, uniformity};
pub use knn::Neighbours;
