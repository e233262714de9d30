//! `barlow-twins`' `config` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Barlow Twins' loss. The weight is the paper's; the projector is solo-learn's for CIFAR.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BarlowTwins {
    /// λ, weight of the squared correlations between different channels.
    #[schemars(range(min = 0.0, max = 100.0), extend("unit" = "dimensionless"))]
    pub redundancy_weight: f64,
    /// Multiplies the whole loss (solo-learn: 0.1 on CIFAR).
    #[schemars(range(min = 0.0001, max = 10000.0), extend("unit" = "dimensionless"))]
    pub loss_scale: f64,
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

impl Default for BarlowTwins {
    fn default() -> Self {
        Self {
            redundancy_weight: 0.0051,
            loss_scale: 1.0,
            projector_hidden: 2048,
            projector_dim: 2048,
            projector_layers: 3,
        }
    }
}
