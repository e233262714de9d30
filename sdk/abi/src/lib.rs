//! The types that cross the plugin boundary. Everything here is append-only: never reorder, rename or remove; a meaning
//! that changes is a new method or an extension. No tensor library: a tensor is an opaque pointer to libtorch's own.
//!
//! Rules: in = borrowed for the call, out = owned; memory is freed by the side that made it; configs, descriptions and
//! metadata cross as JSON text, so that they grow without a change here; no enum crosses by value.
//!
#![doc = include_str!("../STABILITY.md")]

pub mod augmentation;
pub mod dataset;
pub mod encoder;
pub mod host;
pub mod loss;
pub mod module;
pub mod operators;
pub mod result;
pub mod tensor;

pub use abi_stable;
pub use augmentation::{
    AugmentationVTable, AugmentationVTableRef, BatchVTable, BatchVTableRef, FfiAugmentation, FfiImage, FfiView,
};
pub use dataset::{DatasetVTable, DatasetVTableRef, FfiDataset, FfiSample};
pub use encoder::{EncoderVTable, EncoderVTableRef, FfiEncoder};
pub use host::{HostServices, HostServicesRef};
pub use loss::{FfiFacts, FfiFeature, FfiGradients, FfiLoss, FfiTerm, FfiTerms, LossVTable, LossVTableRef};
pub use module::{ABI_VERSION, PluginModule, PluginModuleRef};
pub use operators::{FfiTensorFacts, FfiValue, OperatorTable, OperatorTableRef};
pub use result::{FfiError, FfiResult};
pub use tensor::{FfiNamedTensor, FfiTensor, TensorPtr};

/// An instance of a component: made, used and freed by the plugin alone.
pub type Instance = *mut ();

/// What an extension lookup gives: null where the other side does not know the id.
pub type Extension = *const ();
