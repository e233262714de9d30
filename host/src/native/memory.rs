//! Where large tensors of the CPU lie, and how much memory is free where tensors lie.

use super::precision::device_memory;
use std::fs;
use tch::Device;

unsafe extern "C" {
    fn infomax_keep_large_tensors_apart();
    fn infomax_let_freed_memory_go();
}

/// Gives the CPU's large tensors a range of addresses of their own from now on, where what is freed serves the next step. Call it
/// before there are tensors and threads.
pub fn keep_large_tensors_apart() {
    // SAFETY: sets libtorch's allocator, which it allows before other threads use it; memory of the former one is freed by it.
    unsafe { infomax_keep_large_tensors_apart() }
}

/// Gives memory that large tensors have left to the system, as the C library does with its own.
pub fn let_freed_memory_go() {
    // SAFETY: parts that no tensor has lose what stood in them, which nobody reads; the C library looks after its own heap.
    unsafe {
        infomax_let_freed_memory_go();
        #[cfg(target_env = "gnu")]
        libc::malloc_trim(0);
    }
}

const KIB: u64 = 1 << 10;

/// Bytes that are free on a device, or, for the CPU, that the system can give away; none where nobody knows.
pub fn free_bytes(device: Device) -> Option<u64> {
    if device.is_cuda() {
        let memory = device_memory(device).ok()??;
        return Some(memory.free + memory.reserved.saturating_sub(memory.allocated));
    }
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * KIB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use tch::{Kind, Tensor};

    const MIB: i64 = 1 << 20;

    /// Places are looked at, which another test's tensors would take.
    fn alone() -> MutexGuard<'static, ()> {
        static PLACES: Mutex<()> = Mutex::new(());
        let alone = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        keep_large_tensors_apart();
        alone
    }

    fn bytes(count: i64, value: i64) -> Tensor {
        Tensor::full([count], value, (Kind::Uint8, Device::Cpu))
    }

    /// Tensors of many sizes come and go, small ones among them; each keeps its numbers until it goes.
    #[test]
    fn large_tensors_do_not_touch_one_another() {
        let _alone = alone();
        let mut held: Vec<(Tensor, i64)> = Vec::new();
        let mut state = 7_u64;
        for round in 0..2000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (chance, size) = ((state >> 33) as i64, 1 + ((state >> 40) as i64) % (3 * MIB));
            if held.len() > 20 || (chance % 3 == 0 && !held.is_empty()) {
                let (tensor, value) = held.swap_remove(chance as usize % held.len());
                let (least, most) = (tensor.min().int64_value(&[]), tensor.max().int64_value(&[]));
                assert_eq!((least, most), (value, value), "round {round}: {} bytes", tensor.numel());
            } else {
                held.push((bytes(size, round % 251), round % 251));
            }
        }
    }

    #[test]
    fn what_is_freed_is_joined_and_serves_again() {
        let _alone = alone();
        // Of a size that nothing else in this process has, so that nobody takes the places meanwhile.
        let parts = [64 * MIB, 64 * MIB].map(|size| Tensor::empty([size], (Kind::Uint8, Device::Cpu)));
        let places = parts.each_ref().map(|tensor| tensor.data_ptr() as usize);
        drop(parts);
        let whole = Tensor::empty([128 * MIB], (Kind::Uint8, Device::Cpu));
        assert!(places.contains(&(whole.data_ptr() as usize)), "both places as one: {places:x?}");
    }

    #[test]
    fn more_than_the_machine_has_is_an_error() {
        let _alone = alone();
        let error = Tensor::f_empty([1 << 60], (Kind::Uint8, Device::Cpu)).unwrap_err().to_string();
        assert!(error.contains("allocate memory"), "{error}");
    }
}
