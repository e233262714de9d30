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
        if self.callback != callback {
            return Ok(());
        }
        let matrix = || Tensor::ones([2, 3], (Kind::Float, infomax_sdk::tch::Device::Cpu));
        match self.fault {
            Fault::Panic => panic!("{}", format!("faulty {callback:?}")),
            Fault::PanicWithNumber => std::panic::panic_any(17_u32),
            Fault::TorchError => drop(matrix().f_matmul(&matrix())?),
            Fault::TorchPanic => drop(matrix().matmul(&matrix())),
            _ => {}
        }
        Ok(())
    }

    /// As [`Self::trip`], in a callback that has no error to return.
    pub fn trip_hard(&self, callback: Callback) {
        self.trip(callback).unwrap_or_else(|error| panic!("{error}"));
    }
}
