//! In which number format a run computes: decided from the config and the device before anything is allocated.

use crate::{
    config::{Precision, Products, Train},
    error::{Error, Fault, Result},
    native::{
        precision::{Autocast, set_deterministic, set_tf32},
        processor::has_bf16,
        products,
    },
};
use tch::{Device, Kind};

/// A processor that emulates bf16, in words.
pub const WITHOUT_BF16: &str = "a CPU without bf16 instructions (AVX512-BF16 or AMX)";
/// 121 images/s in f32 against 13.6 in bf16: ndf 32 of 32 px on two cores of an AVX2 machine.
pub const SLOWER: u32 = 9;

/// A device and the number format of its products. Parameters, running statistics, the optimizer's state and checkpoints
/// are f32 in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arithmetic {
    device: Device,
    precision: Precision,
}

impl Arithmetic {
    /// A precision on a device.
    ///
    /// # Errors
    /// A precision that the device doesn't have.
    pub fn new(precision: Precision, device: Device) -> Result<Self> {
        if precision == Precision::Tf32 && !device.is_cuda() {
            let message = "`train.precision` = `tf32` is a format of NVIDIA GPUs, but the device is the CPU";
            return Err(Error::config(Fault::new(message).hint("use `bf16` or `f32`, or a GPU: `train.device`")));
        }
        Ok(Self { device, precision })
    }

    /// f32 on a device.
    pub fn plain(device: Device) -> Self {
        Self { device, precision: Precision::F32 }
    }

    /// What `--amp` means on a device, as published: f16 on a GPU; on a CPU, which has no fast f16, bf16 where it has
    /// instructions for that, and f32 otherwise.
    pub fn of_amp(device: Device) -> Precision {
        match device.is_cuda() {
            true => Precision::F16,
            false if has_bf16() => Precision::Bf16,
            false => Precision::F32,
        }
    }

    /// Sets libtorch's switches, which hold for the whole process, and says what a user may not expect.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn prepare(&self, train: &Train) -> Result<()> {
        self.switch()?;
        choose_products(train.products)?;
        set_deterministic(train.deterministic).map_err(Error::native("choose deterministic algorithms"))?;
        if self.scales_loss() && !self.device.is_cuda() {
            log::warn!("`train.precision` = `f16` is slow on a CPU: libtorch has no fast products for it; `bf16` has");
        }
        if self.precision == Precision::Bf16 && !self.device.is_cuda() && !has_bf16() {
            log::warn!(
                "`train.precision` = `bf16` on {WITHOUT_BF16} is about {SLOWER} times as slow as `f32`: its products are emulated"
            );
        }
        Ok(())
    }

    /// Sets what number format products of f32 numbers may use, for the whole process.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn switch(&self) -> Result<()> {
        // Plain f32 turns TF32 off too: cuDNN would use it by default.
        set_tf32(self.precision == Precision::Tf32).map_err(Error::native("choose the precision"))
    }

    /// The autocast dtype; f32 without mixed precision.
    pub fn dtype(&self) -> Kind {
        match self.precision {
            Precision::F32 | Precision::Tf32 => Kind::Float,
            Precision::F16 => Kind::Half,
            Precision::Bf16 => Kind::BFloat16,
        }
    }

    /// Whether gradients could vanish without loss scaling.
    pub fn scales_loss(&self) -> bool {
        self.precision == Precision::F16
    }

    /// Begins mixed precision; none without it.
    pub fn begin(&self) -> Option<Autocast> {
        let mixed = self.dtype() != Kind::Float;
        mixed.then(|| Autocast::begin(self.device, self.dtype()))
    }
}

/// Sets which library multiplies matrices on the CPU, for the whole process.
///
/// # Errors
/// One that this processor can't run.
pub fn choose_products(products: Products) -> Result<()> {
    if products == Products::Onednn && !products::has_onednn() {
        let message = "`train.products` = `onednn` needs a processor with AVX-512, which this one lacks";
        return Err(Error::config(Fault::new(message).hint("leave it out, or use `auto` or `mkl`")));
    }
    products::choose(products);
    Ok(())
}

impl Default for Arithmetic {
    /// f32 on a CPU.
    fn default() -> Self {
        Self { device: Device::Cpu, precision: Precision::F32 }
    }
}
