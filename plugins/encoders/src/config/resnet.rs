//! The `config` table of `resnet18`, `resnet34` and `resnet50`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A residual network: four stages of residual blocks, then the mean over locations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResNetConfig {
    /// What comes before the first stage: `small` for images of 32 to 64 pixels, `imagenet` for larger ones.
    pub stem: Stem,
    /// Channels of the first stage, a multiple of 8; the others have two, four and eight times as many. 16 is a quarter of the
    /// usual width.
    // With fewer than 8 channels libtorch 2.11 writes past a buffer on processors with AVX2 and no AVX-512: see the plan's test.
    #[schemars(range(min = 8, max = 4096), extend("unit" = "channels"))]
    pub width: i64,
    /// Start each block's last normalisation at zero, so that a block starts as the identity.
    pub zero_init_residual: bool,
    /// Channels (D) of the maps r1, r5 and r7 for multiscale losses. Without a value: only the map `pool`.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "channels"))]
    pub n_rkhs: Option<i64>,
    /// Batch normalisation inside the heads of r1, r5 and r7 too; their outputs are always normalised.
    pub heads_use_bn: bool,
}

/// The first layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// A 3×3 convolution: the image keeps its size.
    Small,
    /// A 7×7 convolution of stride 2, then max-pooling of stride 2: a quarter of the side.
    Imagenet,
}

impl Default for ResNetConfig {
    fn default() -> Self {
        Self { stem: Stem::Small, width: 64, zero_init_residual: false, n_rkhs: None, heads_use_bn: false }
    }
}
