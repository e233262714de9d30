//! Two copies of an image.

use crate::config::{Callback, Fault, FaultyConfig};
use infomax_sdk::{
    Augmentation, AugmentationDescription, BatchAugmentation, Error, ImageRef, Key, Kind, Result, Tensor, View, ViewMut,
};

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

    fn batch(&self) -> Option<&dyn BatchAugmentation> {
        Some(self)
    }
}

impl BatchAugmentation for FaultyAugmentation {
    fn numbers(&self, width: u32, height: u32) -> Result<usize> {
        if [width, height] == [SIDE; 2] { Ok(1) } else { Err(Error::data("the image is not of the view's size")) }
    }

    fn draw(&self, _width: u32, _height: u32, _key: Key, numbers: &mut [f32]) -> Result<()> {
        self.0.trip(Callback::Draw)?;
        if !self.0.has(Callback::Draw, Fault::Missing) {
            numbers.fill(0.0);
        }
        Ok(())
    }

    fn batch_views(&self, images: &Tensor, numbers: &Tensor) -> Result<Vec<Tensor>> {
        self.0.trip(Callback::BatchViews)?;
        let has = |fault: Fault| self.0.has(Callback::BatchViews, fault);
        let added = if has(Fault::GradientWrong) {
            Tensor::full([1i64], 2.0, Kind::F32, images.device())
        } else if has(Fault::ByPlace) {
            Tensor::arange(0, images.size_of(0), Kind::F32, images.device()).remainder(2)
        } else {
            numbers.select(1, 0)
        };
        let views = (images.to_kind(Kind::F32) + added.view([-1, 1, 1, 1])).clamp(0.0, 255.0).to_kind(Kind::U8);
        let views = if has(Fault::Shape) { views.permute([0, 3, 1, 2]) } else { views };
        Ok(if has(Fault::ViewTooFew) { vec![views] } else { vec![views.clone(), views] })
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
