//! The table `train.loss_scale`: how losses are scaled under f16. The defaults are PyTorch's `GradScaler`'s.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Under f16 the loss is multiplied by a scale before the backward pass, so that small gradients don't vanish, and
/// gradients are divided by it again. Without effect in any other precision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LossScale {
    /// The scale of the first step.
    #[schemars(range(min = 1.0, max = 1_099_511_627_776.0), extend("unit" = "dimensionless"))]
    pub initial: f64,
    /// The scale is multiplied by this after `growth_every_steps` steps in a row without an overflow.
    #[schemars(range(min = 1.0, max = 1024.0), extend("unit" = "dimensionless"))]
    pub growth: f64,
    /// Steps in a row without an overflow before the scale grows.
    #[schemars(range(min = 1, max = 1_000_000_000), extend("unit" = "updates"))]
    pub growth_every_steps: u64,
    /// The scale is multiplied by this when a gradient overflows; such a step updates nothing.
    #[schemars(range(min = 0.0001, max = 0.9999), extend("unit" = "dimensionless"))]
    pub backoff: f64,
    /// The scale never falls below this. An overflow here counts towards `train.max_skipped_steps_in_a_row`.
    #[schemars(range(min = 0.000001, max = 1_099_511_627_776.0), extend("unit" = "dimensionless"))]
    pub floor: f64,
}

impl Default for LossScale {
    fn default() -> Self {
        Self { initial: 65536.0, growth: 2.0, growth_every_steps: 2000, backoff: 0.5, floor: 1.0 }
    }
}
