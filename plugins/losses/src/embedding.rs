//! Deep InfoMax's embedding of features: two layers beside a linear shortcut that starts near the identity.
//!
//! Shapes: N rows · C channels in · D numbers out.

use crate::mlp::{Mlp, MlpPlan, as_wide, linear, unit_affine};
use infomax_sdk::{NamedTensor, Result};
use tch::{Device, Kind, Tensor};

const SHORTCUT_NOISE: f64 = 0.01; // Deep InfoMax's published code: uniform in ±0.01 beside the ones
const NORM_EPS: f64 = 1e-5; // PyTorch's default for LayerNorm

/// The plan of an embedding.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddingPlan {
    /// C.
    pub channels: i64,
    /// Width of the hidden layer.
    pub hidden: u32,
    /// D.
    pub dim: u32,
    /// Layer norm at the end.
    pub layer_norm: bool,
}

impl EmbeddingPlan {
    fn nonlinear(&self) -> MlpPlan {
        MlpPlan { bias_before_norm: false, ..MlpPlan::new(self.channels, self.hidden, self.dim, 2) }
    }

    /// How many numbers are trained.
    pub fn parameter_count(&self) -> u64 {
        let norm = if self.layer_norm { 2 * u64::from(self.dim) } else { 0 };
        self.nonlinear().parameter_count() + self.channels as u64 * u64::from(self.dim) + norm
    }
}

/// An embedding.
pub struct Embedding {
    nonlinear: Mlp,
    /// D × C.
    shortcut: Tensor,
    norm: Option<(Tensor, Tensor)>,
}

impl Embedding {
    /// Fresh weights.
    pub fn new(plan: &EmbeddingPlan, device: Device) -> Result<Self> {
        let (d, c) = (i64::from(plan.dim), plan.channels);
        let noise_dc = Tensor::f_empty([d, c], (Kind::Float, device))?.f_uniform_(-SHORTCUT_NOISE, SHORTCUT_NOISE)?;
        let identity_dc = Tensor::f_eye_m(d, c, (Kind::Bool, device))?;
        Ok(Self {
            nonlinear: Mlp::new(&plan.nonlinear(), device)?,
            shortcut: noise_dc.f_masked_fill(&identity_dc, 1.0)?.f_set_requires_grad(true)?,
            norm: plan.layer_norm.then(|| unit_affine(d, device)).transpose()?,
        })
    }

    /// # Shapes
    /// From N × C to N × D.
    pub fn forward(&self, x_nc: &Tensor) -> Result<Tensor> {
        let sum_nd = self.nonlinear.forward(x_nc)?.f_add(&linear(x_nc, &self.shortcut, None)?)?;
        let Some((scale, shift)) = &self.norm else { return Ok(sum_nd) };
        let d = sum_nd.size()[1];
        Ok(sum_nd.f_layer_norm([d], Some(as_wide(scale, &sum_nd)?), Some(as_wide(shift, &sum_nd)?), NORM_EPS, true)?)
    }

    /// `<name>.nonlinear.…`, `<name>.shortcut.weight` and `<name>.norm.…`.
    pub fn parameters(&self, name: &str) -> Vec<NamedTensor> {
        let mut list = self.nonlinear.parameters(&format!("{name}.nonlinear"));
        list.push(NamedTensor::parameter(format!("{name}.shortcut.weight"), &self.shortcut));
        if let Some((scale, shift)) = &self.norm {
            list.push(NamedTensor::parameter(format!("{name}.norm.weight"), scale));
            list.push(NamedTensor::parameter(format!("{name}.norm.bias"), shift));
        }
        list
    }
}
