//! `mmcr`'s `config` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// MMCR's loss on two views, without the momentum encoder that some recipes add.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mmcr {
    /// λ, weight of what each image's views span; 0 leaves it out, as the centroids alone ask for the same.
    #[schemars(range(min = 0.0, max = 10000.0), extend("unit" = "dimensionless"))]
    pub image_weight: f64,
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

impl Default for Mmcr {
    fn default() -> Self {
        Self { image_weight: 0.0, projector_hidden: 2048, projector_dim: 128, projector_layers: 2 }
    }
}
