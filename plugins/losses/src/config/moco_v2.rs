//! `moco-v2`'s `config` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// MoCo v2's loss. Defaults as solo-learn's CIFAR recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MocoV2 {
    /// Cosines are divided by it: lower looks at hard negatives more.
    #[schemars(range(min = 0.01, max = 10.0), extend("unit" = "dimensionless"))]
    pub temperature: f64,
    /// How many keys of earlier updates serve as negatives, for each direction.
    #[schemars(range(min = 1, max = 16777216), extend("unit" = "features"))]
    pub queue_size: u32,
    /// Both directions, each with a queue of its own; false: view 0 asks, view 1 answers, as published.
    pub symmetric: bool,
    /// Width of the projector's hidden layers.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "units"))]
    pub projector_hidden: u32,
    /// Width of what the projector gives.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "channels"))]
    pub projector_dim: u32,
    /// Linear layers of the projector; 0 compares representations as they are.
    #[schemars(range(max = 8), extend("unit" = "layers"))]
    pub projector_layers: u32,
    /// BatchNorm behind the projector's hidden layers.
    pub projector_norm: bool,
    /// Momentum of the slow copies at the first update.
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    pub momentum_start: f64,
    /// Momentum of the slow copies at the last update, reached by a cosine.
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    pub momentum_end: f64,
}

impl Default for MocoV2 {
    fn default() -> Self {
        Self {
            temperature: 0.2,
            queue_size: 32768,
            symmetric: true,
            projector_hidden: 2048,
            projector_dim: 256,
            projector_layers: 2,
            projector_norm: false,
            momentum_start: 0.99,
            momentum_end: 0.999,
        }
    }
}
