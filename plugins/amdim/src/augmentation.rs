//! The augmentations `amdim` and `none`: from an image of any size to views of 8-bit RGB.

mod amdim;
mod none;
mod random_crop;

pub use amdim::Amdim;
pub use none::None;

use infomax_image::{Rgb8Mut, Rgb8Ref};
use infomax_sdk::{Error, ImageRef, Result, ViewMut};

/// The image, checked.
fn image(image: ImageRef<'_>) -> Result<Rgb8Ref<'_>> {
    let ImageRef { width, height, pixels } = image;
    if width == 0 || height == 0 || pixels.len() != width as usize * height as usize * 3 {
        let length = pixels.len();
        return Err(Error::data(format!("an image of {width}×{height} pixels in {length} bytes can't be viewed"))
            .hint("remove the image from the dataset"));
    }
    Ok(Rgb8Ref::new(width, height, pixels))
}

/// The view, checked.
fn view<'v>(view: &'v mut ViewMut<'_>, size: u32) -> Result<Rgb8Mut<'v>> {
    let (width, height, length) = (view.width, view.height, view.pixels.len());
    if width != size || height != size || length != size as usize * size as usize * 3 {
        return Err(Error::new(format!("a view of {width}×{height} pixels in {length} bytes, expected {size}×{size}")));
    }
    Ok(Rgb8Mut::new(size, size, view.pixels))
}

fn config_range(name: &str, [low, high]: [f64; 2], within: [f64; 2]) -> Result<()> {
    if low <= high && low >= within[0] && high <= within[1] {
        return Ok(());
    }
    Err(Error::config(format!("`{name}` is `[{low}, {high}]`"))
        .hint(format!("give the smaller number first, both within {} and {}", within[0], within[1])))
}

#[cfg(test)]
mod tests;
