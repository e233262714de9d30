//! Which device a run uses. libtorch's CUDA half is opened at run time, so that one build serves machines with and
//! without a GPU.

use crate::{
    config,
    console::note,
    cores::machine,
    error::{Error, Fault, Result},
};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::{
    env,
    path::Path,
    sync::{Once, OnceLock},
};
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
        library.map(std::mem::forget).map_err(|error| reason(&error))
    };
    OPENED.get_or_init(open).clone()
}

/// What an error says, with what lies behind it: the linker's own words, which name the file that is missing.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(source) = behind {
        text = format!("{text}: {source}");
        behind = source.source();
    }
    text
}

/// The device that a config asks for; `local_rank` counts the processes of this machine, which get a GPU each. A process that
/// sees a single GPU takes that one: its launcher has given it its own.
///
/// # Errors
/// CUDA that isn't there, or fewer GPUs than processes.
pub fn resolve_device(wanted: config::Device, local_rank: usize) -> Result<Device> {
    let opened = open_cuda(wanted);
    let count = if opened.is_ok() && wanted != config::Device::Cpu { tch::Cuda::device_count() as usize } else { 0 };
    if let (config::Device::Auto, Err(reason)) = (wanted, &opened) {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            note(format!(
                "there is an NVIDIA driver, but libtorch's CUDA half can't be opened, so the CPU is used: {reason}; \
                 `cargo setup --cuda` installs it, `infomax doctor` says more"
            ));
        });
    }
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
        config::Device::Auto | config::Device::Cuda(None) if count == 1 => Some(0),
        config::Device::Auto | config::Device::Cuda(None) => Some(local_rank),
        config::Device::Cuda(Some(number)) => Some(number),
    }
}

/// A name of a GPU that no other one has: its UUID from the driver, or else the machine with the number that it has there.
pub fn gpu_identity(number: usize) -> String {
    uuid(number).unwrap_or_else(|| {
        let visible = env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
        let name = visible.split(',').nth(number).map(str::trim).filter(|name| !name.is_empty());
        format!("{}:{}", machine(), name.map_or_else(|| number.to_string(), str::to_owned))
    })
}

/// What the driver says; a part of a GPU (MIG) has a UUID of its own.
fn uuid(number: usize) -> Option<String> {
    type Init = unsafe extern "C" fn(u32) -> i32;
    type Get = unsafe extern "C" fn(*mut i32, i32) -> i32;
    type GetUuid = unsafe extern "C" fn(*mut [u8; 16], i32) -> i32;
    // SAFETY: the driver's own library, which libtorch's CUDA half has loaded; it stays loaded.
    let library = unsafe { Library::open(Some("libcuda.so.1"), RTLD_NOW) }.ok()?;
    // SAFETY: the driver's interface gives these functions these types.
    let (init, get) = unsafe { (*library.get::<Init>(b"cuInit").ok()?, *library.get::<Get>(b"cuDeviceGet").ok()?) };
    // SAFETY: as above; both names have the same type.
    let get_uuid =
        unsafe { library.get::<GetUuid>(b"cuDeviceGetUuid_v2").or_else(|_| library.get(b"cuDeviceGetUuid")) };
    let get_uuid = *get_uuid.ok()?;
    let (mut device, mut uuid) = (0, [0; 16]);
    // SAFETY: the out-parameters outlive the calls and have the sizes that the driver writes.
    let done = unsafe {
        init(0) == 0 && get(&raw mut device, i32::try_from(number).ok()?) == 0 && get_uuid(&raw mut uuid, device) == 0
    };
    std::mem::forget(library);
    done.then(|| uuid.iter().map(|byte| format!("{byte:02x}")).collect())
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
    fn why_a_library_can_t_be_opened_is_told() {
        // SAFETY: there is no such library, so that none of its code runs.
        let error = unsafe { Library::open(Some("libnowhere-to-be-found.so"), RTLD_NOW) }.unwrap_err();
        let told = reason(&error);
        assert!(told.contains("libnowhere-to-be-found.so") && told.contains("No such file"), "{told}");
    }

    #[test]
    fn r12_each_process_gets_a_gpu_of_its_own_or_the_named_one() {
        let auto = config::Device::Auto;
        assert_eq!([0, 1, 2].map(|rank| gpu(auto, rank, 2)), [Some(0), Some(1), Some(2)], "the third is one too many");
        assert_eq!(gpu(auto, 1, 0), None);
        assert_eq!([0, 1].map(|rank| gpu(auto, rank, 1)), [Some(0); 2], "the one that the launcher left visible");
        assert_eq!(gpu(config::Device::Cuda(None), 0, 0), Some(0), "which isn't there");
        assert_eq!([0, 1].map(|rank| gpu(config::Device::Cuda(Some(3)), rank, 4)), [Some(3); 2]);
        assert_eq!(gpu(config::Device::Cpu, 1, 8), None);
    }
}
