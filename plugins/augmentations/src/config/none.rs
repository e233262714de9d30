//! The `config` table of `none`.

use schemars::JsonSchema;
use serde::Deserialize;

/// No augmentation: the short side is resized, the centre is cut out, every view is the same.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NoAugmentation {
    /// Side of a view in pixels.
    #[schemars(range(min = 1, max = 4096), extend("unit" = "pixels"))]
    pub size: u32,
    /// Number of equal views.
    #[schemars(range(min = 1, max = 64), extend("unit" = "views"))]
    pub views: u32,
    /// Mean of red, green and blue in 0..1, subtracted.
    #[schemars(inner(range(min = 0.0, max = 1.0)), extend("unit" = "dimensionless"))]
    pub mean: [f64; 3],
    /// Standard deviation of red, green and blue in 0..1, divided by.
    #[schemars(inner(range(min = 0.0001, max = 1.0)), extend("unit" = "dimensionless"))]
    pub std: [f64; 3],
}

impl Default for NoAugmentation {
    fn default() -> Self {
        Self { size: 32, views: 2, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } // of ImageNet
    }
}
