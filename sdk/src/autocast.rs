//! Switching autocast off for a while. The host sets it around encoder and loss calls where mixed precision is asked for;
//! what must stay in f32 casts its inputs and works in here.

use std::marker::PhantomData;

/// c10::DeviceType's numbers: the devices that a host trains on.
const DEVICE_TYPES: [i8; 2] = [0, 1]; // CPU, CUDA

// at::autocast's own functions: tch's `autocast` knows CUDA alone.
unsafe extern "C" {
    #[link_name = "_ZN2at8autocast19is_autocast_enabledEN3c1010DeviceTypeE"]
    fn is_autocast_enabled(device_type: i8) -> bool;
    #[link_name = "_ZN2at8autocast20set_autocast_enabledEN3c1010DeviceTypeEb"]
    fn set_autocast_enabled(device_type: i8, enabled: bool);
}

/// Runs `work` without autocast on any device, so that products keep the dtype of their factors. The state before comes
/// back when it ends, by a panic too.
pub fn without_autocast<T>(work: impl FnOnce() -> T) -> T {
    let _off = Off::begin();
    work()
}

struct Off {
    before: [bool; DEVICE_TYPES.len()],
    /// The state belongs to this thread.
    thread: PhantomData<*const ()>,
}

impl Off {
    fn begin() -> Self {
        // SAFETY: libtorch's functions on values of this thread; a `DeviceType` is an i8, and it knows these two.
        let before = DEVICE_TYPES.map(|device_type| unsafe {
            let enabled = is_autocast_enabled(device_type);
            set_autocast_enabled(device_type, false);
            enabled
        });
        Self { before, thread: PhantomData }
    }
}

impl Drop for Off {
    fn drop(&mut self) {
        for (device_type, enabled) in DEVICE_TYPES.into_iter().zip(self.before) {
            // SAFETY: as in `begin`, on the same thread, as the type is not `Send`.
            unsafe { set_autocast_enabled(device_type, enabled) };
        }
    }
}
