//! The loss kind as it crosses the boundary. Called by one thread at a time.

use crate::{Extension, FfiNamedTensor, FfiResult, FfiTensor, Instance, TensorPtr};
use abi_stable::{
    StableAbi,
    std_types::{RSlice, RStr, RString, RVec},
};

/// A loss and its methods.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiLoss {
    /// The instance, freed by [`LossVTable::drop`].
    pub instance: Instance,
    /// Its methods.
    pub vtable: LossVTableRef,
}

/// One feature map of the global batch, borrowed.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct FfiFeature {
    /// The view, by position.
    pub view: u32,
    /// 0 the encoder, 1 the momentum encoder.
    pub encoder: u32,
    /// The map, by position in the encoder's description.
    pub map: u32,
    /// B × C × H × W.
    pub tensor: TensorPtr,
}

/// What a loss is told about a step.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct FfiFacts<'a> {
    /// Updates done so far.
    pub step: u64,
    /// Updates planned; 0 where the budget is not in updates.
    pub total_steps: u64,
    /// Epochs begun so far, from 0.
    pub epoch: u64,
    /// The step's key, first half; alike on every rank.
    pub key_a: u64,
    /// The step's key, second half.
    pub key_b: u64,
    /// How many ranks share the batch.
    pub world_size: u32,
    /// The autocast dtype as libtorch numbers it (6 f32, 5 f16, 15 bf16).
    pub dtype: u32,
    /// Labels of the global batch, B of i64, −1 for none; null where the loss did not ask.
    pub labels: TensorPtr,
    /// Sample indices of the global batch, B of i64; may be null.
    pub indices: TensorPtr,
    /// A JSON object, for what is added later; empty for none.
    pub more: RStr<'a>,
}

/// A named scalar or gradient.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct FfiTerm {
    /// Its name.
    pub name: RString,
    /// Its tensor.
    pub tensor: FfiTensor,
}

/// What a loss gives.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct FfiTerms {
    /// The scalar that training minimises.
    pub total: FfiTensor,
    /// What it is made of, and whatever else is worth recording: scalars.
    pub terms: RVec<FfiTerm>,
}

/// What a loss with its own backward pass gives.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct FfiGradients {
    /// The loss.
    pub terms: FfiTerms,
    /// The gradient of each feature, in their order; null for zero.
    pub features: RVec<FfiTensor>,
    /// Gradients of the loss's own parameters, by name.
    pub parameters: RVec<FfiTerm>,
}

/// The methods of a loss. `rows` are source rows of the global batch, from and to.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = LossVTableRef)))]
#[sabi(missing_field(option))]
pub struct LossVTable {
    /// Frees the instance; an error is reported only.
    pub drop: extern "C" fn(Instance) -> FfiResult<()>,
    /// Pure: features, facts, rows → the loss.
    pub forward: extern "C" fn(Instance, RSlice<'_, FfiFeature>, &FfiFacts<'_>, u64, u64) -> FfiResult<FfiTerms>,
    /// Pure: the same with gradients; called only where the description says so.
    pub forward_backward:
        extern "C" fn(Instance, RSlice<'_, FfiFeature>, &FfiFacts<'_>, u64, u64) -> FfiResult<FfiGradients>,
    /// Before a step's forward pass: the only place besides `after_update` where state may change.
    pub before_step: extern "C" fn(Instance, &FfiFacts<'_>) -> FfiResult<()>,
    /// After a step's update.
    pub after_update: extern "C" fn(Instance, RSlice<'_, FfiFeature>, &FfiFacts<'_>) -> FfiResult<()>,
    /// Parameters and buffers.
    pub tensors: extern "C" fn(Instance) -> FfiResult<RVec<FfiNamedTensor>>,
    /// Other state, as JSON.
    pub state_save: extern "C" fn(Instance) -> FfiResult<RString>,
    /// Takes other state back.
    pub state_load: extern "C" fn(Instance, RStr<'_>) -> FfiResult<()>,
    /// Looks an extension of the instance up by id.
    #[sabi(last_prefix_field)]
    pub extension: extern "C" fn(Instance, RStr<'_>) -> Extension,
    /// Stands for whatever the next minor version appends; only the compatibility tests see it.
    #[cfg(feature = "next")]
    pub appended: extern "C" fn(Instance) -> u32,
}
