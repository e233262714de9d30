//! The fields that every augmentation but `none` has. serde can't flatten a struct into another and refuse unknown
//! fields, so a macro writes them into each; `common()` gives them back as one struct.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How views are flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Flip {
    /// All views of an image alike.
    Shared,
    /// Each view on its own.
    Independent,
    /// Never.
    Off,
}

/// The common fields of a config.
#[derive(Clone, Debug, PartialEq)]
pub struct Common {
    pub size: u32,
    pub flip: Flip,
    pub crop: bool,
    pub crop_area: [f64; 2],
    pub crop_aspect: [f64; 2],
    pub jitter_probability: f64,
    pub brightness: f64,
    pub contrast: f64,
    pub saturation: f64,
    pub hue: f64,
    pub jitter_strength: Option<f64>,
    pub grayscale_probability: f64,
    pub blur_sigma: [f64; 2],
    pub decode_short_side: Option<u32>,
    pub mean: Option<[f64; 3]>,
    pub std: Option<[f64; 3]>,
}

macro_rules! views_config {
    (
        $(#[$about:meta])*
        $name:ident { $($(#[$field_about:meta])* $field:ident: $type:ty = $default:expr,)* }
        common { $($common:ident: $common_default:expr,)* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            /// Side of a view in pixels.
            #[schemars(range(min = 1, max = 4096), extend("unit" = "pixels"))]
            pub size: u32,
            /// Whether all views of an image are flipped alike, each on its own, or never.
            pub flip: $crate::config::common::Flip,
            /// Cut a region out at random and resize it. Off: the view that evaluation sees.
            pub crop: bool,
            /// Smallest and largest share of the image's area in a crop.
            #[schemars(inner(range(min = 0.0001, max = 1.0)), extend("unit" = "dimensionless"))]
            pub crop_area: [f64; 2],
            /// Smallest and largest width divided by height of a crop.
            #[schemars(inner(range(min = 0.01, max = 100.0)), extend("unit" = "dimensionless"))]
            pub crop_aspect: [f64; 2],
            /// Probability of the colour jitter: brightness, contrast, saturation and hue, in random order.
            #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
            pub jitter_probability: f64,
            /// The brightness factor lies within 1 ± this, times `jitter_strength`.
            #[schemars(range(min = 0.0, max = 10.0), extend("unit" = "dimensionless"))]
            pub brightness: f64,
            /// The contrast factor lies within 1 ± this, times `jitter_strength`.
            #[schemars(range(min = 0.0, max = 10.0), extend("unit" = "dimensionless"))]
            pub contrast: f64,
            /// The saturation factor lies within 1 ± this, times `jitter_strength`.
            #[schemars(range(min = 0.0, max = 10.0), extend("unit" = "dimensionless"))]
            pub saturation: f64,
            /// The hue shift lies within ± this many turns, times `jitter_strength`.
            #[schemars(range(min = 0.0, max = 0.5), extend("unit" = "turns"))]
            pub hue: f64,
            /// Multiplies the four strengths. Without a value: 0.5 up to 32 pixels, else 1, as SimCLR has it.
            #[schemars(range(min = 0.0, max = 10.0), extend("unit" = "dimensionless"))]
            pub jitter_strength: Option<f64>,
            /// Probability that a view loses its colours.
            #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
            pub grayscale_probability: f64,
            /// Smallest and largest standard deviation of the blur, in pixels.
            #[schemars(inner(range(min = 0.0, max = 100.0)), extend("unit" = "pixels"))]
            pub blur_sigma: [f64; 2],
            /// Let JPEGs be decoded at 1/2, 1/4 or 1/8 as long as their short side keeps this many pixels: faster, with slightly
            /// other pixels. Without a value: in full.
            #[schemars(range(min = 1, max = 65535), extend("unit" = "pixels"))]
            pub decode_short_side: Option<u32>,
            /// Mean of red, green and blue in 0..1. Without a value: CIFAR's up to 32 pixels, else ImageNet's.
            #[schemars(inner(range(min = 0.0, max = 1.0)), extend("unit" = "dimensionless"))]
            pub mean: Option<[f64; 3]>,
            /// Standard deviation of red, green and blue in 0..1. Without a value: CIFAR's up to 32 pixels, else ImageNet's.
            #[schemars(inner(range(min = 0.0001, max = 1.0)), extend("unit" = "dimensionless"))]
            pub std: Option<[f64; 3]>,
            $($(#[$field_about])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                let common = $crate::config::common::Common {
                    $($common: $common_default,)*
                    ..$crate::config::common::Common::default()
                };
                Self {
                    size: common.size,
                    flip: common.flip,
                    crop: common.crop,
                    crop_area: common.crop_area,
                    crop_aspect: common.crop_aspect,
                    jitter_probability: common.jitter_probability,
                    brightness: common.brightness,
                    contrast: common.contrast,
                    saturation: common.saturation,
                    hue: common.hue,
                    jitter_strength: common.jitter_strength,
                    grayscale_probability: common.grayscale_probability,
                    blur_sigma: common.blur_sigma,
                    decode_short_side: common.decode_short_side,
                    mean: common.mean,
                    std: common.std,
                    $($field: $default,)*
                }
            }
        }

        impl $name {
            /// The fields that other augmentations have too.
            pub fn common(&self) -> $crate::config::common::Common {
                $crate::config::common::Common {
                    size: self.size,
                    flip: self.flip,
                    crop: self.crop,
                    crop_area: self.crop_area,
                    crop_aspect: self.crop_aspect,
                    jitter_probability: self.jitter_probability,
                    brightness: self.brightness,
                    contrast: self.contrast,
                    saturation: self.saturation,
                    hue: self.hue,
                    jitter_strength: self.jitter_strength,
                    grayscale_probability: self.grayscale_probability,
                    blur_sigma: self.blur_sigma,
                    decode_short_side: self.decode_short_side,
                    mean: self.mean,
                    std: self.std,
                }
            }
        }
    };
}

impl Default for Common {
    fn default() -> Self {
        Self {
            size: 32,
            flip: Flip::Independent,
            crop: true,
            crop_area: [0.08, 1.0],              // SimCLR, appendix A
            crop_aspect: [3.0 / 4.0, 4.0 / 3.0], // SimCLR, appendix A
            jitter_probability: 0.8,             // SimCLR, appendix A
            brightness: 0.8,                     // SimCLR, appendix A, as the three below
            contrast: 0.8,
            saturation: 0.8,
            hue: 0.2,
            jitter_strength: None,
            grayscale_probability: 0.2, // SimCLR, appendix A
            blur_sigma: [0.1, 2.0],     // SimCLR, appendix A
            decode_short_side: None,
            mean: None,
            std: None,
        }
    }
}
