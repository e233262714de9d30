//! `lejepa`'s `config` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// LeJEPA's loss on two views. Defaults of the paper for SIGReg.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LeJepa {
    /// λ, weight of SIGReg; the views' agreement has 1 − λ.
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    pub sigreg_weight: f64,
    /// Random directions of each step.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "directions"))]
    pub directions: u32,
    /// Frequencies at which characteristic functions are compared, from 0 to `frequency_limit`.
    #[schemars(range(min = 2, max = 1024), extend("unit" = "frequencies"))]
    pub frequencies: u32,
    /// The largest frequency.
    #[schemars(range(min = 0.01, max = 100.0), extend("unit" = "dimensionless"))]
    pub frequency_limit: f64,
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

impl Default for LeJepa {
    fn default() -> Self {
        Self {
            sigreg_weight: 0.05,
            directions: 1024,
            frequencies: 17,
            frequency_limit: 3.0,
            projector_hidden: 2048,
            projector_dim: 128,
            projector_layers: 3,
        }
    }
}
