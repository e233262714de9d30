//! The faults that are alike in every callback: panics and errors of libtorch.

use crate::config::{Callback, Fault, FaultyConfig};
use infomax_sdk::{Device, Kind, Result, Tensor};

impl FaultyConfig {
    /// Whether this callback has this fault.
    pub fn has(&self, callback: Callback, fault: Fault) -> bool {
        self.callback == callback && self.fault == fault
    }

    /// Panics or fails where the config says so.
    pub fn trip(&self, callback: Callback) -> Result<()> {
        if self.callback != callback || !self.is_this_rank() {
            return Ok(());
        }
        match self.fault {
            Fault::Panic => panic!("{}", format!("faulty {callback:?}")),
            Fault::PanicWithNumber => std::panic::panic_any(17_u32),
            Fault::TorchError => {
                let matrix = Tensor::ones([2, 3], Kind::F32, Device::Cpu);
                drop(matrix.matmul(&matrix));
            }
            Fault::TorchPanic => {
                let matrix = tch::Tensor::ones([2, 3], (tch::Kind::Float, tch::Device::Cpu));
                drop(matrix.matmul(&matrix));
            }
            Fault::Sleep => std::thread::sleep(std::time::Duration::from_millis(100)),
            Fault::Kill if self.step == 0 => self.kill(),
            _ => {}
        }
        Ok(())
    }

    /// Whether the fault belongs to this process.
    pub fn is_this_rank(&self) -> bool {
        let rank = std::env::var("RANK").ok().and_then(|rank| rank.parse().ok()).unwrap_or(0);
        self.rank.is_none_or(|wanted| wanted == rank)
    }

    /// Ends the process without a word.
    pub fn kill(&self) {
        if let Some(file) = &self.once {
            if file.exists() {
                return;
            }
            std::fs::write(file, "").expect("a folder to write to");
        }
        let _ = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
        std::thread::sleep(std::time::Duration::from_secs(60));
    }

    /// As [`Self::trip`], in a callback that has no error to return.
    pub fn trip_hard(&self, callback: Callback) {
        self.trip(callback).unwrap_or_else(|error| panic!("{error}"));
    }
}

// at::autocast's own function: tch can't switch autocast on for a CPU.
unsafe extern "C" {
    #[link_name = "_ZN2at8autocast20set_autocast_enabledEN3c1010DeviceTypeEb"]
    fn set_autocast_enabled(device_type: i8, enabled: bool);
}

/// Switches autocast on for the CPU and leaves it so.
pub fn leave_autocast_on() {
    // SAFETY: sets a value of this thread; 0 is c10::DeviceType::CPU, an i8.
    unsafe { set_autocast_enabled(0, true) };
}

/// A tensor that holds nothing at all.
pub fn undefined() -> Tensor {
    let empty = std::mem::ManuallyDrop::new(tch::Tensor::new());
    // SAFETY: the handle is live, and given up by its owner.
    unsafe { Tensor::from_handle(empty.as_ptr().cast_mut().cast()) }
}
