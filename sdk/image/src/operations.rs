//! Pillow's and torchvision's operations on 8-bit RGB, with their rounding.

mod colour;
mod geometry;
mod hue;
mod resize;

pub use colour::{brightness, contrast, grayscale, saturation};
pub use geometry::{flip_horizontal, translate_reflect};
pub use hue::hue;
pub use resize::{Region, resize_centre_crop, resized_crop};
