//! What an experiment can set.

use schemars::JsonSchema;
use serde::Deserialize;

/// Fields of `loss.config`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CosineConfig {
    /// Multiplies the loss.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub weight: f64,
}

impl Default for CosineConfig {
    fn default() -> Self {
        Self { weight: 1.0 }
    }
}
