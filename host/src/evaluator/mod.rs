//! Evaluators, all on detached representations: classifiers that are trained (`classifiers`), nearest neighbours (`knn`), logistic
//! regression to its optimum (`logistic_regression`, of `logistic_objective`), and how much of its space a representation uses
//! (`collapse`).

mod classifiers;
mod collapse;
mod knn;
mod logistic_objective;
mod logistic_regression;

pub use classifiers::{Classifiers, Logits, Plan};
pub use collapse::{alignment, feature_std, rankme, spread, uniformity};
pub use knn::{Neighbours, nearest, unit};
pub use logistic_objective::Samples;
pub use logistic_regression::LogisticRegression;
