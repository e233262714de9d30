//! What augmentations share: checked images and views, the region of a random crop, the colour jitter.
//!
//! Pixels are 8-bit RGB; every draw comes from the generator that is passed in. [`batch`] has the same operations on a batch.

pub mod batch;

use crate::{Error, ImageRef, KeyedRng, Result, ViewMut};
use infomax_image::{
    Rgb8Mut, Rgb8Ref,
    operations::{Region, brightness, contrast, hue, saturation},
};

/// The image, checked.
///
/// # Errors
/// An image without pixels, or of another number of bytes.
pub fn image(image: ImageRef<'_>) -> Result<Rgb8Ref<'_>> {
    let ImageRef { width, height, pixels } = image;
    if width == 0 || height == 0 || pixels.len() != width as usize * height as usize * 3 {
        let length = pixels.len();
        return Err(Error::data(format!("an image of {width}×{height} pixels in {length} bytes can't be viewed"))
            .hint("remove the image from the dataset"));
    }
    Ok(Rgb8Ref::new(width, height, pixels))
}

/// The square view, checked.
///
/// # Errors
/// A view of another size than the described one.
pub fn view<'v>(view: &'v mut ViewMut<'_>, size: u32) -> Result<Rgb8Mut<'v>> {
    let (width, height, length) = (view.width, view.height, view.pixels.len());
    if width != size || height != size || length != size as usize * size as usize * 3 {
        return Err(Error::new(format!("a view of {width}×{height} pixels in {length} bytes, expected {size}×{size}")));
    }
    Ok(Rgb8Mut::new(size, size, view.pixels))
}

/// Checks a config's pair of numbers: the smaller one first, both within limits.
///
/// # Errors
/// Names the field.
pub fn config_range(name: &str, [low, high]: [f64; 2], within: [f64; 2]) -> Result<()> {
    if low <= high && low >= within[0] && high <= within[1] {
        return Ok(());
    }
    Err(Error::config(format!("`{name}` is `[{low}, {high}]`"))
        .hint(format!("give the smaller number first, both within {} and {}", within[0], within[1])))
}

/// Checks a config's number: within 0 and `most`.
///
/// # Errors
/// Names the field.
pub fn config_number(name: &str, value: f64, most: f64) -> Result<()> {
    if (0.0..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::config(format!("`{name}` is `{value}`")).hint(format!("choose a number within 0 and {most}")))
}

/// Checks several numbers of a config: name, value, and the largest one allowed.
///
/// # Errors
/// Names the first field that is wrong.
pub fn config_numbers(fields: &[(&str, f64, f64)]) -> Result<()> {
    fields.iter().try_for_each(|&(name, value, most)| config_number(name, value, most))
}

/// Checks the standard deviation that a config divides pixels by.
///
/// # Errors
/// A number that isn't positive.
pub fn config_std(std: [f64; 3]) -> Result<()> {
    if std.iter().all(|&s| s > 0.0) {
        return Ok(());
    }
    Err(Error::config("`std` holds a number that isn't positive").hint("pixels are divided by it"))
}

const TRIES: usize = 10; // torchvision

/// The region of torchvision's `RandomResizedCrop`: draws area and aspect (log-uniform) until the region fits; after ten
/// tries the central one of the nearest aspect.
pub fn random_region(width: u32, height: u32, area: [f64; 2], aspect: [f64; 2], rng: &mut KeyedRng) -> Region {
    let whole = f64::from(width) * f64::from(height);
    for _ in 0..TRIES {
        let area = whole * rng.uniform(area[0], area[1]);
        let aspect = rng.uniform(aspect[0].ln(), aspect[1].ln()).exp();
        let w = (area * aspect).sqrt().round_ties_even() as u32;
        let h = (area / aspect).sqrt().round_ties_even() as u32;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let top = rng.below(u64::from(height - h) + 1) as u32;
            let left = rng.below(u64::from(width - w) + 1) as u32;
            return Region { left, top, width: w, height: h };
        }
    }
    let ratio = f64::from(width) / f64::from(height);
    let (mut w, mut h) = (width, height);
    if ratio < aspect[0] {
        h = ((f64::from(width) / aspect[0]).round_ties_even() as u32).clamp(1, height);
    } else if ratio > aspect[1] {
        w = ((f64::from(height) * aspect[1]).round_ties_even() as u32).clamp(1, width);
    }
    Region { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
}

/// torchvision's `ColorJitter`: how far each quality may change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColourJitter {
    /// The factor lies within 1 ± this.
    pub brightness: f64,
    /// The factor lies within 1 ± this.
    pub contrast: f64,
    /// The factor lies within 1 ± this.
    pub saturation: f64,
    /// The shift lies within ± this many turns; at 0 it is left out, as in torchvision.
    pub hue: f64,
}

impl ColourJitter {
    /// Changes all four, in random order.
    pub fn apply(&self, pixels: &mut [u8], rng: &mut KeyedRng) {
        self.draw(rng).apply(pixels);
    }

    /// Draws an order and how far each changes.
    pub fn draw(&self, rng: &mut KeyedRng) -> Jitter {
        let mut order = [Quality::Brightness, Quality::Contrast, Quality::Saturation, Quality::Hue];
        rng.shuffle(&mut order);
        let mut factor = |strength: f64| rng.uniform((1.0 - strength).max(0.0), 1.0 + strength) as f32;
        let factors = [factor(self.brightness), factor(self.contrast), factor(self.saturation)];
        let turns = rng.uniform(-self.hue, self.hue);
        Jitter { order, factors, turns: (self.hue > 0.0).then_some(turns) }
    }
}

/// What a colour jitter changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// The distance from black.
    Brightness,
    /// The distance from the mean gray.
    Contrast,
    /// The distance from gray.
    Saturation,
    /// The place on the colour wheel.
    Hue,
}

/// What a colour jitter drew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter {
    /// Which comes when.
    pub order: [Quality; 4],
    /// Of brightness, contrast and saturation.
    pub factors: [f32; 3],
    /// Of the hue; none where it stays.
    pub turns: Option<f64>,
}

impl Jitter {
    /// Changes all four.
    pub fn apply(&self, pixels: &mut [u8]) {
        for quality in self.order {
            match (quality, self.turns) {
                (Quality::Brightness, _) => brightness(pixels, self.factors[0]),
                (Quality::Contrast, _) => contrast(pixels, self.factors[1]),
                (Quality::Saturation, _) => saturation(pixels, self.factors[2]),
                (Quality::Hue, Some(turns)) => hue(pixels, turns),
                (Quality::Hue, None) => {}
            }
        }
    }
}
