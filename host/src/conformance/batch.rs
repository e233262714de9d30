//! Checks of an augmentation's views in batch: those that it makes of each image alone, whatever else is in the batch.

use super::{
    subject::{no_panic, said, take},
    tensors::{leaving_no_trace, torch_said},
};
use crate::tensor;
use infomax_abi::{
    BatchVTableRef, FfiAugmentation, FfiImage, FfiView,
    augmentation::{BATCH_ID, batch_from_extension},
};
use infomax_sdk::{AugmentationDescription, Error, ErrorKind, Key};
use tch::{Kind, Tensor};

/// Images of a batch.
const IMAGES: u64 = 12;
/// Levels of 255 that a pixel may be apart.
const MOST: u8 = 1;

/// An augmentation with its table for batches, and images of one size.
pub(super) struct Batch<'a> {
    augmentation: &'a FfiAugmentation,
    description: &'a AugmentationDescription,
    table: BatchVTableRef,
}

/// What a batch gives: of each view, each image's bytes.
type Made = Vec<Vec<Vec<u8>>>;

impl<'a> Batch<'a> {
    /// None where the augmentation makes no views in batch.
    pub fn of(augmentation: &'a FfiAugmentation, description: &'a AugmentationDescription) -> Option<Self> {
        // SAFETY: the pointer is what the augmentation gives for this id.
        let table =
            unsafe { batch_from_extension(augmentation.vtable.extension()(augmentation.instance, BATCH_ID.into())) }?;
        Some(Self { augmentation, description, table })
    }

    /// The views of images of some sizes, in batch, against those of each image alone; how far they are apart.
    pub fn equals_one_by_one(&self, sizes: &[[u32; 2]]) -> Result<String, String> {
        let (mut apart, mut bytes) = (0, 0);
        for &size in sizes {
            let Some(count) = self.numbers(size)? else { continue };
            let [width, height] = size;
            let numbers: Vec<Vec<f32>> = (0..IMAGES).map(|at| self.draw(size, at, count)).collect::<Result<_, _>>()?;
            let images: Vec<Vec<u8>> = (0..IMAGES).map(|at| image(size, at)).collect();
            let order: Vec<usize> = (0..IMAGES as usize).collect();
            let together = self.views(size, &images, &numbers, &order)?;
            for (at, pixels) in images.iter().enumerate() {
                let alone = self.train(size, pixels, Key::new(8).fold(at as u64))?;
                for (view, alone) in alone.iter().enumerate() {
                    let differences = together[view][at].iter().zip(alone).map(|(a, b)| a.abs_diff(*b));
                    let most = differences.clone().max().unwrap_or_default();
                    if most > MOST {
                        return Err(format!(
                            "view {view} of an image of {width}×{height} is {most} of 255 apart from what `train_views` \
                             makes by the same key"
                        ));
                    }
                    apart += differences.filter(|&difference| difference > 0).count();
                    bytes += alone.len();
                }
            }
            self.does_not_depend_on_others(size, &images, &numbers, &together)?;
        }
        Ok(match (apart, bytes) {
            (_, 0) => "it takes none of the images that were tried".to_owned(),
            (0, _) => "to the byte what `train_views` makes".to_owned(),
            _ => format!("{apart} of {bytes} bytes differ by 1 from what `train_views` makes"),
        })
    }

    fn does_not_depend_on_others(
        &self,
        size: [u32; 2],
        images: &[Vec<u8>],
        numbers: &[Vec<f32>],
        together: &Made,
    ) -> Result<(), String> {
        let some: Vec<usize> = (0..images.len()).rev().step_by(3).collect();
        for order in [some, vec![1]] {
            let made = self.views(size, images, numbers, &order)?;
            for (view, made) in made.iter().enumerate() {
                if order.iter().zip(made).any(|(&at, pixels)| together[view][at] != *pixels) {
                    return Err("the views of an image depend on what else is in the batch".to_owned());
                }
            }
        }
        Ok(())
    }

    /// None for a size that is refused.
    fn numbers(&self, [width, height]: [u32; 2]) -> Result<Option<usize>, String> {
        let answer = take(self.table.numbers()(self.augmentation.instance, width, height));
        no_panic(&format!("numbers for an image of {width}×{height}"), &answer)?;
        match answer {
            Ok(count) => Ok(Some(count as usize)),
            Err(error) if error.kind == ErrorKind::Data => Ok(None),
            Err(error) => Err(format!("an image of {width}×{height} is to be refused as a data error: {error}")),
        }
    }

