//! The host's side of an augmentation that makes views in batch: draws on the processor, views on the device.

use super::ForeignAugmentation;
use crate::{
    encoder::call_in,
    plugin::PluginError,
    tensor::{lend, take},
    train::Arithmetic,
};
use infomax_abi::{
    BatchVTableRef,
    augmentation::{BATCH_ID, batch_from_extension},
};
use infomax_sdk::{AugmentationDescription, Key};
use tch::{Kind, Tensor};

/// An augmentation's views in batch, of images of one size; shared by loader threads.
#[derive(Clone)]
pub struct ForeignBatch {
    augmentation: ForeignAugmentation,
    table: BatchVTableRef,
    /// Width and height of an image.
    size: [u32; 2],
    numbers: usize,
    /// Height and width of each view.
    views: Vec<[i64; 2]>,
}

impl ForeignBatch {
    /// The ability for images of this width and height; none where the augmentation lacks it.
    ///
    /// # Errors
    /// What the plugin says, also of images that are not for batches.
    pub fn new(
        augmentation: &ForeignAugmentation,
        description: &AugmentationDescription,
        size: [u32; 2],
    ) -> Result<Option<Self>, PluginError> {
        let ffi = augmentation.ffi();
        // SAFETY: the pointer is what the augmentation gives for this id.
        let table = unsafe { batch_from_extension(ffi.vtable.extension()(ffi.instance, BATCH_ID.into())) };
        let Some(table) = table else { return Ok(None) };
        let origin = &augmentation.component().origin;
        let numbers = origin.take("numbers", table.numbers()(ffi.instance, size[0], size[1]))?;
        let views = description.views.iter().map(|view| [view.height, view.width].map(i64::from)).collect();
        Ok(Some(Self { augmentation: augmentation.clone(), table, size, numbers: numbers as usize, views }))
    }

    /// How many numbers hold what is drawn for all views of an image.
    pub fn numbers(&self) -> usize {
        self.numbers
    }

    /// Draws for all views of an image.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn draw(&self, key: Key, numbers: &mut [f32]) -> Result<(), PluginError> {
        let ffi = self.augmentation.ffi();
        let ([width, height], [a, b]) = (self.size, key.0);
        let drawn = self.table.draw()(ffi.instance, width, height, a, b, numbers.into());
        self.augmentation.component().origin.take("draw", drawn)
    }

    /// The training views of images (B × H × W × 3 bytes) by what was drawn for them (B × numbers), each B × h × w × 3 bytes,
    /// checked. Nothing here waits for the device.
    ///
    /// # Errors
    /// What the plugin says, or what it got wrong.
    pub fn views(&self, images: &Tensor, numbers: &Tensor) -> Result<Vec<Tensor>, PluginError> {
        let (ffi, component) = (self.augmentation.ffi(), self.augmentation.component());
        let given = tch::no_grad(|| {
            call_in(Arithmetic::default(), component, "batch_views", || {
                self.table.batch_views()(ffi.instance, lend(images), lend(numbers))
            })
        });
        let given = component.origin.take("batch_views", given)?;
        let wrong = |message: String| Err(component.origin.breach("batch_views", message, "see `BatchAugmentation`"));
        if given.len() != self.views.len() {
            return wrong(format!("{} views, expected {}", given.len(), self.views.len()));
        }
        let mut views = Vec::with_capacity(given.len());
        for (view, (given, [height, width])) in given.into_iter().zip(&self.views).enumerate() {
            // SAFETY: the plugin handed the tensor over.
            let Some(tensor) = (unsafe { take(given) }).filter(Tensor::defined) else {
                return wrong(format!("view {view} is undefined"));
            };
            let shape = [images.size()[0], *height, *width, 3];
            if tensor.size() != shape || tensor.kind() != Kind::Uint8 || tensor.device() != images.device() {
                let (size, kind, device) = (tensor.size(), tensor.kind(), tensor.device());
                let expected = format!("{shape:?} of Uint8 on {:?}", images.device());
                return wrong(format!("view {view} is {size:?} of {kind:?} on {device:?}, expected {expected}"));
            }
            views.push(tensor);
        }
        Ok(views)
    }
}
