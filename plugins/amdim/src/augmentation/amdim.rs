//! `amdim`: the views of the paper. Every random choice has a key of its own, so that switching one off leaves the
//! others as they were.

use crate::config::augmentation::{AmdimAugmentation, Flip};
use infomax_image::{
    Rgb8, Rgb8Ref,
    operations::{flip_horizontal, resize_centre_crop, resized_crop, translate_reflect},
};
use infomax_sdk::{
    Augmentation, AugmentationDescription, BatchAugmentation, Error, ImageRef, Key, Result, Tensor, View, ViewMut,
    views::{
        ColourJitter,
        batch::{Drawn, Groups, Layout, Place, Set},
        config_numbers, config_range, config_std, image, random_region, view,
    },
};
use std::borrow::Cow;

/// What the published code fixes for a size.
struct Published {
    /// Side of a view.
    size: u32,
    /// Short side before the centre crop of the view for evaluation.
    short_side: u32,
    hue: f64,
    mean: [f64; 3],
    std: [f64; 3],
}

const PUBLISHED: [Published; 3] = [
    Published {
        size: 32,
        short_side: 32,
        hue: 0.2,
        mean: [125.3 / 255.0, 123.0 / 255.0, 113.9 / 255.0],
        std: [63.0 / 255.0, 62.1 / 255.0, 66.7 / 255.0],
    },
    Published { size: 64, short_side: 70, hue: 0.2, mean: [0.43, 0.42, 0.39], std: [0.27, 0.26, 0.27] },
    Published { size: 128, short_side: 146, hue: 0.1, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
];

/// AMDIM's augmentation.
pub struct Amdim {
    config: AmdimAugmentation,
    short_side: u32,
    hue: f64,
    groups: Groups,
}

const VIEWS: usize = 2;

impl Augmentation for Amdim {
    type Config = AmdimAugmentation;

    fn describe(config: &AmdimAugmentation) -> Result<AugmentationDescription> {
        let published = published(config)?;
        check(config)?;
        let size = config.size;
        let view = |name: &str| View { name: name.to_owned(), height: size, width: size, group: 0 };
        Ok(AugmentationDescription {
            views: vec![view("one"), view("two")],
            eval_size: [size, size],
            mean: config.mean.unwrap_or(published.mean),
            std: config.std.unwrap_or(published.std),
            decode_short_side: config.decode_short_side,
        })
    }

    fn create(config: &AmdimAugmentation) -> Result<Self> {
        let published = published(config)?;
        check(config)?;
        let hue = config.hue.unwrap_or(published.hue);
        let short_side = published.short_side;
        let furthest = if config.crop { config.translation } else { 0 };
        let layout = match config.crop && config.size != 32 {
            true => Layout::Crop,
            false => Layout::Whole { short_side, keeps: false, furthest },
        };
        let set = Set {
            size: config.size,
            layout,
            jitter: config.jitter && config.jitter_probability > 0.0,
            hue: hue > 0.0,
            grayscale: config.grayscale_probability > 0.0,
            blur: false,
            solarise: false,
        };
        Ok(Self { config: config.clone(), short_side, hue, groups: Groups::new([(set, VIEWS)]) })
    }

    fn train_views(&self, from: ImageRef<'_>, key: Key, views: &mut [ViewMut<'_>]) -> Result<()> {
        let from = image(from)?;
        let square = if self.is_whole() { self.square(from) } else { Cow::Borrowed(from.pixels) };
        for (index, to) in views.iter_mut().enumerate() {
            let drawn = self.draw_view([from.width, from.height], key, index as u64);
            let mut to = view(to, self.config.size)?;
            match drawn.place {
                Place::Whole => to.pixels.copy_from_slice(&square),
                Place::Moved { right, down } => {
                    translate_reflect(Rgb8Ref::new(to.width, to.height, &square), right, down, &mut to);
                }
                Place::Crop(region) => resized_crop(from, region, &mut to),
            }
            if drawn.flip {
                flip_horizontal(&mut to);
            }
            drawn.recolour(&mut to);
        }
        Ok(())
    }

    fn eval_view(&self, from: ImageRef<'_>, to: &mut ViewMut<'_>) -> Result<()> {
        let square = self.square(image(from)?);
        view(to, self.config.size)?.pixels.copy_from_slice(&square);
        Ok(())
    }

    fn batch(&self) -> Option<&dyn BatchAugmentation> {
        Some(self)
    }
}

