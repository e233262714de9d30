//! `none`: the short side resized, the centre cut out; every view is the same.

use crate::config::NoAugmentation;
use infomax_image::operations::resize_centre_crop;
use infomax_sdk::{
    Augmentation, AugmentationDescription, BatchAugmentation, Error, ImageRef, Key, Result, Tensor, View, ViewMut,
    views::{
        batch::{Drawn, Groups, Layout, Place, Set},
        config_std, image, view,
    },
};

/// No augmentation.
pub struct None {
    size: u32,
    groups: Groups,
}

impl Augmentation for None {
    type Config = NoAugmentation;

    fn describe(config: &NoAugmentation) -> Result<AugmentationDescription> {
        let size = config.size;
        if !(1..=4096).contains(&size) || !(1..=64).contains(&config.views) {
            return Err(Error::config(format!("`size` is `{size}` and `views` is `{}`", config.views))
                .hint("`size` lies within 1 and 4096, `views` within 1 and 64"));
        }
        config_std(config.std)?;
        let views = (1..=config.views)
            .map(|index| View { name: format!("view{index}"), height: size, width: size, group: 0 })
            .collect();
        Ok(AugmentationDescription {
            views,
            eval_size: [size, size],
            mean: config.mean,
            std: config.std,
            decode_short_side: Option::None,
        })
    }

    fn create(config: &NoAugmentation) -> Result<Self> {
        Self::describe(config)?;
        let size = config.size;
        let set = Set {
            size,
            layout: Layout::Whole { short_side: size, keeps: true, furthest: 0 },
            jitter: false,
            hue: false,
            grayscale: false,
            blur: false,
            solarise: false,
        };
        Ok(Self { size, groups: Groups::new([(set, config.views as usize)]) })
    }

    fn train_views(&self, image: ImageRef<'_>, _key: Key, views: &mut [ViewMut<'_>]) -> Result<()> {
        let Some((first, others)) = views.split_first_mut() else { return Ok(()) };
        self.eval_view(image, first)?;
        for other in others {
            view(other, self.size)?.pixels.copy_from_slice(first.pixels);
        }
        Ok(())
    }

    fn eval_view(&self, from: ImageRef<'_>, to: &mut ViewMut<'_>) -> Result<()> {
        resize_centre_crop(image(from)?, self.size, &mut view(to, self.size)?);
        Ok(())
    }
    fn batch(&self) -> Option<&dyn BatchAugmentation> {
        Some(self)
    }
}

impl BatchAugmentation for None {
    fn numbers(&self, width: u32, height: u32) -> Result<usize> {
        self.groups.numbers(width, height)
    }

    fn draw(&self, width: u32, height: u32, _key: Key, numbers: &mut [f32]) -> Result<()> {
        let plain = Drawn {
            place: Place::Whole,
            flip: false,
            jitter: Option::None,
            grayscale: false,
            blur: Option::None,
            solarise: false,
        };
        self.groups.write([width, height], numbers, |_| plain)
    }

    fn batch_views(&self, images: &Tensor, numbers: &Tensor) -> Result<Vec<Tensor>> {
        Ok(self.groups.views(images, numbers))
    }
}
