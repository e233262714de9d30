//! The reference set in whole experiments: weights from other libraries, methods end to end, resuming, the shipped configs.

mod configs;
mod experiments;
mod methods;
mod resume;
pub mod small;
mod weights;
