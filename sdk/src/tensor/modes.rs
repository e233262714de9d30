//! Gradient tracking and autocast, switched off for a while. What was before comes back when the work ends, by a failure
//! too. Also gradients within a plugin.

use super::{Tensor, Tensors, argument::Argument, failure::fail, host::table};
use infomax_abi::{
    TensorPtr,
    operators::{DEVICE_CPU, DEVICE_CUDA},
};
use std::{borrow::Borrow, marker::PhantomData, ptr};

/// Another number than 0 and 1 would only ask.
const OFF: u32 = 0;
const ON: u32 = 1;

/// Runs `work` without tracking gradients.
pub fn no_grad<T>(work: impl FnOnce() -> T) -> T {
    tracking(OFF, work)
}

/// Runs `work` with gradients tracked, also where the code around does not.
pub fn with_gradients<T>(work: impl FnOnce() -> T) -> T {
    tracking(ON, work)
}

fn tracking<T>(enabled: u32, work: impl FnOnce() -> T) -> T {
    let before = table().grad_mode()(enabled);
    let put_back = move || {
        let _ = table().grad_mode()(before);
    };
    let _restore = Restore { put_back, thread: PhantomData };
    work()
}

/// Runs `work` without autocast on any device, so that products keep the kind of their factors. The host sets autocast around
/// encoder and loss calls where mixed precision is asked for; what must stay in f32 casts its inputs and works in here.
pub fn without_autocast<T>(work: impl FnOnce() -> T) -> T {
    let before = [DEVICE_CPU, DEVICE_CUDA].map(|device| (device, table().autocast()(device, OFF)));
    let put_back = move || {
        for (device, enabled) in before {
            let _ = table().autocast()(device, enabled);
        }
    };
    let _restore = Restore { put_back, thread: PhantomData };
    work()
}

struct Restore<F: FnMut()> {
    put_back: F,
    /// The state belongs to this thread.
    thread: PhantomData<*const ()>,
}

impl<F: FnMut()> Drop for Restore<F> {
    fn drop(&mut self) {
        (self.put_back)();
    }
}

/// Gradients of a scalar with respect to some tensors; none where it does not depend on one. With `differentiable` they can be
/// differentiated again, as a penalty on gradients needs.
#[track_caller]
pub fn gradients<T: Borrow<Tensor>>(of: &Tensor, with_respect_to: &[T], differentiable: bool) -> Vec<Option<Tensor>> {
    let others = Tensors::lend(with_respect_to);
    let mut given = vec![ptr::null_mut::<()>(); with_respect_to.len()];
    let (tensor, weight): (TensorPtr, TensorPtr) = (of.handle(), ptr::null_mut());
    let keep = u32::from(differentiable);
    let status = table().gradients()(
        &raw const tensor,
        &raw const weight,
        1,
        others.value().ffi.bits as *const TensorPtr,
        with_respect_to.len(),
        keep,
        keep,
        given.as_mut_ptr(),
    );
    if status != 0 {
        fail("gradients", &table().last_error()());
    }
    // SAFETY: the host made each handle for this caller.
    given.into_iter().map(|handle| (!handle.is_null()).then(|| unsafe { Tensor::from_handle(handle) })).collect()
}
