//! The `config` table of `vit-tiny`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A vision transformer of width 192 with three heads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VitConfig {
    /// Side of a patch in pixels: 4 for 32 pixels, 8 for 64, 16 for 224. Must divide the sides of the views.
    #[schemars(extend("unit" = "pixels", "enum" = [4, 8, 16]))]
    pub patch: i64,
    /// Blocks.
    #[schemars(range(min = 1, max = 100), extend("unit" = "layers"))]
    pub depth: i64,
    /// What becomes the representation: the class token, or the mean of the patches' tokens.
    pub pool: Pool,
}

/// What becomes the representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    /// The class token, after the last normalisation.
    Token,
    /// The mean of the patches' tokens, normalised after the mean.
    Mean,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self { patch: 4, depth: 12, pool: Pool::Token }
    }
}
