//! The augmentation kind as it crosses the boundary. Methods may be called from many threads at once.

use crate::{Extension, FfiResult, FfiTensor, Instance, TensorPtr};
use abi_stable::{
    StableAbi,
    std_types::{RSlice, RSliceMut, RStr, RVec},
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

/// The id of [`BatchVTable`] among an augmentation's extensions; a table whose meaning changed would have another.
pub const BATCH_ID: &str = "infomax.augmentation.batch.1";

/// Training views of a whole batch that lies on a device. Which ones is decided beforehand on the processor, image by image:
/// what was drawn crosses as numbers.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = BatchVTableRef)))]
#[sabi(missing_field(option))]
pub struct BatchVTable {
    /// How many numbers hold the draws for all views of an image of this width and height.
    pub numbers: extern "C" fn(Instance, u32, u32) -> FfiResult<u64>,
    /// Draws for an image: width, height, key (two halves), the numbers, to be written in full.
    pub draw: extern "C" fn(Instance, u32, u32, u64, u64, RSliceMut<'_, f32>) -> FfiResult<()>,
    /// The views, in order, each B × height × width × 3 bytes: of images (B × height × width × 3 bytes) and their numbers
    /// (B × how many, f32) on one device.
    #[sabi(last_prefix_field)]
    pub batch_views: extern "C" fn(Instance, TensorPtr, TensorPtr) -> FfiResult<RVec<FfiTensor>>,
}

/// The table as an extension pointer.
pub fn batch_as_extension(table: BatchVTableRef) -> Extension {
    let pointer: *const BatchVTableRef = &raw const table;
    // SAFETY: a prefix reference is one pointer, `repr(transparent)`; it is copied out.
    unsafe { pointer.cast::<Extension>().read() }
}

/// The table behind an extension pointer; none for null.
///
/// # Safety
/// The pointer is what an augmentation's `extension` gave for [`BATCH_ID`].
pub unsafe fn batch_from_extension(extension: Extension) -> Option<BatchVTableRef> {
    // SAFETY: as in `batch_as_extension`; the pointer is not null.
    (!extension.is_null()).then(|| unsafe { (&raw const extension).cast::<BatchVTableRef>().read() })
}