    fn draw(&self, size: [u32; 2], image: u64, count: usize) -> Result<Vec<f32>, String> {
        let [a, b] = Key::new(8).fold(image).0;
        let draw = |fill: f32| -> Result<Vec<f32>, String> {
            let mut numbers = vec![fill; count];
            let call = self.table.draw();
            let drawn = call(self.augmentation.instance, size[0], size[1], a, b, numbers.as_mut_slice().into());
            take(drawn).map_err(said)?;
            Ok(numbers)
        };
        let (numbers, again) = (draw(f32::NAN)?, draw(-7.5)?);
        let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        if bits(&numbers) == bits(&again) {
            return Ok(numbers);
        }
        Err("one key draws different numbers, or a number is not written".to_owned())
    }

    /// The views of some of the images, in this order.
    fn views(
        &self,
        [width, height]: [u32; 2],
        images: &[Vec<u8>],
        numbers: &[Vec<f32>],
        order: &[usize],
    ) -> Result<Made, String> {
        let rows = order.len() as i64;
        let pixels: Vec<u8> = order.iter().flat_map(|&at| images[at].iter().copied()).collect();
        let drawn: Vec<f32> = order.iter().flat_map(|&at| numbers[at].iter().copied()).collect();
        let images = Tensor::from_slice(&pixels).view([rows, height.into(), width.into(), 3]);
        let drawn = Tensor::from_slice(&drawn).view([rows, -1]);
        let given = tch::no_grad(|| {
            leaving_no_trace(|| {
                let call = self.table.batch_views();
                take(call(self.augmentation.instance, tensor::lend(&images), tensor::lend(&drawn))).map_err(said)
            })
        })?;
        let views = &self.description.views;
        if given.len() != views.len() {
            return Err(format!("{} views, expected {}", given.len(), views.len()));
        }
        let read = |(given, view): (infomax_abi::FfiTensor, &infomax_sdk::View)| {
            // SAFETY: the plugin handed the tensor over.
            let tensor = unsafe { tensor::take(given) }.filter(Tensor::defined).ok_or("a view is undefined")?;
            let shape = [rows, view.height.into(), view.width.into(), 3];
            if tensor.size() != shape || tensor.kind() != Kind::Uint8 {
                let (size, kind) = (tensor.size(), tensor.kind());
                return Err(format!("a view is {size:?} of {kind:?}, expected {shape:?} of Uint8"));
            }
            let bytes = Vec::<u8>::try_from(tensor.reshape([-1])).map_err(torch_said)?;
            Ok(bytes.chunks_exact((view.height * view.width * 3) as usize).map(<[u8]>::to_vec).collect())
        };
        given.into_iter().zip(views).map(read).collect()
    }

    fn train(&self, [width, height]: [u32; 2], pixels: &[u8], key: Key) -> Result<Vec<Vec<u8>>, String> {
        let sizes = || self.description.views.iter().map(|view| [view.width, view.height]);
        let mut buffers: Vec<Vec<u8>> = sizes().map(|[w, h]| vec![0; (w * h * 3) as usize]).collect();
        let mut views: Vec<FfiView<'_>> = sizes()
            .zip(&mut buffers)
            .map(|([width, height], buffer)| FfiView { width, height, pixels: buffer.as_mut_slice().into() })
            .collect();
        let ([a, b], image) = (key.0, FfiImage { width, height, pixels: pixels.into() });
        let call = self.augmentation.vtable.train_views();
        let made: Result<(), Error> = take(call(self.augmentation.instance, image, a, b, views.as_mut_slice().into()));
        made.map_err(said)?;
        drop(views);
        Ok(buffers)
    }
}

/// Noise over a coloured slope: every operation changes it.
fn image([width, height]: [u32; 2], number: u64) -> Vec<u8> {
    let mut rng = Key::new(u64::from(width) << 32 | u64::from(height)).fold(number).rng();
    let (reach, colour) = (40 + 8 * number, [0; 3].map(|_| rng.below(200)));
    let mut pixels = Vec::new();
    for at in 0..u64::from(width) * u64::from(height) {
        let slope = at % u64::from(width) * 60 / u64::from(width);
        pixels.extend(colour.map(|level| (level + slope + rng.below(reach)).min(255) as u8));
    }
    pixels
}
