//! A step's data on the device: one copy to a GPU, made while it computes the step before, and normalised there.
//!
//! Shapes: R rows of this rank · H, W sides.

use crate::{
    dataset::{TrainBatch, Views},
    error::{Error, Fault, Result},
    native::upload::upload,
};
use infomax_sdk::AugmentationDescription;
use tch::{Device, Kind, TchError, Tensor};

/// A step's data on the device.
pub struct Input {
    /// Updates done before it.
    pub step: u64,
    /// Its epoch, from 0.
    pub epoch: u64,
    /// Bytes of views, R × H × W × 3 each; views of one size are one tensor, one after the other.
    pub views: Vec<Tensor>,
    /// R, on the device.
    pub labels: Tensor,
    /// R, on the device: positions in the stage.
    pub indices: Tensor,
    /// Which rows have a label.
    pub known: Known,
}

/// Which rows of a batch have a label, as far as the host can tell without asking the device.
#[derive(Debug)]
pub enum Known {
    /// All of them.
    All,
    /// These: positions on the device.
    Rows(Tensor),
    /// None is sure on other ranks: they are to be asked.
    Asked { labels: Vec<i64>, indices: Vec<i64> },
}

impl Input {
    /// Brings a batch to a device; a GPU is not waited for. `alone`: there are no other ranks. `alike`: all views have one size.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn of(batch: &TrainBatch, device: Device, alone: bool, alike: bool) -> Result<Self> {
        let known: Vec<i64> = (0..).zip(&batch.labels).filter(|(_, label)| **label >= 0).map(|(row, _)| row).collect();
        let all_known = known.len() == batch.labels.len();
        if !alone && batch.all_labelled && !all_known {
            let fault = Fault::new("an image of a split that is said to be labelled has no label");
            let hint = "let the dataset say `labelled: false` of that split, so that ranks ask one another";
            return Err(Error::Dataset { fault: fault.hint(hint) });
        }
        let by_rows = alone && !all_known;
        let mut pieces: Vec<&[u8]> = match &batch.views {
            Views::Bytes(views) => views.iter().map(Vec::as_slice).collect(),
            Views::Drawn(drawn) => vec![bytes_of(&drawn.numbers)],
        };
        let joined = if alike { pieces.len() } else { 1 };
        pieces.extend([bytes_of(&batch.labels), bytes_of(&batch.indices)]);
        pieces.extend(by_rows.then(|| bytes_of(&known)));
        let mut tensors = match device {
            Device::Cuda(index) => {
                upload(index, &pieces, joined).map_err(Error::native("bring a batch to the device"))?
            }
            _ => {
                let copies: Result<Vec<_>, _> = pieces.iter().map(|piece| Tensor::f_from_slice(piece)).collect();
                let mut copies = copies.map_err(Error::torch("prepare a batch"))?;
                let rest = copies.split_off(joined);
                let views = Tensor::f_cat(&copies, 0).map_err(Error::torch("prepare a batch"))?;
                std::iter::once(views).chain(rest).collect()
            }
        };
        let mut numbers = || {
            let bytes = tensors.pop().expect("as many as there are pieces");
            bytes.f_view_dtype(Kind::Int64).map_err(Error::torch("prepare a batch"))
        };
        let known = by_rows.then(&mut numbers).transpose()?;
        let (indices, labels) = (numbers()?, numbers()?);
        let known = if let Some(rows) = known {
            Known::Rows(rows)
        } else if alone || batch.all_labelled {
            Known::All
        } else {
            Known::Asked { labels: batch.labels.clone(), indices: batch.indices.clone() }
        };
        let views = match &batch.views {
            Views::Bytes(_) => tensors,
            Views::Drawn(drawn) => {
                let numbers = tensors[0].f_view_dtype(Kind::Float);
                let numbers = numbers.and_then(|numbers| numbers.f_view([labels.size()[0], -1]));
                drawn.images.views(&indices, &numbers.map_err(Error::torch("prepare a batch"))?)?
            }
        };
        Ok(Self { step: batch.step, epoch: batch.epoch, views, labels, indices, known })
    }
}

fn bytes_of<T: Plain>(numbers: &[T]) -> &[u8] {
    // SAFETY: a plain number has no padding, any byte is a u8, and the length in bytes is that of the slice.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

/// A number without padding.
trait Plain: Copy {}

impl Plain for i64 {}
impl Plain for f32 {}

/// Subtracts the mean and divides by the standard deviation of each channel.
pub struct Normalisation {
    scale_c: Tensor,
    shift_c: Tensor,
    device: Device,
}

impl Normalisation {
    /// The normalisation of an augmentation.
    ///
    /// # Errors
    /// libtorch's.
    pub fn new(description: &AugmentationDescription, device: Device) -> Result<Self, TchError> {
        let channels = |value: &dyn Fn(usize) -> f64| {
            let values: Vec<f32> = (0..3).map(|c| value(c) as f32).collect();
            Tensor::f_from_slice(&values)?.f_to_device(device)
        };
        let (mean, std) = (description.mean, description.std);
        let scale_c = channels(&|c| 1.0 / (255.0 * std[c]))?;
        Ok(Self { scale_c, shift_c: channels(&|c| mean[c] / std[c])?, device })
    }

    /// B × H × W × 3 bytes as B × 3 × H × W f32, channels-last in memory.
    ///
    /// # Errors
    /// libtorch's.
    pub fn apply(&self, bytes: &[u8], height: u32, width: u32) -> Result<Tensor, TchError> {
        self.apply_there(&Tensor::f_from_slice(bytes)?.f_to_device(self.device)?, height, width)
    }

    /// The same of bytes that lie on the device.
    ///
    /// # Errors
    /// libtorch's.
    pub fn apply_there(&self, bytes: &Tensor, height: u32, width: u32) -> Result<Tensor, TchError> {
        let pixels_bhwc = bytes.f_view([-1, height.into(), width.into(), 3])?;
        let mut x_bhwc = pixels_bhwc.f_to_kind(Kind::Float)?;
        x_bhwc.f_mul_(&self.scale_c)?.f_sub_(&self.shift_c)?.f_permute([0, 3, 1, 2])
    }
}
