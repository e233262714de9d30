//! How one view is made: crop, flip, jitter, grayscale, blur, solarising, RandAugment, in the papers' order. Every
//! operation draws from a key of its own, so that switching one off leaves the others as they were.

use crate::{config::Common, randaugment::RandAugment};
use infomax_image::{
    Rgb8Mut, Rgb8Ref,
    operations::{flip_horizontal, resize_centre_crop, resized_crop},
};
use infomax_sdk::{
    Key, Result,
    views::{
        ColourJitter,
        batch::{Drawn, Layout, Place, Set},
        config_numbers, config_range, random_region,
    },
};

const SMALL: u32 = 32; // pixels up to which the defaults are those for CIFAR
const SMALL_STRENGTH: f64 = 0.5; // SimCLR, appendix B.9

/// What one view of an image goes through.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Side in pixels.
    pub size: u32,
    crop: Option<Crop>,
    jitter_probability: f64,
    jitter: ColourJitter,
    grayscale_probability: f64,
    blur_probability: f64,
    blur_sigma: [f64; 2],
    solarise_probability: f64,
    randaugment: Option<RandAugment>,
}

#[derive(Clone, Debug)]
struct Crop {
    area: [f64; 2],
    aspect: [f64; 2],
}

impl Recipe {
    /// The recipe of a config's common fields, without blur and solarising.
    ///
    /// # Errors
    /// Names the field that can't work.
    pub fn new(common: &Common) -> Result<Self> {
        config_range("crop_area", common.crop_area, [1e-4, 1.0])?;
        config_range("crop_aspect", common.crop_aspect, [0.01, 100.0])?;
        config_range("blur_sigma", common.blur_sigma, [0.0, 100.0])?;
        config_numbers(&[
            ("jitter_probability", common.jitter_probability, 1.0),
            ("grayscale_probability", common.grayscale_probability, 1.0),
            ("brightness", common.brightness, 10.0),
            ("contrast", common.contrast, 10.0),
            ("saturation", common.saturation, 10.0),
            ("hue", common.hue, 0.5),
            ("jitter_strength", common.jitter_strength.unwrap_or(1.0), 10.0),
        ])?;
        let strength = common.jitter_strength.unwrap_or(by_size(common.size, SMALL_STRENGTH, 1.0));
        Ok(Self {
            size: common.size,
            crop: common.crop.then_some(Crop { area: common.crop_area, aspect: common.crop_aspect }),
            jitter_probability: common.jitter_probability,
            jitter: ColourJitter {
                brightness: common.brightness * strength,
                contrast: common.contrast * strength,
                saturation: common.saturation * strength,
                hue: (common.hue * strength).min(0.5), // half a turn is the furthest
            },
            grayscale_probability: common.grayscale_probability,
            blur_probability: 0.0,
            blur_sigma: common.blur_sigma,
            solarise_probability: 0.0,
            randaugment: None,
        })
    }

    /// The same with these probabilities of blur and solarising.
    ///
    /// # Errors
    /// A number that is no probability.
    pub fn with(mut self, blur_probability: f64, solarise_probability: f64) -> Result<Self> {
        config_numbers(&[
            ("blur_probability", blur_probability, 1.0),
            ("solarise_probability", solarise_probability, 1.0),
        ])?;
        (self.blur_probability, self.solarise_probability) = (blur_probability, solarise_probability);
        Ok(self)
    }

    /// The same for views of another side.
    pub fn of_size(self, size: u32) -> Self {
        Self { size, ..self }
    }

    /// The same with RandAugment at the end.
    pub fn with_randaugment(self, randaugment: RandAugment) -> Self {
        Self { randaugment: Some(randaugment), ..self }
    }

    /// What a view of an image (width, height) goes through, RandAugment left out.
    pub fn draw(&self, [width, height]: [u32; 2], flip: bool, key: Key) -> Drawn {
        let rng = |purpose: &str| key.purpose(purpose).rng();
        let place = match &self.crop {
            Some(Crop { area, aspect }) => Place::Crop(random_region(width, height, *area, *aspect, &mut rng("crop"))),
            None => Place::Whole,
        };
        let (mut jitter, mut blur) = (rng("jitter"), rng("blur"));
        Drawn {
            place,
            flip,
            jitter: jitter.chance(self.jitter_probability).then(|| self.jitter.draw(&mut jitter)),
            grayscale: rng("grayscale").chance(self.grayscale_probability),
            blur: blur
                .chance(self.blur_probability)
                .then(|| blur.uniform(self.blur_sigma[0], self.blur_sigma[1]) as f32),
            solarise: rng("solarise").chance(self.solarise_probability),
        }
    }

    /// Writes a view of an image.
    pub fn apply(&self, from: Rgb8Ref<'_>, flip: bool, key: Key, to: &mut Rgb8Mut<'_>) {
        let drawn = self.draw([from.width, from.height], flip, key);
        match drawn.place {
            Place::Crop(region) => resized_crop(from, region, to),
            Place::Whole | Place::Moved { .. } => evaluation_view(from, to),
        }
        if drawn.flip {
            flip_horizontal(to);
        }
        drawn.recolour(to);
        if let Some(randaugment) = &self.randaugment {
            randaugment.apply(to, &mut key.purpose("randaugment").rng());
        }
    }

    /// The same for batches; none with RandAugment.
    pub fn set(&self) -> Option<Set> {
        let layout = match self.crop {
            Some(_) => Layout::Crop,
            None => Layout::Whole { short_side: short_side(self.size), keeps: true, furthest: 0 },
        };
        self.randaugment.is_none().then_some(Set {
            size: self.size,
            layout,
            jitter: self.jitter_probability > 0.0,
            hue: self.jitter.hue > 0.0,
            grayscale: self.grayscale_probability > 0.0,
            blur: self.blur_probability > 0.0,
            solarise: self.solarise_probability > 0.0,
        })
    }
}

/// The view that evaluation sees: the short side resized, the centre cut out; above 32 pixels with the usual margin.
pub fn evaluation_view(from: Rgb8Ref<'_>, to: &mut Rgb8Mut<'_>) {
    if (from.width, from.height) == (to.width, to.height) {
        to.pixels.copy_from_slice(from.pixels);
        return;
    }
    resize_centre_crop(from, short_side(to.width), to);
}

fn short_side(size: u32) -> u32 {
    by_size(size, size, size * 8 / 7) // 256 for 224
}

/// A value for small views, or the one for larger ones.
pub fn by_size<T>(size: u32, small: T, large: T) -> T {
    if size <= SMALL { small } else { large }
}
