//! Testing the classifiers: every image of the test stage, in evaluation mode; or, as `protocol = "paper"`, the
//! published way.

use super::{input::Normalisation, model::Model};
use crate::{
    config::Protocol,
    dataset::{BatchMaker, EvalBatch, OrderedWorkers},
    error::{Error, Result},
    evaluator::Classifiers,
};
use infomax_sdk::{Key, Mode};
use std::{sync::Arc, time::Duration};
use tch::Tensor;

const REFRESH_BATCHES: u64 = 50; // published code, test_model

/// Tests classifiers on a stage.
pub struct Tester {
    pub maker: BatchMaker,
    pub normalisation: Normalisation,
    pub protocol: Protocol,
    pub batch_size: u64,
    pub workers: usize,
    pub prefetch: u64,
    pub deadline: Duration,
    /// Shuffles the published protocol's test loader.
    pub key: Key,
}

impl Tester {
    /// The share of images that each classifier gets right, in percent: `linear_top1`, `mlp_top1`.
    ///
    /// # Errors
    /// A bad image, or what the plugins or libtorch say.
    pub fn test(&self, model: &mut Model, classifiers: &Classifiers) -> Result<Vec<(String, f64)>> {
        if self.protocol == Protocol::Paper {
            for batch in self.batches(Some(REFRESH_BATCHES)) {
                let view = self.view(&batch?)?;
                tch::no_grad(|| model.encoder.forward(&[view], Mode::RefreshStatistics))?;
            }
        }
        let mut right: Vec<(&'static str, i64)> = Vec::new();
        let mut count = 0;
        for batch in self.batches(None) {
            let batch = batch?;
            let view = self.view(&batch)?;
            let counted = tch::no_grad(|| -> Result<_> {
                let maps = model.encoder.forward(&[view], Mode::Evaluate)?;
                let labels = Tensor::from_slice(&batch.labels).to_device(model.device);
                let correct = || classifiers.logits(&maps[0][model.representation], false)?.correct(&labels);
                correct().map_err(Error::torch("test the classifiers"))
            })?;
            count += batch.labels.len() as i64;
            for (i, (name, correct)) in counted.into_iter().enumerate() {
                if right.len() <= i {
                    right.push((name, 0));
                }
                right[i].1 += correct;
            }
        }
        let percent = |correct: i64| 100.0 * correct as f64 / count.max(1) as f64;
        Ok(right.into_iter().map(|(name, correct)| (format!("{name}_top1"), percent(correct))).collect())
    }

    fn view(&self, batch: &EvalBatch) -> Result<Tensor> {
        let [height, width] = self.maker.description.eval_size;
        self.normalisation.apply(&batch.view, height, width).map_err(Error::torch("prepare views"))
    }

    fn batches(&self, limit: Option<u64>) -> OrderedWorkers<EvalBatch> {
        let (length, size) = (self.maker.stage.len() as u64, self.batch_size);
        let mut positions: Vec<u64> = (0..length).collect();
        let count = match self.protocol {
            Protocol::Clean => length.div_ceil(size),
            Protocol::Paper => {
                self.key.fold(u64::from(limit.is_some())).rng().shuffle(&mut positions);
                length / size
            }
        };
        let maker = self.maker.clone();
        let make = move |batch: u64| {
            let end = ((batch + 1) * size).min(length);
            maker.eval(positions[(batch * size) as usize..end as usize].iter().copied())
        };
        let count = limit.map_or(count, |limit| limit.min(count));
        OrderedWorkers::start(Arc::new(make), 0..count, self.workers, self.prefetch, self.deadline)
    }
}
