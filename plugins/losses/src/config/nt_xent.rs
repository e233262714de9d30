//! `nt-xent`'s `config` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// SimCLR's loss. Defaults as solo-learn's CIFAR recipe of SimCLR.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NtXent {
    /// Cosines are divided by it: lower looks at hard negatives more.
    #[schemars(range(min = 0.01, max = 10.0), extend("unit" = "dimensionless"))]
    pub temperature: f64,
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

impl Default for NtXent {
    fn default() -> Self {
        Self {
            temperature: 0.2,
            projector_hidden: 2048,
            projector_dim: 256,
            projector_layers: 2,
            projector_norm: false,
        }
    }
}
