//! The one copy of a step's data to a CUDA device, through `host/native/upload.cpp`.

use super::{NativeResult, Pointer, check};
use std::ffi::{c_char, c_int, c_void};
use tch::Tensor;

unsafe extern "C" {
    fn infomax_upload(
        index: c_int,
        pieces: *const *const c_void,
        lengths: *const usize,
        count: usize,
        joined: usize,
        made: *mut Pointer,
    ) -> *mut c_char;
}

/// Copies pieces of memory to a CUDA device at once, without waiting for it; a tensor of bytes for each, which what is asked
/// of the device from now on may read. The first `joined` ones, of which there is at least one, become one tensor.
///
/// # Errors
/// libtorch's message.
pub fn upload(device: usize, pieces: &[&[u8]], joined: usize) -> NativeResult<Vec<Tensor>> {
    assert!((1..=pieces.len()).contains(&joined));
    let places: Vec<*const c_void> = pieces.iter().map(|piece| piece.as_ptr().cast()).collect();
    let lengths: Vec<usize> = pieces.iter().map(|piece| piece.len()).collect();
    let mut made: Vec<Pointer> = vec![std::ptr::null(); pieces.len() + 1 - joined];
    // SAFETY: the lists hold `count` entries each and outlive the call, which copies out of the pieces before it returns.
    check(unsafe {
        infomax_upload(device as c_int, places.as_ptr(), lengths.as_ptr(), pieces.len(), joined, made.as_mut_ptr())
    })?;
    // SAFETY: the shim has filled every place with a tensor of its own, which is taken over once.
    Ok(made.into_iter().map(|pointer| unsafe { Tensor::from_ptr(pointer.cast_mut().cast()) }).collect())
}
