//! Number formats, through `host/native/precision.cpp`: autocast, TF32, deterministic algorithms, unscaling of gradients,
//! the memory of a device.

use super::{NativeResult, Pointer, check, pointers};
use std::{
    ffi::{c_char, c_int},
    marker::PhantomData,
};
use tch::{Device, Kind, Tensor};

/// Autocast of this thread: the shim's struct.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AutocastState {
    cpu_enabled: c_int,
    cpu_dtype: c_int,
    cuda_enabled: c_int,
    cuda_dtype: c_int,
    cache_enabled: c_int,
}

unsafe extern "C" {
    fn infomax_autocast_get() -> AutocastState;
    fn infomax_autocast_set(state: AutocastState);
    fn infomax_autocast_enter();
    fn infomax_autocast_leave();
    fn infomax_set_tf32(allowed: c_int) -> *mut c_char;
    fn infomax_tf32() -> c_int;
    fn infomax_set_deterministic(wanted: c_int) -> *mut c_char;
    fn infomax_deterministic() -> c_int;
    fn infomax_unscale(gradients: *const Pointer, count: usize, scale: Pointer, found: *mut Pointer) -> *mut c_char;
    fn infomax_move_scale(
        state: Pointer,
        overflowed: Pointer,
        counts: Pointer,
        backoff: f64,
        growth: f64,
        floor: f64,
        largest: f64,
        every: f64,
    ) -> *mut c_char;
    fn infomax_device_memory(index: c_int, bytes: *mut [u64; 5]) -> *mut c_char;
}

impl AutocastState {
    /// The state now.
    pub(super) fn now() -> Self {
        // SAFETY: reads values of this thread.
        unsafe { infomax_autocast_get() }
    }

    /// Puts this state in place.
    pub(super) fn set(self) {
        // SAFETY: sets values of this thread to what `now` or `with` made: devices and dtypes that libtorch knows.
        unsafe { infomax_autocast_set(self) }
    }

    fn with(self, device: Device, dtype: Kind) -> Self {
        let on_cuda = device.is_cuda();
        let number = match dtype {
            Kind::Half => 5,      // c10::ScalarType::Half
            Kind::BFloat16 => 15, // c10::ScalarType::BFloat16
            _ if on_cuda => return Self { cuda_enabled: 0, ..self },
            _ => return Self { cpu_enabled: 0, ..self },
        };
        if on_cuda {
            Self { cuda_enabled: 1, cuda_dtype: number, ..self }
        } else {
            Self { cpu_enabled: 1, cpu_dtype: number, ..self }
        }
    }
}

/// A region under autocast, or without it; the state before comes back when this is dropped, and casts of weights that
/// were kept for the region are let go.
#[must_use = "autocast ends when this is dropped"]
pub struct Autocast {
    before: AutocastState,
    /// The state belongs to this thread.
    thread: PhantomData<*const ()>,
}

impl Autocast {
    /// Begins a region on a device: products in `dtype`, f16 or bf16; in their own for any other kind.
    pub fn begin(device: Device, dtype: Kind) -> Self {
        let before = AutocastState::now();
        before.with(device, dtype).set();
        // SAFETY: counts regions of this thread; `drop` leaves this one.
        unsafe { infomax_autocast_enter() };
        Self { before, thread: PhantomData }
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: leaves the region that `begin` entered, on the same thread, as the type is not `Send`.
        unsafe { infomax_autocast_leave() };
        self.before.set();
    }
}

/// Lets f32 products on CUDA round their factors to 10 bits, or not: in cuBLAS and in cuDNN.
///
/// # Errors
/// libtorch's message.
pub fn set_tf32(allowed: bool) -> NativeResult<()> {
    // SAFETY: libtorch allows this at any time.
    check(unsafe { infomax_set_tf32(c_int::from(allowed)) })
}

/// Whether f32 products on CUDA may round their factors, in cuBLAS or in cuDNN.
pub fn tf32() -> bool {
    // SAFETY: reads a value of the process.
    unsafe { infomax_tf32() != 0 }
}

/// Makes every operation repeat its result to the bit, or fail where it can't. Call it before CUDA is first used.
///
/// # Errors
/// libtorch's message.
pub fn set_deterministic(wanted: bool) -> NativeResult<()> {
    // SAFETY: libtorch allows this at any time; the shim sets an environment variable only where it is missing.
    check(unsafe { infomax_set_deterministic(c_int::from(wanted)) })
}

/// Whether every operation must repeat its result to the bit.
pub fn deterministic() -> bool {
    // SAFETY: reads a value of the process.
    unsafe { infomax_deterministic() != 0 }
}

