//! `swav`'s `config` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// SwAV's loss. Defaults as solo-learn's CIFAR recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SwAv {
    /// Scores are divided by it before the softmax.
    #[schemars(range(min = 0.01, max = 10.0), extend("unit" = "dimensionless"))]
    pub temperature: f64,
    /// How many prototypes.
    #[schemars(range(min = 2, max = 1048576), extend("unit" = "prototypes"))]
    pub prototypes: u32,
    /// Updates in which the prototypes are not trained yet.
    #[schemars(extend("unit" = "updates"))]
    pub freeze_prototypes_steps: u64,
    /// Entropy of the codes: lower makes them harder.
    #[schemars(range(min = 0.001, max = 10.0), extend("unit" = "dimensionless"))]
    pub sinkhorn_epsilon: f64,
    /// Rounds of equal shares for prototypes, then for images.
    #[schemars(range(min = 1, max = 100), extend("unit" = "iterations"))]
    pub sinkhorn_iterations: u32,
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

impl Default for SwAv {
    fn default() -> Self {
        Self {
            temperature: 0.1,
            prototypes: 3000,
            freeze_prototypes_steps: 313,
            sinkhorn_epsilon: 0.05,
            sinkhorn_iterations: 3,
            projector_hidden: 2048,
            projector_dim: 128,
            projector_layers: 2,
        }
    }
}
