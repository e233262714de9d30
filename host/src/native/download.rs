//! Tensors of a CUDA device on their way to the host, through `host/native/download.cpp`.

use super::{NativeResult, Pointer, check, pointers};
use std::ffi::{c_char, c_void};
use tch::Tensor;

unsafe extern "C" {
    fn infomax_download(
        tensors: *const Pointer,
        count: usize,
        made: *mut Pointer,
        event: *mut *mut c_void,
    ) -> *mut c_char;
    fn infomax_download_wait(event: *const c_void) -> *mut c_char;
    fn infomax_download_free(event: *mut c_void);
}

/// Copies under way to the host.
pub struct Download {
    tensors: Vec<Tensor>,
    event: *mut c_void,
}

// SAFETY: the event may be waited for and freed by any thread, and is used by one at a time; tensors are `Send`.
unsafe impl Send for Download {}

impl Download {
    /// Begins to copy tensors of one CUDA device as they are once what the device has been asked so far is done. It is not waited
    /// for.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn begin(tensors: &[Tensor]) -> NativeResult<Self> {
        let from = pointers(tensors);
        let mut made: Vec<Pointer> = vec![std::ptr::null(); from.len()];
        let mut event = std::ptr::null_mut();
        // SAFETY: the lists hold `count` entries each, the first live tensors; all outlive the call.
        check(unsafe { infomax_download(from.as_ptr(), from.len(), made.as_mut_ptr(), &mut event) })?;
        // SAFETY: the shim has filled every place with a tensor of its own, which is taken over once.
        let own = |pointer: Pointer| unsafe { Tensor::from_ptr(pointer.cast_mut().cast()) };
        Ok(Self { tensors: made.into_iter().map(own).collect(), event })
    }

    /// Waits for the copies: contiguous, in the tensors' order.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn wait(mut self) -> NativeResult<Vec<Tensor>> {
        // SAFETY: the event lives until this is dropped.
        check(unsafe { infomax_download_wait(self.event) })?;
        Ok(std::mem::take(&mut self.tensors))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once. The allocator of page-locked memory keeps the block until copies into it are done.
        unsafe { infomax_download_free(self.event) };
    }
}
