//! The encoder kind as it crosses the boundary. Called by one thread at a time.

use crate::{Extension, FfiNamedTensor, FfiResult, FfiTensor, Instance, TensorPtr};
use abi_stable::{
    StableAbi,
    std_types::{RSlice, RStr, RString, RVec},
};

/// An encoder and its methods.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiEncoder {
    /// The instance, freed by [`EncoderVTable::drop`].
    pub instance: Instance,
    /// Its methods.
    pub vtable: EncoderVTableRef,
}

/// Training mode: batch statistics, running statistics updated in the order of the views.
pub const MODE_TRAIN: u32 = 0;
/// Batch statistics, running statistics untouched: recomputation under accumulation.
pub const MODE_TRAIN_FROZEN_STATISTICS: u32 = 1;
/// Only the running statistics matter: the published protocol's refresh before testing.
pub const MODE_REFRESH_STATISTICS: u32 = 2;
/// Evaluation mode: running statistics.
pub const MODE_EVALUATE: u32 = 3;

/// The methods of an encoder.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = EncoderVTableRef)))]
#[sabi(missing_field(option))]
pub struct EncoderVTable {
    /// Frees the instance; an error is reported only.
    pub drop: extern "C" fn(Instance) -> FfiResult<()>,
    /// Views → the maps of the first view, of the second, …; the mode is one of the constants above.
    pub forward: extern "C" fn(Instance, RSlice<'_, TensorPtr>, u32) -> FfiResult<RVec<FfiTensor>>,
    /// Parameters and buffers.
    pub tensors: extern "C" fn(Instance) -> FfiResult<RVec<FfiNamedTensor>>,
    /// Other state, as JSON.
    pub state_save: extern "C" fn(Instance) -> FfiResult<RString>,
    /// Takes other state back.
    pub state_load: extern "C" fn(Instance, RStr<'_>) -> FfiResult<()>,
    /// Looks an extension of the instance up by id.
    #[sabi(last_prefix_field)]
    pub extension: extern "C" fn(Instance, RStr<'_>) -> Extension,
}
