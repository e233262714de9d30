//! The augmentation kind as it crosses the boundary. Methods may be called from many threads at once.

use crate::{Extension, FfiResult, Instance};
use abi_stable::{
    StableAbi,
    std_types::{RSlice, RSliceMut, RStr},
};

/// An augmentation and its methods.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiAugmentation {
    /// The instance, freed by [`AugmentationVTable::drop`].
    pub instance: Instance,
    /// Its methods.
    pub vtable: AugmentationVTableRef,
}

/// A borrowed image: height × width × 3 bytes.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct FfiImage<'a> {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Row by row, red green blue.
    pub pixels: RSlice<'a, u8>,
}

/// A view's place in the batch: height × width × 3 bytes, to be written in full.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiView<'a> {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Row by row, red green blue.
    pub pixels: RSliceMut<'a, u8>,
}

/// The methods of an augmentation.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = AugmentationVTableRef)))]
#[sabi(missing_field(option))]
pub struct AugmentationVTable {
    /// Frees the instance; an error is reported only.
    pub drop: extern "C" fn(Instance) -> FfiResult<()>,
    /// Writes every training view: image, key (two halves), views.
    pub train_views: extern "C" fn(Instance, FfiImage<'_>, u64, u64, RSliceMut<'_, FfiView<'_>>) -> FfiResult<()>,
    /// Writes the view for evaluation.
    pub eval_view: extern "C" fn(Instance, FfiImage<'_>, FfiView<'_>) -> FfiResult<()>,
    /// Looks an extension of the instance up by id.
    #[sabi(last_prefix_field)]
    pub extension: extern "C" fn(Instance, RStr<'_>) -> Extension,
}
