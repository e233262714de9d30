//! `simsiam`'s `config` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// SimSiam's loss. Sizes of the paper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SimSiam {
    /// Width of the projector's hidden layers.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "units"))]
    pub projector_hidden: u32,
    /// Width of what the projector gives.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "channels"))]
    pub projector_dim: u32,
    /// Linear layers of the projector.
    #[schemars(range(min = 1, max = 8), extend("unit" = "layers"))]
    pub projector_layers: u32,
    /// Width of the predictor's hidden layers.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "units"))]
    pub predictor_hidden: u32,
    /// Linear layers of the predictor.
    #[schemars(range(min = 1, max = 8), extend("unit" = "layers"))]
    pub predictor_layers: u32,
    /// The schedule leaves the predictor's learning rate alone.
    pub predictor_lr_fixed: bool,
}

impl Default for SimSiam {
    fn default() -> Self {
        Self {
            projector_hidden: 2048,
            projector_dim: 2048,
            projector_layers: 3,
            predictor_hidden: 512,
            predictor_layers: 2,
            predictor_lr_fixed: true,
        }
    }
}
