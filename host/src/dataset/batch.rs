//! Batches: the views of a step's samples, written by the augmentation straight into one buffer a view, or only drawn, where
//! the device makes them.

use super::{DeviceImages, Order, Resident, Source, Stage};
use crate::{
    augmentation::ForeignAugmentation,
    error::{Error, Result},
};
use infomax_sdk::{AugmentationDescription, Key, ViewMut};
use std::{ops::Range, sync::Arc};
use tch::Tensor;

/// One step's data: R rows of a global batch of B, all of them where a process trains alone.
#[derive(Clone)]
pub struct TrainBatch {
    /// Updates done before it.
    pub step: u64,
    /// Its epoch, from 0.
    pub epoch: u64,
    /// The training views.
    pub views: Views,
    /// R; −1 for none.
    pub labels: Vec<i64>,
    /// R: positions in the stage.
    pub indices: Vec<i64>,
    /// Whether the dataset says that every image of the stage has a label.
    pub all_labelled: bool,
}

/// The training views of a batch, or what they are to be made of.
#[derive(Clone)]
pub enum Views {
    /// For each view, R × H × W × 3 bytes.
    Bytes(Vec<Vec<u8>>),
    /// To be made on the device, where the images lie.
    Drawn(Drawn),
}

/// What was drawn for images that lie on the device, at [`TrainBatch::indices`].
#[derive(Clone)]
pub struct Drawn {
    /// R × [`DeviceImages::numbers`].
    pub numbers: Vec<f32>,
    /// Where the images lie.
    pub images: Arc<DeviceImages>,
}

impl Drawn {
    /// The views, each R × H × W × 3 bytes on the device, of the images at some positions.
    ///
    /// # Errors
    /// What the plugin says, or libtorch's message.
    pub fn views(&self, positions: &[i64]) -> Result<Vec<Tensor>> {
        let upload = || {
            let device = self.images.device();
            let numbers = Tensor::f_from_slice(&self.numbers)?.f_view([positions.len() as i64, -1])?;
            Ok((Tensor::f_from_slice(positions)?.f_to_device(device)?, numbers.f_to_device(device)?))
        };
        let (positions, numbers) =
            upload().map_err(Error::torch::<tch::TchError>("put what was drawn on the device"))?;
        self.images.views(&positions, &numbers)
    }
}

/// Data for evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalBatch {
    /// B × H × W × 3 bytes.
    pub view: Vec<u8>,
    /// B.
    pub labels: Vec<i64>,
}

/// Makes batches of a stage; shared by loader threads.
#[derive(Clone)]
pub struct BatchMaker {
    pub source: Source,
    pub stage: Stage,
    pub augmentation: ForeignAugmentation,
    pub description: Arc<AugmentationDescription>,
    /// Whether the dataset says that every image of the stage has a label.
    all_labelled: bool,
}

impl BatchMaker {
    /// Batches of a stage through an augmentation that is described like this.
    pub fn new(
        source: Source,
        stage: Stage,
        augmentation: ForeignAugmentation,
        description: Arc<AugmentationDescription>,
    ) -> Self {
        let all_labelled = source.is_labelled(&stage);
        Self { source, stage, augmentation, description, all_labelled }
    }

    /// The same of another stage.
    #[must_use]
    pub fn of(&self, stage: Stage) -> Self {
        Self::new(self.source.clone(), stage, self.augmentation.clone(), self.description.clone())
    }

    /// Some rows of the batch of a step; every draw comes from (key, epoch, position).
    ///
    /// # Errors
    /// A bad image, by policy, or a plugin's failure.
    pub fn train(&self, order: &Order, key: Key, step: u64, rows: Range<usize>) -> Result<TrainBatch> {
        self.rows(order, key, step, rows, |position, key, places| {
            let image = self.source.sample(&self.stage, position)?;
            self.augmentation.train_views(image.as_image(), key, places)?;
            Ok(image.label)
        })
    }

    /// The same of images that stay in memory; where they lie on a device, only what their views are to be is drawn.
    ///
    /// # Errors
    /// A plugin's failure.
    pub fn train_from(
        &self,
        resident: &Resident,
        order: &Order,
        key: Key,
        step: u64,
        rows: Range<usize>,
    ) -> Result<TrainBatch> {
        let images = match resident {
            Resident::Host(images) => {
                return self.rows(order, key, step, rows, |position, key, places| {
                    self.augmentation.train_views(images.image(position), key, places)?;
                    Ok(images.label(position))
                });
            }
            Resident::Device(images) => images,
        };
        let epoch = order.epoch(step);
        let positions = order.batch(step)[rows].to_vec();
        let count = images.numbers();
        let mut numbers = vec![0.0; positions.len() * count];
        for (row, &position) in positions.iter().enumerate() {
            images.draw(key.fold(epoch).fold(position), &mut numbers[row * count..(row + 1) * count])?;
        }
        let labels = positions.iter().map(|&position| images.label(position)).collect();
        let indices = positions.iter().map(|&position| position as i64).collect();
        let views = Views::Drawn(Drawn { numbers, images: images.clone() });
        Ok(TrainBatch { step, epoch, views, labels, indices, all_labelled: self.all_labelled })
    }

    /// Rows whose views are bytes: `write` is given a position, its key and the places of its views, and gives the label.
    fn rows(
        &self,
        order: &Order,
        key: Key,
        step: u64,
        rows: Range<usize>,
        mut write: impl FnMut(u64, Key, &mut [ViewMut<'_>]) -> Result<i64>,
    ) -> Result<TrainBatch> {
        let epoch = order.epoch(step);
        let positions = order.batch(step)[rows].to_vec();
        let bytes = |height: u32, width: u32| height as usize * width as usize * 3;
        let views = &self.description.views;
        let mut buffers: Vec<Vec<u8>> =
            views.iter().map(|view| vec![0; positions.len() * bytes(view.height, view.width)]).collect();
        let mut labels = Vec::with_capacity(positions.len());
        for (row, &position) in positions.iter().enumerate() {
            let mut places: Vec<ViewMut<'_>> = views
                .iter()
                .zip(&mut buffers)
                .map(|(view, buffer)| {
                    let size = bytes(view.height, view.width);
                    let pixels = &mut buffer[row * size..(row + 1) * size];
                    ViewMut { width: view.width, height: view.height, pixels }
                })
                .collect();
            labels.push(write(position, key.fold(epoch).fold(position), &mut places)?);
        }
        let indices = positions.iter().map(|&position| position as i64).collect();
        Ok(TrainBatch { step, epoch, views: Views::Bytes(buffers), labels, indices, all_labelled: self.all_labelled })
    }

    /// The evaluation views of some positions, in order; bad images, where the policy allows them, are left out.
    ///
    /// # Errors
    /// A bad image, by policy, or a plugin's failure.
    pub fn eval(&self, positions: impl IntoIterator<Item = u64>) -> Result<EvalBatch> {
        let [height, width] = self.description.eval_size;
        let size = height as usize * width as usize * 3;
        let mut batch = EvalBatch { view: Vec::new(), labels: Vec::new() };
        for position in positions {
            let Some(image) = self.source.sample_if_good(&self.stage, position)? else { continue };
            let start = batch.view.len();
            batch.view.resize(start + size, 0);
            let mut place = ViewMut { width, height, pixels: &mut batch.view[start..] };
            self.augmentation.eval_view(image.as_image(), &mut place)?;
            batch.labels.push(image.label);
        }
        Ok(batch)
    }
}
