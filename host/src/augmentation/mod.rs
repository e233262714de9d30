//! Augmentations: the foreign side, image by image and in batch.

mod batch;
mod foreign;

pub use batch::ForeignBatch;
pub use foreign::{ForeignAugmentation, describe};
