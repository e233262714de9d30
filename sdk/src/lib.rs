//! What a plugin author uses: safe traits for the four kinds of component, and the macro that exports them.

pub mod augmentation;
pub mod dataset;
pub mod error;
pub mod key;

pub use augmentation::{Augmentation, AugmentationDescription, ImageRef, View, ViewMut};
pub use dataset::{Dataset, DatasetDescription, DatasetFacts, Image, Roles, Sample, Split, UNLABELLED};
pub use error::{Error, ErrorKind, Result};
pub use key::{Key, KeyedRng};
