//! Tensors from tch and to tch: both are handles to the libtorch that the plugin shares with its host.

use super::Tensor;

impl From<&tch::Tensor> for Tensor {
    /// The same tensor, not a copy.
    fn from(tensor: &tch::Tensor) -> Self {
        let handle = std::mem::ManuallyDrop::new(tensor.shallow_clone());
        // SAFETY: the handle is live, of the libtorch that plugin and host share, and given up by its owner.
        unsafe { Self::from_handle(handle.as_ptr().cast_mut().cast()) }
    }
}

impl From<&Tensor> for tch::Tensor {
    /// The same tensor, not a copy.
    fn from(tensor: &Tensor) -> Self {
        // SAFETY: the handle is live, of the libtorch that plugin and host share; it is cloned, not taken.
        unsafe { Self::clone_from_ptr(tensor.handle().cast()) }
    }
}