/// Divides f32 gradients by a scale, an f64 scalar on their device, in place. Gives an f32 scalar there: 1 where a number is
/// not finite.
///
/// # Errors
/// libtorch's message.
pub fn unscale(gradients: &[Tensor], scale: &Tensor) -> NativeResult<Tensor> {
    let list = pointers(gradients);
    let mut found: Pointer = std::ptr::null();
    // SAFETY: the list holds `len` live tensors; `found` outlives the call.
    check(unsafe { infomax_unscale(list.as_ptr(), list.len(), scale.as_ptr().cast(), &mut found) })?;
    // SAFETY: the shim has made a tensor for the caller, taken over once.
    Ok(unsafe { Tensor::from_ptr(found.cast_mut().cast()) })
}

/// How a loss scale moves.
#[derive(Clone, Copy, Debug)]
pub struct ScaleRule {
    pub backoff: f64,
    pub growth: f64,
    pub floor: f64,
    pub largest: f64,
    /// Steps without an overflow until it grows.
    pub every: f64,
}

/// Moves a loss scale after a step, on its device. `state`, f64: the scale, and the steps without an overflow since it last
/// changed. `overflowed` and `counts` are numbers there; nothing moves where `counts` is 0.
///
/// # Errors
/// libtorch's message.
pub fn move_scale(state: &Tensor, overflowed: &Tensor, counts: &Tensor, rule: ScaleRule) -> NativeResult<()> {
    let ScaleRule { backoff, growth, floor, largest, every } = rule;
    let [state, overflowed, counts] = [state, overflowed, counts].map(|tensor| tensor.as_ptr().cast());
    // SAFETY: the tensors are live.
    check(unsafe { infomax_move_scale(state, overflowed, counts, backoff, growth, floor, largest, every) })
}

/// Bytes on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// In tensors, now.
    pub allocated: u64,
    /// In tensors, at most since the start.
    pub peak: u64,
    /// Kept by libtorch's allocator.
    pub reserved: u64,
    /// Free on the device.
    pub free: u64,
    /// The device's memory in all.
    pub total: u64,
}

/// The memory of a CUDA device; none for a CPU.
///
/// # Errors
/// libtorch's message.
pub fn device_memory(device: Device) -> NativeResult<Option<DeviceMemory>> {
    let Device::Cuda(index) = device else { return Ok(None) };
    let mut bytes = [0; 5];
    // SAFETY: `bytes` has the five places that the shim fills, and outlives the call.
    check(unsafe { infomax_device_memory(index as c_int, &mut bytes) })?;
    let [allocated, peak, reserved, free, total] = bytes;
    Ok(Some(DeviceMemory { allocated, peak, reserved, free, total }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product_kind() -> Kind {
        let x = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
        x.mm(&x).kind()
    }

    #[test]
    fn autocast_acts_in_its_region_nests_and_comes_back() {
        assert_eq!(product_kind(), Kind::Float);
        let before = AutocastState::now();
        {
            let _outer = Autocast::begin(Device::Cpu, Kind::BFloat16);
            assert_eq!(product_kind(), Kind::BFloat16);
            {
                let _inner = Autocast::begin(Device::Cpu, Kind::Float);
                assert_eq!(product_kind(), Kind::Float);
            }
            let _half = Autocast::begin(Device::Cpu, Kind::Half);
            assert_eq!(product_kind(), Kind::Half);
        }
        assert_eq!(product_kind(), Kind::Float);
        assert_eq!(AutocastState::now(), before);
    }

    #[test]
    fn casts_of_weights_do_not_outlive_their_region() {
        let mut weight = Tensor::ones([2, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let x = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
        for (value, expected) in [(1.0, 2.0), (3.0, 6.0)] {
            let _ = tch::no_grad(|| weight.fill_(value));
            let _region = Autocast::begin(Device::Cpu, Kind::BFloat16);
            assert_eq!(x.mm(&weight).double_value(&[0, 0]), expected);
        }
    }

    #[test]
    fn plain_f32_turns_both_tf32_switches_off() {
        // cuDNN's is on by default.
        set_tf32(true).unwrap();
        assert!(tf32());
        set_tf32(false).unwrap();
        assert!(!tf32());
    }

    #[test]
    fn unscaling_divides_and_finds_what_is_not_finite() {
        let unscaled = |list: &[Tensor], scale: f64| unscale(list, &Tensor::from(scale)).unwrap().double_value(&[]);
        let good = Tensor::from_slice(&[2.0f32, -4.0]);
        let list = [good.shallow_clone(), Tensor::from_slice(&[8.0f32])];
        assert_eq!(unscaled(&list, 4.0), 0.0);
        assert_eq!(Vec::<f32>::try_from(&good).unwrap(), [0.5, -1.0]);
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            assert_eq!(unscaled(&[good.shallow_clone(), Tensor::from_slice(&[bad])], 2.0), 1.0, "{bad}");
        }
        assert_eq!(unscaled(&[], 2.0), 0.0);
    }
}
