//! `dino`'s `config` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// DINO's loss. Defaults as solo-learn's CIFAR recipe; 195 updates are an epoch there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dino {
    /// The trained branch's scores are divided by it before the softmax.
    #[schemars(range(min = 0.01, max = 10.0), extend("unit" = "dimensionless"))]
    pub student_temperature: f64,
    /// The momentum branch's scores are divided by it before the softmax: lower makes targets harder.
    #[schemars(range(min = 0.001, max = 10.0), extend("unit" = "dimensionless"))]
    pub teacher_temperature: f64,
    /// The same at the first update; it goes to `teacher_temperature` in a line.
    #[schemars(range(min = 0.001, max = 10.0), extend("unit" = "dimensionless"))]
    pub teacher_temperature_start: f64,
    /// Updates until `teacher_temperature` is reached.
    #[schemars(extend("unit" = "updates"))]
    pub teacher_temperature_warmup_steps: u64,
    /// Momentum of the centre, the mean of the momentum branch's scores.
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    pub centre_momentum: f64,
    /// How many prototypes.
    #[schemars(range(min = 2, max = 1048576), extend("unit" = "prototypes"))]
    pub prototypes: u32,
    /// Updates in which the prototypes are not trained yet.
    #[schemars(extend("unit" = "updates"))]
    pub freeze_prototypes_steps: u64,
    /// Width of the projector's hidden layers.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "units"))]
    pub projector_hidden: u32,
    /// Width of what the projector gives, the bottleneck in front of the prototypes.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "channels"))]
    pub projector_dim: u32,
    /// Linear layers of the projector; 0 compares representations as they are.
    #[schemars(range(max = 8), extend("unit" = "layers"))]
    pub projector_layers: u32,
    /// BatchNorm between the projector's layers.
    pub projector_norm: bool,
    /// Momentum of the slow copies at the first update.
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    pub momentum_start: f64,
    /// Momentum of the slow copies at the last update, reached by a cosine.
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    pub momentum_end: f64,
}

impl Default for Dino {
    fn default() -> Self {
        Self {
            student_temperature: 0.1,
            teacher_temperature: 0.07,
            teacher_temperature_start: 0.04,
            teacher_temperature_warmup_steps: 9750,
            centre_momentum: 0.9,
            prototypes: 4096,
            freeze_prototypes_steps: 195,
            projector_hidden: 2048,
            projector_dim: 256,
            projector_layers: 3,
            projector_norm: false,
            momentum_start: 0.9995,
            momentum_end: 1.0,
        }
    }
}
