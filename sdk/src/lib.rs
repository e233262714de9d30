//! What a plugin author uses: safe traits for the four kinds of component, and the macro that exports them.
//!
//! An experiment is a flow: dataset → augmentation → encoder → loss → optimizer → evaluator. The first four are
//! components; write one as an ordinary Rust type, name it in [`export_plugin!`], and drop the library into a folder.

pub mod augmentation;
#[cfg(feature = "torch")]
mod autocast;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod dataset;
pub mod encoder;
pub mod error;
mod export;
pub mod ffi;
pub mod guard;
pub mod key;
mod log_bridge;
pub mod loss;
#[cfg(feature = "torch")]
mod names;
pub mod requests;
#[cfg(feature = "torch")]
pub mod state;
#[cfg(feature = "views")]
pub mod views;

pub use augmentation::{Augmentation, AugmentationDescription, ImageRef, View, ViewMut};
#[cfg(feature = "torch")]
pub use autocast::without_autocast;
pub use dataset::{Dataset, DatasetDescription, DatasetFacts, Image, Roles, Sample, Split, UNLABELLED};
#[cfg(feature = "torch")]
pub use encoder::Encoder;
pub use encoder::{EncoderDescription, EncoderInput, FeatureMap, Mode};
pub use error::{Error, ErrorKind, Result};
pub use infomax_abi as abi;
pub use key::{Key, KeyedRng};
#[cfg(feature = "torch")]
pub use loss::{Facts, Feature, Features, Gradients, Loss, Terms};
pub use loss::{LossDescription, LossInput, Momentum, Need, Source};
#[cfg(feature = "torch")]
pub use names::Names;
#[cfg(feature = "torch")]
pub use state::{NamedTensor, Role, Tags};
#[cfg(feature = "torch")]
pub use tch;
