//! Tensors as they cross the boundary: pointers to libtorch's `at::Tensor`, which both sides share in one process.

use abi_stable::{StableAbi, std_types::RString};

/// A borrowed tensor: `at::Tensor*`, valid for the call. May be null where a field says so.
pub type TensorPtr = *mut ();

/// An owned tensor. The receiver takes its own reference and then calls `drop` with `tensor`.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct FfiTensor {
    /// `at::Tensor*`; null stands for no tensor.
    pub tensor: TensorPtr,
    /// Frees the handle where it was made.
    pub drop: extern "C" fn(TensorPtr),
}

/// A parameter or buffer with its stable dotted name.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct FfiNamedTensor {
    /// The name in checkpoints.
    pub name: RString,
    /// The component's own tensor, shared, not copied.
    pub tensor: FfiTensor,
    /// 0 buffer, 1 parameter.
    pub role: u32,
    /// JSON: `{"decay":true,"lr_scale":1.0,"lr_fixed":false}`; absent keys have these values.
    pub tags: RString,
}
