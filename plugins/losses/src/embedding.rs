//! Deep InfoMax's embedding of features: two layers beside a linear shortcut that starts near the identity.
//!
//! Shapes: N rows · C channels in · D numbers out.

use infomax_sdk::{
    Device, Kind, Tensor, named,
    nn::{LayerNorm, Linear, Mlp, MlpPlan, init},
};

const SHORTCUT_NOISE: f64 = 0.01; // Deep InfoMax's published code: uniform in ±0.01 beside the ones

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
    shortcut: Linear,
    norm: Option<LayerNorm>,
}

named!(Embedding { nonlinear, shortcut, norm });

impl Embedding {
    /// Fresh weights.
    pub fn new(plan: &EmbeddingPlan, device: Device) -> Self {
        let (d, c) = (i64::from(plan.dim), plan.channels);
        let noise_dc = init::uniform(&[d, c], SHORTCUT_NOISE, device);
        let shortcut = noise_dc.masked_fill(&Tensor::eye(d, c, Kind::Bool, device), 1.0);
        Self {
            nonlinear: Mlp::new(&plan.nonlinear(), device),
            shortcut: Linear::from_tensors(shortcut, None),
            norm: plan.layer_norm.then(|| LayerNorm::new(d, device)),
        }
    }

    /// # Shapes
    /// From N × C to N × D.
    #[track_caller]
    pub fn forward(&self, x_nc: &Tensor) -> Tensor {
        let sum_nd = self.nonlinear.forward(x_nc) + self.shortcut.forward(x_nc);
        self.norm.as_ref().map_or_else(|| sum_nd.clone(), |norm| norm.forward(&sum_nd))
    }
}
