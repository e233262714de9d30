//! RandAugment (Cubuk et al. 2019) as torchvision has it: operations drawn from fourteen, all of one magnitude, half of
//! the signed ones backwards.

use infomax_image::{
    Rgb8, Rgb8Mut,
    operations::{
        Fill, autocontrast, brightness, contrast, equalise, posterise, rotate, saturation, sharpness, shear_x, shear_y,
        solarise, translate,
    },
};
use infomax_sdk::KeyedRng;

/// torchvision's `num_magnitude_bins`, less one.
pub const STRONGEST: u32 = 30;

/// The policy.
#[derive(Clone, Copy, Debug)]
pub struct RandAugment {
    pub operations: u32,
    /// 0 to [`STRONGEST`].
    pub magnitude: u32,
    pub fill: Fill,
}

/// torchvision's operations, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

impl Operation {
    pub const ALL: [Self; 14] = [
        Self::Identity,
        Self::ShearX,
        Self::ShearY,
        Self::TranslateX,
        Self::TranslateY,
        Self::Rotate,
        Self::Brightness,
        Self::Color,
        Self::Contrast,
        Self::Sharpness,
        Self::Posterize,
        Self::Solarize,
        Self::AutoContrast,
        Self::Equalize,
    ];

    /// The range of magnitudes for an image, and whether half of them are negative.
    ///
    /// # Source
    /// torchvision's `RandAugment._augmentation_space`.
    fn range(self, width: u32, height: u32) -> ([f32; 2], bool) {
        let share = |side: u32| [0.0, (150.0 / 331.0 * f64::from(side)) as f32];
        match self {
            Self::ShearX | Self::ShearY => ([0.0, 0.3], true),
            Self::TranslateX => (share(width), true),
            Self::TranslateY => (share(height), true),
            Self::Rotate => ([0.0, 30.0], true),
            Self::Brightness | Self::Color | Self::Contrast | Self::Sharpness => ([0.0, 0.9], true),
            Self::Posterize => ([8.0, 4.0], false),
            Self::Solarize => ([255.0, 0.0], false),
            Self::Identity | Self::AutoContrast | Self::Equalize => ([0.0, 0.0], false),
        }
    }
}

impl RandAugment {
    /// Changes an image by the drawn operations.
    pub fn apply(&self, image: &mut Rgb8Mut<'_>, rng: &mut KeyedRng) {
        for _ in 0..self.operations {
            let operation = Operation::ALL[rng.below(Operation::ALL.len() as u64) as usize];
            let backwards = rng.chance(0.5);
            self.apply_one(operation, backwards, image);
        }
    }

    /// Changes an image by one operation.
    pub fn apply_one(&self, operation: Operation, backwards: bool, image: &mut Rgb8Mut<'_>) {
        let (range, signed) = operation.range(image.width, image.height);
        let magnitude = f64::from(step(range, self.magnitude));
        let magnitude = if signed && backwards { -magnitude } else { magnitude };
        let factor = (1.0 + magnitude) as f32;
        let moved = |image: &mut Rgb8Mut<'_>, movement: &dyn Fn(infomax_image::Rgb8Ref<'_>, &mut Rgb8Mut<'_>)| {
            let from = Rgb8 { width: image.width, height: image.height, pixels: image.pixels.to_vec() };
            movement(from.as_ref(), image);
        };
        match operation {
            Operation::Identity => {}
            Operation::ShearX => moved(image, &|from, to| shear_x(from, magnitude, self.fill, to)),
            Operation::ShearY => moved(image, &|from, to| shear_y(from, magnitude, self.fill, to)),
            Operation::TranslateX => moved(image, &|from, to| translate(from, magnitude as i32, 0, self.fill, to)),
            Operation::TranslateY => moved(image, &|from, to| translate(from, 0, magnitude as i32, self.fill, to)),
            Operation::Rotate => moved(image, &|from, to| rotate(from, magnitude, self.fill, to)),
            Operation::Brightness => brightness(image.pixels, factor),
            Operation::Color => saturation(image.pixels, factor),
            Operation::Contrast => contrast(image.pixels, factor),
            Operation::Sharpness => sharpness(image, factor),
            Operation::Posterize => posterise(image.pixels, magnitude.round_ties_even() as u32),
            Operation::Solarize => solarise(image.pixels, magnitude),
            Operation::AutoContrast => autocontrast(image.pixels),
            Operation::Equalize => equalise(image.pixels),
        }
    }
}

/// A step of 31 from one end of a range to the other, in f32 from the nearer end, as torch's `linspace`.
fn step([first, last]: [f32; 2], index: u32) -> f32 {
    let width = (last - first) / STRONGEST as f32;
    if index <= STRONGEST / 2 { first + width * index as f32 } else { last - width * (STRONGEST - index) as f32 }
}
