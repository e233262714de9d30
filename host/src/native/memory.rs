//! How much memory is free where tensors lie.

use super::precision::device_memory;
use std::fs;
use tch::Device;

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
