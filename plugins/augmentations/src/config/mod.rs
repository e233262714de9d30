//! The components' `config` tables. The build script compiles this module too, for the schemas in the manifest.

#[macro_use]
mod common;
mod asymmetric;
mod multi_crop;
mod none;
mod randaugment;
mod simclr;

pub use asymmetric::Asymmetric;
pub use common::{Common, Flip};
pub use multi_crop::MultiCrop;
pub use none::NoAugmentation;
pub use randaugment::RandAugment;
pub use simclr::SimClr;
