//! SwAV's prototypes and the codes that they give.
//!
//! Shapes: B images · D numbers of a projection · K prototypes.

use crate::{
    mlp::{linear, linear_weight},
    precision::normalised,
};
use infomax_sdk::{NamedTensor, Result};
use tch::{Device, Tensor};

/// Unit vectors that images are assigned to.
pub struct Prototypes {
    /// K × D.
    weight: Tensor,
}

impl Prototypes {
    /// Fresh prototypes, as PyTorch draws a linear layer, normalised.
    pub fn new(count: i64, size: i64, device: Device) -> Result<Self> {
        let mut prototypes = Self { weight: linear_weight(count, size, device)? };
        prototypes.normalise()?;
        Ok(prototypes)
    }

    /// Makes them unit vectors again, in place.
    pub fn normalise(&mut self) -> Result<()> {
        tch::no_grad(|| {
            let unit_kd = normalised(&self.weight)?;
            Ok(self.weight.f_copy_(&unit_kd)?)
        })
    }

    /// Cosines with each prototype; without a gradient for the prototypes where they are frozen.
    ///
    /// # Shapes
    /// From B × D to B × K.
    pub fn scores(&self, z_bd: &Tensor, frozen: bool) -> Result<Tensor> {
        let weight_kd = if frozen { self.weight.f_detach()? } else { self.weight.shallow_clone() };
        linear(&normalised(z_bd)?, &weight_kd, None)
    }

    /// `prototypes.weight`.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        vec![NamedTensor::parameter("prototypes.weight", &self.weight)]
    }
}

/// Codes that use all prototypes equally and sum to 1 for each image, by Sinkhorn and Knopp's algorithm. It runs on
/// logarithms, so that no ε makes a prototype's share vanish.
///
/// # Shapes
/// From scores B × K to codes B × K, without gradient.
///
/// # Source
/// Caron et al. 2020, arXiv:2006.09882, section 3.1 and the pseudocode in appendix A.
pub fn codes(scores_bk: &Tensor, epsilon: f64, iterations: u32) -> Result<Tensor> {
    tch::no_grad(|| {
        let mut log_bk = scores_bk.f_detach()?.f_divide_scalar(epsilon)?;
        for _ in 0..iterations {
            log_bk = log_bk.f_sub(&log_bk.f_logsumexp(&[0i64][..], true)?)?; // the same for each prototype
            log_bk = log_bk.f_sub(&log_bk.f_logsumexp(&[1i64][..], true)?)?; // the same for each image
        }
        Ok(log_bk.f_exp()?)
    })
}
