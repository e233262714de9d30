//! `w-mse`'s `config` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// W-MSE's loss. Defaults as the paper's for CIFAR.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WMse {
    /// Images that are whitened together, at least twice `projector_dim` and at most `train.batch_size`; a batch below twice as
    /// many is one part.
    #[schemars(range(min = 2, max = 1048576), extend("unit" = "images"))]
    pub whitening_batch: u32,
    /// How often a step deals its images out to parts and takes the mean: more makes the gradient steadier.
    #[schemars(range(min = 1, max = 100), extend("unit" = "rounds"))]
    pub whitening_rounds: u32,
    /// ε, the share of the identity in the covariance; published as 0, which fails where a channel is constant.
    #[schemars(range(min = 0.000001, max = 1.0), extend("unit" = "dimensionless"))]
    pub whitening_epsilon: f64,
    /// Width of the projector's hidden layers.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "units"))]
    pub projector_hidden: u32,
    /// Width of what the projector gives.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "channels"))]
    pub projector_dim: u32,
    /// Linear layers of the projector; 0 compares representations as they are.
    #[schemars(range(max = 8), extend("unit" = "layers"))]
    pub projector_layers: u32,
}

impl Default for WMse {
    fn default() -> Self {
        Self {
            whitening_batch: 128,
            whitening_rounds: 1,
            whitening_epsilon: 1e-4,
            projector_hidden: 1024,
            projector_dim: 64,
            projector_layers: 2,
        }
    }
}
