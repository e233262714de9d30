//! BatchNorm over images and locations of one view.

use crate::initial::constant;
use infomax_sdk::{Mode, Names};
use tch::{Device, Kind, TchError, Tensor};

const MOMENTUM: f64 = 0.1; // PyTorch's default for BatchNorm
const EPS: f64 = 1e-5; // PyTorch's default for BatchNorm

/// BatchNorm with scale and shift.
pub struct Norm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    batches: Tensor,
}

impl Norm {
    /// Scale 1 and shift 0.
    pub fn new(channels: i64, device: Device) -> Result<Self, TchError> {
        Self::scaled(channels, 1.0, device)
    }

    /// The same with another scale.
    pub fn scaled(channels: i64, scale: f64, device: Device) -> Result<Self, TchError> {
        let float = (Kind::Float, device);
        Ok(Self {
            weight: constant(&[channels], scale, device)?,
            bias: constant(&[channels], 0.0, device)?,
            running_mean: Tensor::f_zeros([channels], float)?,
            running_var: Tensor::f_ones([channels], float)?,
            batches: Tensor::f_zeros([0i64; 0], (Kind::Int64, device))?,
        })
    }

    /// Normalises one view by its own statistics, or by the running ones where the mode is `Evaluate`.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let by_batch = mode != Mode::Evaluate;
        let keep = by_batch && mode != Mode::TrainFrozenStatistics;
        let running = (keep || !by_batch).then_some((&self.running_mean, &self.running_var));
        let (mean, var) = running.unzip();
        let y = x.f_batch_norm(Some(&self.weight), Some(&self.bias), mean, var, by_batch, MOMENTUM, EPS, true)?;
        if keep {
            let _ = self.batches.shallow_clone().f_add_scalar_(1)?;
        }
        Ok(y)
    }

    pub fn name(&self, mut names: Names<'_>) {
        names.parameter("weight", &self.weight);
        names.parameter("bias", &self.bias);
        names.buffer("running_mean", &self.running_mean);
        names.buffer("running_var", &self.running_var);
        names.buffer("num_batches_tracked", &self.batches);
    }
}
