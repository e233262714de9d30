//! The faults that are alike in every callback: panics and errors of libtorch.

use crate::config::{Callback, Fault, FaultyConfig};
use infomax_sdk::{
    Result,
    tch::{Kind, Tensor},
};

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
        let matrix = || Tensor::ones([2, 3], (Kind::Float, infomax_sdk::tch::Device::Cpu));
        match self.fault {
            Fault::Panic => panic!("{}", format!("faulty {callback:?}")),
            Fault::PanicWithNumber => std::panic::panic_any(17_u32),
            Fault::TorchError => drop(matrix().f_matmul(&matrix())?),
            Fault::TorchPanic => drop(matrix().matmul(&matrix())),
            Fault::Sleep => std::thread::sleep(std::time::Duration::from_millis(100)),
            Fault::Kill if self.step == 0 => self.kill(),
            Fault::Huge => drop(Tensor::f_zeros([1 << 38], (Kind::Float, infomax_sdk::tch::Device::Cpu))?),
            Fault::Globals => change_globals()?,
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

/// Changes what a process has once: libtorch's draws, threads and modes, the working directory, the locale, a signal's handler.
fn change_globals() -> Result<()> {
    use infomax_sdk::tch;
    tch::manual_seed(99);
    drop(Tensor::f_rand([7], (Kind::Float, tch::Device::Cpu))?);
    tch::set_num_threads(tch::get_num_threads() + 1);
    std::mem::forget(tch::no_grad_guard());
    leave_autocast_on();
    std::env::set_current_dir("/").expect("the root is there");
    // SAFETY: a locale that every C library has, and a handler that does nothing.
    unsafe {
        libc::setlocale(libc::LC_ALL, c"C.UTF-8".as_ptr());
        libc::signal(libc::SIGINT, libc::SIG_IGN);
    }
    Ok(())
}
