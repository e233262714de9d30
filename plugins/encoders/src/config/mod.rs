//! The components' `config` tables. The build script compiles this module too, for the schemas in the manifest.

pub mod resnet;
pub mod vit;
pub mod wide_resnet;
