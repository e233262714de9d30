//! The faults that are alike in every callback: panics and errors of libtorch.

use crate::{
    config::{Callback, Fault, FaultyConfig},
    left,
};
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
            Fault::TorchPanic => left::panic_in_libtorch(),
            Fault::Sleep => std::thread::sleep(std::time::Duration::from_millis(100)),
            Fault::Kill if self.step == 0 => self.kill(),
            Fault::Huge => drop(Tensor::zeros(1 << 38, Kind::F32, Device::Cpu)),
            Fault::Globals => left::change_globals(),
            Fault::Hang if !matches!(callback, Callback::Forward) => self.end(),
            _ => {}
        }
        Ok(())
    }

    /// Ends the process, or leaves it hanging, where the config says so; only once, where a file tells.
    pub fn end(&self) {
        if let Some(file) = &self.once {
            if file.exists() {
                return;
            }
            std::fs::write(file, "").expect("a folder to write to");
        }
        match self.fault {
            Fault::Exit => std::process::exit(0),
            Fault::Abort => std::process::abort(),
            Fault::Segfault => {
                // SAFETY: none: the address is in no page, which is the fault that is asked for.
                unsafe { std::ptr::dangling_mut::<u8>().write_volatile(1) };
            }
            Fault::Hang => std::thread::sleep(std::time::Duration::from_secs(600)),
            _ => {}
        }
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
