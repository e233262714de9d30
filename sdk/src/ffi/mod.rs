//! The provider's side of the boundary: wraps an author's type as the instance behind a table of functions. Out of
//! sight of authors; `export_plugin!` alone calls it.

pub mod augmentation;
pub mod dataset;
#[cfg(feature = "torch")]
pub mod encoder;
pub mod instance;
#[cfg(feature = "torch")]
pub mod loss;
pub mod module;
#[cfg(feature = "torch")]
pub mod tensor;
