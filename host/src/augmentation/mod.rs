//! Augmentations: the foreign side.

mod foreign;

pub use foreign::{ForeignAugmentation, describe};
