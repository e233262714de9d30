//! The `config` table of `wide-resnet`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A wide residual network for small images: three stages of pre-activated blocks, then the mean over locations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WideResNetConfig {
    /// Layers: 6 n + 4 for n blocks in each stage.
    #[schemars(range(min = 10, max = 1000), extend("unit" = "layers"))]
    pub depth: u32,
    /// Channels are 16, 32 and 64 times this.
    #[schemars(range(min = 1, max = 64), extend("unit" = "dimensionless"))]
    pub widen: i64,
}

impl Default for WideResNetConfig {
    fn default() -> Self {
        Self { depth: 28, widen: 2 }
    }
}
