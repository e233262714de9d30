//! The tables `[augmentation]` of the component `amdim`. The defaults are the published values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The views of AMDIM: two of each image, flipped alike, then cropped and coloured each on its own.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AmdimAugmentation {
    /// Side of a view in pixels; it also selects the crop, the hue range and the normalisation.
    #[schemars(extend("enum" = [32, 64, 128]))]
    #[schemars(extend("unit" = "pixels"))]
    pub size: u32,
    /// Whether both views of an image are flipped alike, each on its own, or never.
    pub flip: Flip,
    /// Crop at random: at 32 pixels a translation by up to `translation`, otherwise a random resized crop. Off: the view
    /// that evaluation sees.
    pub crop: bool,
    /// Largest translation in pixels, each way, at 32 pixels.
    #[schemars(range(min = 0, max = 31), extend("unit" = "pixels"))]
    pub translation: u32,
    /// Probability of a translation at 32 pixels.
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    pub translation_probability: f64,
    /// Smallest and largest share of the image's area in a random resized crop.
    #[schemars(inner(range(min = 0.0001, max = 1.0)), extend("unit" = "dimensionless"))]
    pub crop_area: [f64; 2],
    /// Smallest and largest width divided by height of a random resized crop.
    #[schemars(inner(range(min = 0.01, max = 100.0)), extend("unit" = "dimensionless"))]
    pub crop_aspect: [f64; 2],
    /// Change brightness, contrast, saturation and hue, in random order.
    pub jitter: bool,
    /// Probability of the colour jitter.
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    pub jitter_probability: f64,
    /// The brightness factor lies within 1 ± this.
    #[schemars(range(min = 0.0, max = 10.0), extend("unit" = "dimensionless"))]
    pub brightness: f64,
    /// The contrast factor lies within 1 ± this.
    #[schemars(range(min = 0.0, max = 10.0), extend("unit" = "dimensionless"))]
    pub contrast: f64,
    /// The saturation factor lies within 1 ± this.
    #[schemars(range(min = 0.0, max = 10.0), extend("unit" = "dimensionless"))]
    pub saturation: f64,
    /// The hue shift lies within ± this many turns. Without a value: 0.1 at 128 pixels, 0.2 below.
    #[schemars(range(min = 0.0, max = 0.5), extend("unit" = "turns"))]
    pub hue: Option<f64>,
    /// Probability that a view loses its colours.
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    pub grayscale_probability: f64,
    /// Let JPEGs be decoded at 1/2, 1/4 or 1/8 as long as their short side keeps this many pixels: faster, with slightly
    /// other pixels. Without a value: in full, as published.
    #[schemars(range(min = 1, max = 65535), extend("unit" = "pixels"))]
    pub decode_short_side: Option<u32>,
    /// Mean of red, green and blue in 0..1. Without a value: the published one of the size.
    #[schemars(inner(range(min = 0.0, max = 1.0)), extend("unit" = "dimensionless"))]
    pub mean: Option<[f64; 3]>,
    /// Standard deviation of red, green and blue in 0..1. Without a value: the published one of the size.
    #[schemars(inner(range(min = 0.0001, max = 1.0)), extend("unit" = "dimensionless"))]
    pub std: Option<[f64; 3]>,
}

/// How views are flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Flip {
    /// All views of an image alike.
    Shared,
    /// Each view on its own.
    Independent,
    /// Never.
    Off,
}

impl Default for AmdimAugmentation {
    fn default() -> Self {
        Self {
            size: 32,
            flip: Flip::Shared,
            crop: true,
            translation: 4,
            translation_probability: 0.8,
            crop_area: [0.3, 1.0],
            crop_aspect: [0.7, 1.4],
            jitter: true,
            jitter_probability: 0.8,
            brightness: 0.4,
            contrast: 0.4,
            saturation: 0.4,
            hue: None,
            grayscale_probability: 0.25,
            decode_short_side: None,
            mean: None,
            std: None,
        }
    }
}
