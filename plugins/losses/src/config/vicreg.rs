//! `vicreg`'s `config` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// VICReg's loss. Weights of the paper; projector as solo-learn's CIFAR recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VicReg {
    /// λ, weight of the mean squared difference of the views.
    #[schemars(range(min = 0.0, max = 10000.0), extend("unit" = "dimensionless"))]
    pub invariance_weight: f64,
    /// μ, weight of the hinge on standard deviations.
    #[schemars(range(min = 0.0, max = 10000.0), extend("unit" = "dimensionless"))]
    pub variance_weight: f64,
    /// ν, weight of the squared covariances.
    #[schemars(range(min = 0.0, max = 10000.0), extend("unit" = "dimensionless"))]
    pub covariance_weight: f64,
    /// γ, the standard deviation that every channel must reach.
    #[schemars(range(min = 0.0, max = 100.0), extend("unit" = "dimensionless"))]
    pub target_deviation: f64,
    /// Multiplies the whole loss.
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

impl Default for VicReg {
    fn default() -> Self {
        Self {
            invariance_weight: 25.0,
            variance_weight: 25.0,
            covariance_weight: 1.0,
            target_deviation: 1.0,
            loss_scale: 1.0,
            projector_hidden: 2048,
            projector_dim: 2048,
            projector_layers: 3,
        }
    }
}
