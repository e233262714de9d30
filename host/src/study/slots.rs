//! What cells run on: a GPU each, or a share of the cores.

use super::plan::Plan;
use crate::{
    config::{Device, Fault},
    error::{Error, Result},
    train::open_cuda,
};
use std::thread;

/// Where one cell at a time runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// As `train.device`; what the cell's config says where not given.
    pub device: Option<String>,
    /// Cores that the cell may use; all where there are none.
    pub cores: Vec<usize>,
}

/// The slots of this machine for a plan: as asked for, or a slot for each GPU, or for each set of cores that a cell's threads fill.
///
/// # Errors
/// Devices that are none.
pub fn slots(plan: &Plan, workers: Option<usize>, devices: &[String]) -> Result<Vec<Slot>> {
    for device in devices {
        serde_json::from_value::<Device>(device.as_str().into()).map_err(|_| {
            let fault = Fault::new(format!("`--devices {device}` is no device"));
            Error::config(fault.hint("name devices as in `--devices cuda:0,cuda:1`, or `cpu`"))
        })?;
    }
    let ready = || plan.cells.iter().filter_map(|cell| cell.ready.as_ref().ok());
    let gpus = if devices.is_empty() && ready().any(|cell| cell.may_use_gpu) { gpus() } else { Vec::new() };
    let devices = if devices.is_empty() { gpus } else { devices.to_vec() };
    let cores = cores();
    let count = workers.unwrap_or_else(|| {
        if ready().any(|cell| cell.processes > 1) {
            1 // such a cell takes all there is
        } else if !devices.is_empty() {
            devices.len()
        } else {
            let threads = ready().map(|cell| cell.threads as usize).map(|n| if n == 0 { cores.len() } else { n }).max();
            (cores.len() / threads.unwrap_or(1).max(1)).max(1)
        }
    });
    let share = if count > 1 { cores.len() / count } else { 0 };
    let slot = |index: usize| Slot {
        device: devices.get(index % devices.len().max(1)).cloned(),
        cores: cores.iter().skip(index * share).take(share).copied().collect(),
    };
    Ok((0..count).map(slot).collect())
}

fn gpus() -> Vec<String> {
    if open_cuda(Device::Auto).is_err() {
        return Vec::new();
    }
    (0..tch::Cuda::device_count().max(0)).map(|number| format!("cuda:{number}")).collect()
}

/// The cores that this process may use.
fn cores() -> Vec<usize> {
    // SAFETY: an all-zero set is valid, and the call writes at most its size.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let result = libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set);
        (result == 0).then_some(set)
    };
    // SAFETY: the index is below the set's size.
    let has = |set: &libc::cpu_set_t, core: usize| unsafe { libc::CPU_ISSET(core, set) };
    let listed = set.map(|set| (0..libc::CPU_SETSIZE as usize).filter(|&core| has(&set, core)).collect::<Vec<_>>());
    listed
        .filter(|cores| !cores.is_empty())
        .unwrap_or_else(|| (0..thread::available_parallelism().map_or(1, std::num::NonZero::get)).collect())
}
