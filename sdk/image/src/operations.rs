//! Pillow's and torchvision's operations on 8-bit RGB, with their rounding.

mod affine;
mod blur;
mod colour;
mod geometry;
mod hue;
mod resize;
mod sharpness;
mod tone;

pub use affine::{Fill, rotate, shear_x, shear_y, translate};
pub use blur::{BoxWeights, gaussian_blur};
pub use colour::{brightness, contrast, grayscale, saturation};
pub use geometry::{flip_horizontal, reflected, translate_reflect};
pub use hue::{from_hsv, hue, hue_shift, to_hsv};
pub use resize::{Placement, Region, WEIGHT_BITS, resize_centre_crop, resize_weights, resized_crop};
pub use sharpness::sharpness;
pub use tone::{autocontrast, equalise, invert, posterise, solarise};
