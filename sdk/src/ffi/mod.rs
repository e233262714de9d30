//! The provider's side of the boundary: wraps an author's type as the instance behind a table of functions. Out of
//! sight of authors; `export_plugin!` alone calls it.

pub mod augmentation;
pub mod dataset;
pub mod encoder;
pub mod instance;
pub mod loss;
pub mod module;
pub mod tensor;
