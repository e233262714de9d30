//! Linear layers and LayerNorm over the channels of tokens.
//!
//! Shapes: … any · C, O channels in and out.

use crate::initial::{constant, normal};
use infomax_sdk::Names;
use tch::{Device, TchError, Tensor};

const STD: f64 = 0.02; // timm's init_weights_vit_timm
const EPS: f64 = 1e-6; // timm's VisionTransformer

/// … × C to … × O, with bias.
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    pub fn new(c: i64, o: i64, device: Device) -> Result<Self, TchError> {
        Ok(Self { weight: normal(&[o, c], STD, device)?, bias: constant(&[o], 0.0, device)? })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&self.weight, Some(&self.bias))
    }

    pub fn name(&self, mut names: Names<'_>) {
        names.parameter("weight", &self.weight);
        names.parameter("bias", &self.bias);
    }
}

/// Normalises each token.
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    pub fn new(c: i64, device: Device) -> Result<Self, TchError> {
        Ok(Self { weight: constant(&[c], 1.0, device)?, bias: constant(&[c], 0.0, device)? })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), EPS, true)
    }

    pub fn name(&self, mut names: Names<'_>) {
        names.parameter("weight", &self.weight);
        names.parameter("bias", &self.bias);
    }
}
