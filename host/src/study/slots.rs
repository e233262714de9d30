//! What cells run on: a GPU each, or a share of the cores.

use super::plan::Plan;
use crate::{
    config::{Device, Fault},
    error::{Error, Result},
    train::open_cuda,
};
use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where one cell at a time runs.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    /// As `train.device`; what the cell's config says where not given.
    pub device: Option<String>,
    /// Cores that the cell may use; all where there are none.
    pub cores: Vec<usize>,
    /// Keeps other drivers of this machine from those cores while it lives.
    _claims: Vec<Arc<File>>,
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
    let cores = crate::cores::cores();
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
    let claimed = if share > 0 { claim(&claims_folder(), &cores) } else { Vec::new() };
    let mut free = claimed.into_iter();
    let slot = |index: usize| {
        let own: Vec<(usize, Arc<File>)> = free.by_ref().take(share).collect();
        // Where another driver has the others, the system finds a core, and nobody is held to one that is taken.
        let own = if own.len() == share { own } else { Vec::new() };
        let (cores, claims) = own.into_iter().unzip();
        Slot { device: devices.get(index % devices.len().max(1)).cloned(), cores, _claims: claims }
    };
    Ok((0..count).map(slot).collect())
}

/// Where drivers of one user on this machine see one another's claims.
fn claims_folder() -> PathBuf {
    let shared = Path::new("/dev/shm");
    let folder = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    // SAFETY: the call has no preconditions.
    folder.join(format!("infomax-cores-{}", unsafe { libc::getuid() }))
}

/// Those of some cores that no other driver has claimed; the kernel ends a claim with its process. None where claims can't be
/// made.
fn claim(folder: &Path, cores: &[usize]) -> Vec<(usize, Arc<File>)> {
    let open = |core: &usize| {
        fs::create_dir_all(folder)?;
        let file = File::options().create(true).truncate(false).write(true).open(folder.join(core.to_string()))?;
        Ok((*core, file))
    };
    let files: std::io::Result<Vec<(usize, File)>> = cores.iter().map(open).collect();
    match files {
        Ok(files) => files
            .into_iter()
            .filter(|(_, file)| !matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
            .map(|(core, file)| (core, Arc::new(file)))
            .collect(),
        Err(error) => {
            log::warn!("cores can't be claimed in `{}`, cells are not held to any: {error}", folder.display());
            Vec::new()
        }
    }
}

fn gpus() -> Vec<String> {
    if open_cuda(Device::Auto).is_err() {
        return Vec::new();
    }
    (0..tch::Cuda::device_count().max(0)).map(|number| format!("cuda:{number}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_of_one_machine_claim_cores_apart() {
        let folder = tempfile::tempdir().unwrap();
        let cores = |claims: &[(usize, Arc<File>)]| claims.iter().map(|(core, _)| *core).collect::<Vec<_>>();
        let first = claim(folder.path(), &[0, 1]);
        let second = claim(folder.path(), &[0, 1, 2, 3]);
        assert_eq!((cores(&first), cores(&second)), (vec![0, 1], vec![2, 3]));
        drop(first);
        assert_eq!(cores(&claim(folder.path(), &[0, 1, 2])), [0, 1], "a claim ends with its driver");
        let nowhere = folder.path().join("file");
        fs::write(&nowhere, "").unwrap();
        assert_eq!(cores(&claim(&nowhere, &[0, 1])), [0usize; 0]);
    }
}
