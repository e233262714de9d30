//! What a plugin author uses: safe traits for the four kinds of component, tensors with PyTorch's operators, layers, and
//! the macro that exports components.
//!
//! An experiment is a flow: dataset → augmentation → encoder → loss → optimizer → evaluator. The first four are
//! components; write one as an ordinary Rust type, name it in [`export_plugin!`], and drop the library into a folder.
//!
//! Tensors are handles to the host's: a plugin is built by a Rust compiler alone, without libtorch, and runs on any host
//! that has the operators it uses.
//!
//! The [`book`] leads from nothing to a trained component, and has a whole example of each kind.

pub mod augmentation;
pub mod book;
pub mod check;
pub mod dataset;
pub mod encoder;
pub mod error;
mod export;
pub mod ffi;
pub mod guard;
pub mod key;
mod log_bridge;
pub mod loss;
mod names;
pub mod nn;
pub mod projected;
pub mod representation;
pub mod requests;
pub mod state;
pub mod targets;
pub mod tensor;
#[cfg(feature = "views")]
pub mod views;

#[cfg(feature = "tch")]
pub use ::tch;
pub use augmentation::{Augmentation, AugmentationDescription, BatchAugmentation, ImageRef, View, ViewMut};
pub use dataset::{Dataset, DatasetDescription, DatasetFacts, Image, Roles, Sample, Split, UNLABELLED};
pub use encoder::{Encoder, EncoderDescription, EncoderInput, FeatureMap, Mode};
pub use error::{Error, ErrorKind, Result};
pub use infomax_abi as abi;
pub use key::{Key, KeyedRng};
pub use loss::{Facts, Feature, Features, Gradients, Loss, LossDescription, LossInput, Momentum, Need, Source, Terms};
pub use names::{Module, Names};
pub use representation::Representation;
pub use state::{Buffer, NamedTensor, Parameter, Role, Tags};
pub use tensor::{Device, Kind, MemoryFormat, Tensor, attempt, no_grad, without_autocast};
