//! The encoder's `config` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// AMDIM's encoder: strided convolutions without padding, residual 1×1 stacks, heads at 5×5 and 7×7.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EncoderConfig {
    /// Side of the input in pixels: 32, 64 or 128. Must equal the views' size; without a value it is that.
    #[schemars(extend("enum" = [32, 64, 128, null]))]
    #[schemars(extend("unit" = "pixels"))]
    pub size: Option<u32>,
    /// Channels of the first layer.
    #[schemars(range(min = 1, max = 4096), extend("unit" = "channels"))]
    pub ndf: i64,
    /// Channels of the feature maps (D).
    #[schemars(range(min = 1, max = 65536), extend("unit" = "channels"))]
    pub n_rkhs: i64,
    /// Residual layers in each stack.
    #[schemars(range(min = 1, max = 100), extend("unit" = "layers"))]
    pub depth: i64,
    /// Batch normalisation inside the residual blocks too; the feature maps are always normalised.
    pub use_bn: bool,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self { size: None, ndf: 128, n_rkhs: 1024, depth: 3, use_bn: false }
    }
}
