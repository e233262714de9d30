//! The augmentation kind: from one image to the views that training compares, and to the one that testing sees.
//!
//! In: an image in 8-bit RGB and a key. Out: 8-bit RGB written straight into the batch's buffers. The host normalises on
//! the device.

use crate::{Key, Result, Tensor};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A way to make views. Called by many loader threads at once; draws only from the key that it is given.
pub trait Augmentation: Send + Sync + Sized + 'static {
    /// The component's own table in the experiment file; its JSON Schema is in the manifest.
    type Config: DeserializeOwned;

    /// The views, the normalisation and what decoding may leave out.
    ///
    /// # Errors
    /// A config that can't work.
    fn describe(config: &Self::Config) -> Result<AugmentationDescription>;

    /// Builds the augmentation.
    ///
    /// # Errors
    /// A config that can't work.
    fn create(config: &Self::Config) -> Result<Self>;

    /// Writes every training view of an image, in the order of [`AugmentationDescription::views`].
    ///
    /// # Errors
    /// An image that no view can be made of.
    fn train_views(&self, image: ImageRef<'_>, key: Key, views: &mut [ViewMut<'_>]) -> Result<()>;

    /// Writes the view that evaluation sees.
    ///
    /// # Errors
    /// An image that no view can be made of.
    fn eval_view(&self, image: ImageRef<'_>, view: &mut ViewMut<'_>) -> Result<()>;

    /// The ability to make the same training views for a whole batch on the device; none without.
    fn batch(&self) -> Option<&dyn BatchAugmentation> {
        None
    }
}

/// An augmentation that makes training views in batch, where the images lie on the device as bytes. What is random is drawn
/// image by image on the processor, from the very key that [`Augmentation::train_views`] gets, and crosses as numbers, so that
/// both ways make the same views: equal pixels, or one of 255 apart.
///
/// See the [book](crate::book::augmentation) for an example.
pub trait BatchAugmentation {
    /// How many numbers hold what is drawn for all views of an image of this size.
    ///
    /// # Errors
    /// A size that is not for batches, as [`Error::data`](crate::Error::data): its images go through `train_views`.
    fn numbers(&self, width: u32, height: u32) -> Result<usize>;

    /// Draws for all views of an image. Called by many loader threads at once.
    ///
    /// # Errors
    /// An image that no view can be made of.
    fn draw(&self, width: u32, height: u32, key: Key, numbers: &mut [f32]) -> Result<()>;

    /// The views, in order. Called by one thread at a time, without gradients and without autocast. Nothing in it may wait for
    /// the device: no number is read back, and sizes don't depend on values. What it needs beside its arguments is put on the
    /// device once and kept.
    ///
    /// # Shapes
    /// Images B × H × W × 3 bytes, numbers B × as many as [`BatchAugmentation::numbers`] says, f32; each view
    /// B × height × width × 3 bytes.
    ///
    /// # Errors
    /// Any.
    fn batch_views(&self, images: &Tensor, numbers: &Tensor) -> Result<Vec<Tensor>>;
}

/// An image in 8-bit RGB, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct ImageRef<'a> {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// height × width × 3 bytes, row by row, red green blue.
    pub pixels: &'a [u8],
}

/// A view's place in the batch, to be written in full.
#[derive(Debug)]
pub struct ViewMut<'a> {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// height × width × 3 bytes, row by row, red green blue.
    pub pixels: &'a mut [u8],
}

/// What an augmentation makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AugmentationDescription {
    /// The training views, in order.
    pub views: Vec<View>,
    /// Height and width of the view for evaluation.
    pub eval_size: [u32; 2],
    /// Mean of each channel, for pixels in 0..1; the host subtracts it.
    pub mean: [f64; 3],
    /// Standard deviation of each channel, for pixels in 0..1; the host divides by it.
    pub std: [f64; 3],
    /// A JPEG may be decoded at 1/2, 1/4 or 1/8 as long as its short side stays at least this long; none: never.
    #[serde(default)]
    pub decode_short_side: Option<u32>,
}

/// One training view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Its name: `one`, `two`, `global1`, …
    pub name: String,
    /// In pixels.
    pub height: u32,
    /// In pixels.
    pub width: u32,
    /// Views of one group are drawn alike.
    pub group: u32,
}
