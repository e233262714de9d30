//! `align-uniform`'s `config` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Alignment and uniformity. α, t and the weights of the published code; projector as SimCLR's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlignUniform {
    /// Weight of the alignment.
    #[schemars(range(min = 0.0, max = 10000.0), extend("unit" = "dimensionless"))]
    pub align_weight: f64,
    /// α, the power of the distance between the views.
    #[schemars(range(min = 1.0, max = 10.0), extend("unit" = "dimensionless"))]
    pub align_power: f64,
    /// Weight of the uniformity.
    #[schemars(range(min = 0.0, max = 10000.0), extend("unit" = "dimensionless"))]
    pub uniform_weight: f64,
    /// t, the sharpness of the Gaussian potential.
    #[schemars(range(min = 0.01, max = 100.0), extend("unit" = "dimensionless"))]
    pub uniform_sharpness: f64,
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
}

impl Default for AlignUniform {
    fn default() -> Self {
        Self {
            align_weight: 1.0,
            align_power: 2.0,
            uniform_weight: 1.0,
            uniform_sharpness: 2.0,
            projector_hidden: 2048,
            projector_dim: 128,
            projector_layers: 2,
            projector_norm: false,
        }
    }
}
