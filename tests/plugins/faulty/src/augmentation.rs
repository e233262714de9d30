//! Two copies of an image.

use crate::config::{Callback, Fault, FaultyConfig};
use infomax_sdk::{Augmentation, AugmentationDescription, Error, ImageRef, Key, Result, View, ViewMut};

const SIDE: u32 = 4;

/// The augmentation.
pub struct FaultyAugmentation(FaultyConfig);

impl Augmentation for FaultyAugmentation {
    type Config = FaultyConfig;

    fn describe(config: &FaultyConfig) -> Result<AugmentationDescription> {
        config.trip(Callback::Describe)?;
        let view = |name: &str| View { name: name.to_owned(), height: SIDE, width: SIDE, group: 0 };
        let side = if config.has(Callback::Describe, Fault::Shape) { 0 } else { SIDE };
        let missing = config.has(Callback::Describe, Fault::Missing);
        Ok(AugmentationDescription {
            views: if missing { Vec::new() } else { vec![view("one"), view("two")] },
            eval_size: [side, side],
            mean: [0.5; 3],
            std: [0.25; 3],
            decode_short_side: None,
        })
    }

    fn create(config: &FaultyConfig) -> Result<Self> {
        config.trip(Callback::Create)?;
        Ok(Self(config.clone()))
    }

    fn train_views(&self, image: ImageRef<'_>, _key: Key, views: &mut [ViewMut<'_>]) -> Result<()> {
        self.0.trip(Callback::TrainViews)?;
        views.iter_mut().try_for_each(|view| copy(image, view))
    }

    fn eval_view(&self, image: ImageRef<'_>, view: &mut ViewMut<'_>) -> Result<()> {
        self.0.trip(Callback::EvalView)?;
        copy(image, view)
    }
}

fn copy(image: ImageRef<'_>, view: &mut ViewMut<'_>) -> Result<()> {
    if image.pixels.len() != view.pixels.len() {
        return Err(Error::data("the image is not of the view's size"));
    }
    view.pixels.copy_from_slice(image.pixels);
    Ok(())
}

impl Drop for FaultyAugmentation {
    fn drop(&mut self) {
        self.0.trip_hard(Callback::Drop);
    }
}
