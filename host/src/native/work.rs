//! How much work libtorch is asked for, and what ranks exchange, through `host/native/work.cpp`.

use super::{NativeResult, check};
use serde::Serialize;
use std::ffi::{c_char, c_int};
use tch::Device;

unsafe extern "C" {
    fn infomax_work_begin() -> u64;
    fn infomax_work_end(handle: u64) -> Work;
    fn infomax_reset_peak(index: c_int) -> *mut c_char;
}

/// Work of all threads.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Work {
    /// Multiplications and additions of products and convolutions, each one.
    pub operations: f64,
    /// Calls in which ranks exchange tensors.
    pub exchanges: u64,
    /// What is given to those: the whole of a sum, one's own part of a gather, all ranks' parts of a scattered sum.
    pub exchanged_bytes: u64,
}

/// Runs something; its work beside what it gives. One at a time.
pub fn counted<T>(run: impl FnOnce() -> T) -> (T, Work) {
    /// Ends the count where `run` unwinds.
    struct Count(u64);
    impl Drop for Count {
        fn drop(&mut self) {
            // SAFETY: ends what `counted` has begun.
            unsafe { infomax_work_end(self.0) };
        }
    }
    // SAFETY: libtorch allows this at any time; `Count` or the line below ends it.
    let count = Count(unsafe { infomax_work_begin() });
    let result = run();
    // SAFETY: as above; ended once.
    let work = unsafe { infomax_work_end(count.0) };
    std::mem::forget(count);
    (result, work)
}

/// Forgets the most memory that tensors took on a device; nothing for a CPU.
///
/// # Errors
/// libtorch's message.
pub fn reset_peak(device: Device) -> NativeResult<()> {
    let Device::Cuda(index) = device else { return Ok(()) };
    // SAFETY: asks libtorch's allocator.
    check(unsafe { infomax_reset_peak(index as c_int) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Kind, Tensor};

    #[test]
    fn products_and_convolutions_are_counted_by_their_shapes() {
        let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
        // Tests that compute beside this one add to a count: the least of many is this one's own.
        let least = |run: &dyn Fn()| (0..200).map(|_| counted(run).1.operations).fold(f64::INFINITY, f64::min);
        let of_product = least(&|| drop(random(&[3, 5]).mm(&random(&[5, 7]))));
        assert_eq!(of_product, 2.0 * 3.0 * 5.0 * 7.0);
        let weight = random(&[6, 4, 3, 3]).set_requires_grad(true);
        let (x, bias) = (random(&[2, 4, 9, 9]).set_requires_grad(true), None::<Tensor>);
        let of_step = least(&|| {
            x.conv2d(&weight, bias.as_ref(), [2, 2], [1, 1], [1, 1], 1).sum(Kind::Float).backward();
        });
        let forward = 2.0 * 2.0 * 6.0 * 4.0 * 9.0 * 25.0;
        assert_eq!(of_step, 3.0 * forward, "the backward pass is two more");
    }
}
