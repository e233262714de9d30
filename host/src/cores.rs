//! The cores that this process may use, as the system numbers them.

use std::{fs, thread};

/// The cores that this process may use; at least one.
pub fn cores() -> Vec<usize> {
    // SAFETY: an all-zero set is valid, and the call writes at most its size.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let result = libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set);
        (result == 0).then_some(set)
    };
    // SAFETY: the index is below the set's size.
    let has = |set: &libc::cpu_set_t, core: usize| unsafe { libc::CPU_ISSET(core, set) };
    let listed = set.map(|set| (0..libc::CPU_SETSIZE as usize).filter(|&core| has(&set, core)).collect::<Vec<_>>());
    let listed = listed.filter(|cores| !cores.is_empty());
    listed.unwrap_or_else(|| (0..thread::available_parallelism().map_or(1, std::num::NonZero::get)).collect())
}

/// How many cores are a process's own where others share some of them: `mine` its cores, `all` those of every process of the
/// machine, itself among them. At least one. Processes that a launcher has bound apart share nothing.
pub fn share(mine: &[usize], all: &[&[usize]]) -> usize {
    let part = |core: &usize| 1.0 / all.iter().filter(|cores| cores.contains(core)).count().max(1) as f64;
    ((mine.iter().map(part).sum::<f64>() + 1e-9) as usize).max(1)
}

/// The machine, also where containers and network namespaces give it several names.
pub fn machine() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map_or_else(|_| crate::record::host_name(), |id| id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_shared_once_and_bound_processes_keep_theirs() {
        let all: Vec<usize> = (0..8).collect();
        assert_eq!(share(&all, &[&all, &all]), 4);
        assert_eq!(share(&all, &[&all, &all, &all]), 2);
        assert_eq!(share(&all[..4], &[&all[..4], &all[4..]]), 4, "bound apart");
        assert_eq!(share(&all[..1], &[&all[..1]; 4]), 1, "never none");
        assert_eq!(share(&all, &[&all]), 8);
        assert!(!cores().is_empty() && !machine().is_empty());
    }
}
