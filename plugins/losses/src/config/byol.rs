//! `byol`'s `config` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// BYOL's loss. Defaults as solo-learn's CIFAR recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Byol {
    /// Width of the projector's hidden layers.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "units"))]
    pub projector_hidden: u32,
    /// Width of what the projector gives.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "channels"))]
    pub projector_dim: u32,
    /// Linear layers of the projector; 0 predicts representations as they are.
    #[schemars(range(max = 8), extend("unit" = "layers"))]
    pub projector_layers: u32,
    /// Width of the predictor's hidden layers.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "units"))]
    pub predictor_hidden: u32,
    /// Linear layers of the predictor.
    #[schemars(range(min = 1, max = 8), extend("unit" = "layers"))]
    pub predictor_layers: u32,
    /// Momentum of the slow copies at the first update.
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    pub momentum_start: f64,
    /// Momentum of the slow copies at the last update, reached by a cosine.
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    pub momentum_end: f64,
}

impl Default for Byol {
    fn default() -> Self {
        Self {
            projector_hidden: 4096,
            projector_dim: 256,
            projector_layers: 2,
            predictor_hidden: 4096,
            predictor_layers: 2,
            momentum_start: 0.99,
            momentum_end: 1.0,
        }
    }
}
