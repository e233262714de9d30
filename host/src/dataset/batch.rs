//! Batches: the views of a step's samples, written by the augmentation straight into one buffer a view.

use super::{Order, Source, Stage};
use crate::{augmentation::ForeignAugmentation, error::Result};
use infomax_sdk::{AugmentationDescription, Key, ViewMut};
use std::{ops::Range, sync::Arc};

/// One step's data: R rows of a global batch of B, all of them where a process trains alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainBatch {
    /// Updates done before it.
    pub step: u64,
    /// Its epoch, from 0.
    pub epoch: u64,
    /// For each view, R × H × W × 3 bytes.
    pub views: Vec<Vec<u8>>,
    /// R; −1 for none.
    pub labels: Vec<i64>,
    /// R: positions in the stage.
    pub indices: Vec<i64>,
    /// Whether the dataset says that every image of the stage has a label.
    pub all_labelled: bool,
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
        let epoch = order.epoch(step);
        let positions = order.batch(step)[rows].to_vec();
        let bytes = |height: u32, width: u32| height as usize * width as usize * 3;
        let views = &self.description.views;
        let mut buffers: Vec<Vec<u8>> =
            views.iter().map(|view| vec![0; positions.len() * bytes(view.height, view.width)]).collect();
        let mut labels = Vec::with_capacity(positions.len());
        for (row, &position) in positions.iter().enumerate() {
            let image = self.source.sample(&self.stage, position)?;
            labels.push(image.label);
            let mut places: Vec<ViewMut<'_>> = views
                .iter()
                .zip(&mut buffers)
                .map(|(view, buffer)| {
                    let size = bytes(view.height, view.width);
                    let pixels = &mut buffer[row * size..(row + 1) * size];
                    ViewMut { width: view.width, height: view.height, pixels }
                })
                .collect();
            let key = key.fold(epoch).fold(position);
            self.augmentation.train_views(image.as_image(), key, &mut places)?;
        }
        let indices = positions.iter().map(|&position| position as i64).collect();
        Ok(TrainBatch { step, epoch, views: buffers, labels, indices, all_labelled: self.all_labelled })
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
