//! The dataset kind as it crosses the boundary. Methods may be called from many threads at once.

use crate::{Extension, FfiResult, Instance};
use abi_stable::{
    StableAbi,
    std_types::{RStr, RString, RVec},
};

/// A dataset and its methods.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiDataset {
    /// The instance, freed by [`DatasetVTable::drop`].
    pub instance: Instance,
    /// Its methods.
    pub vtable: DatasetVTableRef,
}

/// One image with its label.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiSample {
    /// 0: `bytes` is an encoded file; 1: pixels, height × width × 3.
    pub encoding: u32,
    /// In pixels; 0 for an encoded file.
    pub width: u32,
    /// In pixels; 0 for an encoded file.
    pub height: u32,
    /// The file or the pixels.
    pub bytes: RVec<u8>,
    /// The class, from 0; −1 for none.
    pub label: i64,
}

/// The methods of a dataset.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = DatasetVTableRef)))]
#[sabi(missing_field(option))]
pub struct DatasetVTable {
    /// Frees the instance; an error is reported only.
    pub drop: extern "C" fn(Instance) -> FfiResult<()>,
    /// The facts, as JSON.
    pub facts: extern "C" fn(Instance) -> FfiResult<RString>,
    /// Reads (split, index).
    pub read: extern "C" fn(Instance, u64, u64) -> FfiResult<FfiSample>,
    /// Where (split, index) comes from.
    pub locate: extern "C" fn(Instance, u64, u64) -> FfiResult<RString>,
    /// Looks an extension of the instance up by id.
    #[sabi(last_prefix_field)]
    pub extension: extern "C" fn(Instance, RStr<'_>) -> Extension,
    /// The labels of a split's images in order, without reading those; empty where they are not known. Since 1.1.
    pub labels: extern "C" fn(Instance, u64) -> FfiResult<RVec<i64>>,
}
