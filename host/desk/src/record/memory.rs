//! How much memory a process has held at most.

use serde::{Deserialize, Serialize};

/// The most memory that a process has held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Resident, on the machine; 0 where the system does not tell.
    pub process_bytes: u64,
    /// Allocated on its GPU by libtorch; none where it trained on the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_bytes: Option<u64>,
}

impl Memory {
    /// Of this process, and what its GPU has held at most.
    pub fn of_this_process(device_bytes: Option<u64>) -> Self {
        Self { process_bytes: peak_resident_bytes().unwrap_or(0), device_bytes }
    }

    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            process_bytes: self.process_bytes.max(other.process_bytes),
            device_bytes: self.device_bytes.max(other.device_bytes),
        }
    }
}

/// The most memory that this process has held resident.
pub fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib << 10)
}

/// Memory of this process that is in no file: what files are mapped comes and goes.
pub fn held_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split(' ').skip(1).map_while(|field| field.parse::<u64>().ok());
    let (resident, shared) = (pages.next()?, pages.next()?);
    // SAFETY: asks for a constant of the system.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(resident.saturating_sub(shared) * page.max(1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_held_is_counted() {
        let before = peak_resident_bytes().unwrap();
        let held = vec![1_u8; 256 << 20];
        assert!(held.iter().map(|&byte| u64::from(byte)).sum::<u64>() == 256 << 20);
        let memory = Memory::of_this_process(None);
        assert!(memory.process_bytes >= before.max(256 << 20), "{memory:?}, before {before}");
        assert_eq!(memory.device_bytes, None);
    }

    #[test]
    fn the_larger_of_each_counts() {
        let (a, b) =
            (Memory { process_bytes: 5, device_bytes: None }, Memory { process_bytes: 3, device_bytes: Some(7) });
        assert_eq!(a.max(b), Memory { process_bytes: 5, device_bytes: Some(7) });
    }
}