impl BatchAugmentation for Amdim {
    fn numbers(&self, width: u32, height: u32) -> Result<usize> {
        self.groups.numbers(width, height)
    }

    fn draw(&self, width: u32, height: u32, key: Key, numbers: &mut [f32]) -> Result<()> {
        self.groups.write([width, height], numbers, |view| self.draw_view([width, height], key, view))
    }

    fn batch_views(&self, images: &Tensor, numbers: &Tensor) -> Result<Vec<Tensor>> {
        Ok(self.groups.views(images, numbers))
    }
}

impl Amdim {
    /// The view for evaluation: borrowed where the image is of that size already.
    fn square<'i>(&self, from: Rgb8Ref<'i>) -> Cow<'i, [u8]> {
        let size = self.config.size;
        if size == 32 && (from.width, from.height) == (32, 32) {
            return Cow::Borrowed(from.pixels);
        }
        let mut square = Rgb8::new(size, size);
        resize_centre_crop(from, self.short_side, &mut square.as_mut());
        Cow::Owned(square.pixels)
    }

    /// At 32 pixels the views are translations of one square; otherwise each is cut from the image itself.
    fn is_whole(&self) -> bool {
        !self.config.crop || self.config.size == 32
    }

    /// What a view of an image goes through.
    fn draw_view(&self, [width, height]: [u32; 2], key: Key, view: u64) -> Drawn {
        let config = &self.config;
        let shared_flip = key.purpose("flip");
        let key = key.purpose("view").fold(view);
        let flip = match config.flip {
            Flip::Off => false,
            Flip::Shared => shared_flip.rng().chance(0.5),
            Flip::Independent => key.purpose("flip").rng().chance(0.5),
        };
        let place = match config.crop {
            false => Place::Whole,
            true if self.is_whole() => self.translate(flip, key.purpose("translate")),
            true => self.crop(width, height, flip, key.purpose("crop")),
        };
        let mut rng = key.purpose("jitter").rng();
        let jitter = (config.jitter && rng.chance(config.jitter_probability)).then(|| self.jitter().draw(&mut rng));
        let grayscale = key.purpose("grayscale").rng().chance(config.grayscale_probability);
        Drawn { place, flip, jitter, grayscale, blur: None, solarise: false }
    }

    /// The view is flipped afterwards, so a flipped image moves the other way.
    fn translate(&self, flip: bool, key: Key) -> Place {
        let mut rng = key.rng();
        if !rng.chance(self.config.translation_probability) {
            return Place::Whole;
        }
        let range = i64::from(self.config.translation);
        let mut draw = || (rng.below(2 * range as u64 + 1) as i64 - range) as i32;
        let (x, down) = (draw(), draw());
        Place::Moved { right: if flip { -x } else { x }, down }
    }

    /// The view is flipped afterwards, so a flipped image is cut at the mirrored place.
    fn crop(&self, width: u32, height: u32, flip: bool, key: Key) -> Place {
        let AmdimAugmentation { crop_area, crop_aspect, .. } = self.config;
        let mut region = random_region(width, height, crop_area, crop_aspect, &mut key.rng());
        if flip {
            region.left = width - region.left - region.width;
        }
        Place::Crop(region)
    }

    fn jitter(&self) -> ColourJitter {
        let AmdimAugmentation { brightness, contrast, saturation, .. } = self.config;
        ColourJitter { brightness, contrast, saturation, hue: self.hue }
    }
}

fn published(config: &AmdimAugmentation) -> Result<&'static Published> {
    PUBLISHED.iter().find(|published| published.size == config.size).ok_or_else(|| {
        Error::config(format!("`size` is `{}`", config.size)).hint("AMDIM's views have 32, 64 or 128 pixels a side")
    })
}

fn check(config: &AmdimAugmentation) -> Result<()> {
    config_range("crop_area", config.crop_area, [1e-4, 1.0])?;
    config_range("crop_aspect", config.crop_aspect, [0.01, 100.0])?;
    config_numbers(&[
        ("translation", f64::from(config.translation), 31.0),
        ("translation_probability", config.translation_probability, 1.0),
        ("jitter_probability", config.jitter_probability, 1.0),
        ("grayscale_probability", config.grayscale_probability, 1.0),
        ("brightness", config.brightness, 10.0),
        ("contrast", config.contrast, 10.0),
        ("saturation", config.saturation, 10.0),
        ("hue", config.hue.unwrap_or(0.0), 0.5),
    ])?;
    config.std.map_or(Ok(()), config_std)
}
