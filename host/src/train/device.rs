//! Which device a run uses. libtorch's CUDA half is opened at run time, so that one build serves machines with and
//! without a GPU.

use crate::{
    config,
    error::{Error, Fault, Result},
};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::{env, path::Path, sync::OnceLock};
use tch::Device;

/// Opens libtorch's CUDA half where the config may use it. Call it before anything else of libtorch: CUDA hooks are
/// looked up once, at first use.
pub fn open_cuda(wanted: config::Device) -> Result<(), String> {
    static OPENED: OnceLock<Result<(), String>> = OnceLock::new();
    if wanted == config::Device::Cpu || !Path::new("/proc/driver/nvidia").exists() && wanted == config::Device::Auto {
        return Ok(());
    }
    let open = || {
        // SAFETY: libtorch's own library; its constructors register the CUDA backend.
        let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) };
        library.map(std::mem::forget).map_err(|error| error.to_string())
    };
    OPENED.get_or_init(open).clone()
}

/// The device that a config asks for; `local_rank` counts the processes of this machine, which get a GPU each.
///
/// # Errors
/// CUDA that isn't there, or fewer GPUs than processes.
pub fn resolve_device(wanted: config::Device, local_rank: usize) -> Result<Device> {
    let opened = open_cuda(wanted);
    let count = if opened.is_ok() && wanted != config::Device::Cpu { tch::Cuda::device_count() as usize } else { 0 };
    let Some(number) = gpu(wanted, local_rank, count) else { return Ok(Device::Cpu) };
    if number < count {
        return Ok(Device::Cuda(number));
    }
    let visible =
        env::var("CUDA_VISIBLE_DEVICES").map(|v| format!(" (CUDA_VISIBLE_DEVICES is `{v}`)")).unwrap_or_default();
    let message = match local_rank {
        0 => format!("`train.device` is `{wanted}`, but {count} CUDA devices can be used{visible}"),
        rank => format!("process {rank} of this machine has no GPU: {count} CUDA devices can be used{visible}"),
    };
    let fault = match opened {
        Err(reason) => Fault::new(message).at(reason).hint("install libtorch's CUDA half with `cargo setup --cuda`"),
        Ok(()) if local_rank > 0 => {
            Fault::new(message).hint("start one process per GPU with `--nproc`, or name one GPU for all as `cuda:0`")
        }
        Ok(()) => Fault::new(message).hint("choose `cpu`, or check the driver with `nvidia-smi`"),
    };
    Err(Error::config(fault))
}

/// The GPU that a process gets of `count`, which may be one too many; none for the CPU.
fn gpu(wanted: config::Device, local_rank: usize, count: usize) -> Option<usize> {
    match wanted {
        config::Device::Cpu => None,
        config::Device::Auto if count == 0 => None,
        config::Device::Auto | config::Device::Cuda(None) => Some(local_rank),
        config::Device::Cuda(Some(number)) => Some(number),
    }
}

/// A device as requests to components name it.
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        _ => "cpu".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r12_each_process_gets_a_gpu_of_its_own_or_the_named_one() {
        let auto = config::Device::Auto;
        assert_eq!([0, 1, 2].map(|rank| gpu(auto, rank, 2)), [Some(0), Some(1), Some(2)], "the third is one too many");
        assert_eq!(gpu(auto, 1, 0), None);
        assert_eq!(gpu(config::Device::Cuda(None), 0, 0), Some(0), "which isn't there");
        assert_eq!([0, 1].map(|rank| gpu(config::Device::Cuda(Some(3)), rank, 4)), [Some(3); 2]);
        assert_eq!(gpu(config::Device::Cpu, 1, 8), None);
    }
}
