//! Tests: classifiers, nearest neighbours and measures of collapse, on the stage kept for testing.

use super::{input::Normalisation, model::Model, signals::Signals};
use crate::{
    config::Protocol,
    dataset::{BatchMaker, EvalBatch, Order, OrderedWorkers, TrainBatch, Views},
    distributed::Group,
    error::{Error, Result},
    evaluator::{Classifiers, Neighbours, alignment, spread},
    fault_point,
};
use infomax_sdk::{Key, Mode};
use std::{sync::Arc, time::Duration};
use tch::{Kind, TchError, Tensor};

const REFRESH_BATCHES: u64 = 50; // published code, test_model
const ALIGNMENT_IMAGES: u64 = 1_024;

/// Tests an encoder and its classifiers on a stage.
pub struct Tester {
    /// The ranks, of which each takes a part of the images.
    pub group: Group,
    pub maker: BatchMaker,
    pub normalisation: Normalisation,
    pub protocol: Protocol,
    pub batch_size: u64,
    pub workers: usize,
    pub prefetch: u64,
    pub deadline: Duration,
    /// Shuffles the published protocol's test loader.
    pub key: Key,
    /// A signal ends a test of a process that trains alone.
    pub signals: Signals,
    pub knn: Option<Knn>,
    pub collapse: Option<Pairs>,
}

/// Nearest neighbours to test with.
pub struct Knn {
    /// Makes the bank: labelled training images.
    pub bank: BatchMaker,
    pub classes: i64,
    pub k: u64,
    pub temperature: f64,
}

/// Pairs of training views whose distance is measured.
pub struct Pairs {
    pub maker: BatchMaker,
    pub order: Arc<Order>,
    pub key: Key,
}

/// How many of this process's images a test has seen.
struct Count<'a> {
    done: u64,
    of: u64,
    tell: &'a mut dyn FnMut(u64, u64),
}

impl Count<'_> {
    fn add(&mut self, images: usize) {
        self.done += images as u64;
        (self.tell)(self.done, self.of);
    }
}

/// Representations (N, D), f32, with their labels (N).
struct Represented {
    x_nd: Tensor,
    labels_n: Tensor,
}

impl Tester {
    /// `linear_top1`, `mlp_top1`, `knn_top1`: the share of images that each gets right, in percent; `feature_std`,
    /// `rankme`, `uniformity`, `alignment`, where asked for.
    ///
    /// None where a signal asked for an end. `tell` hears of each batch: how many images are done, of how many.
    ///
    /// # Errors
    /// A bad image, or what the plugins or libtorch say.
    pub fn test(
        &self,
        model: &mut Model,
        classifiers: &Classifiers,
        tell: &mut dyn FnMut(u64, u64),
    ) -> Result<Option<Vec<(String, f64)>>> {
        if self.protocol == Protocol::Paper {
            for batch in self.batches(Some(REFRESH_BATCHES)) {
                if self.is_over() {
                    return Ok(None);
                }
                let view = self.view(&batch?)?;
                tch::no_grad(|| model.encoder.forward(&[view], Mode::RefreshStatistics))?;
            }
        }
        let mut right: Vec<(&'static str, i64)> = Vec::new();
        let is_shared = self.is_shared(&self.maker);
        let of = self.part(&self.maker) + self.knn.as_ref().map_or(0, |knn| self.part(&knn.bank));
        let mut count = Count { done: 0, of: of as u64, tell };
        let represented = self.represent(model, self.batches(None), is_shared, &mut count, |x, labels| {
            for (i, (name, correct)) in classifiers.logits(x, false)?.correct(labels)?.into_iter().enumerate() {
                if right.len() <= i {
                    right.push((name, 0));
                }
                right[i].1 += correct;
            }
            Ok(())
        })?;
        let Some(represented) = represented else { return Ok(None) };
        let images = represented.labels_n.numel().max(1) as f64;
        let percent = |correct: f64| 100.0 * correct / images;
        let mut results = Vec::new();
        for (name, correct) in right {
            results.push((format!("{name}_top1"), percent(self.over_ranks(correct, is_shared)?)));
        }
        if let Some(knn) = &self.knn {
            let Some(correct) = self.knn_correct(model, knn, &represented, &mut count)? else { return Ok(None) };
            results.push(("knn_top1".to_owned(), percent(correct)));
        }
        if let Some(pairs) = &self.collapse {
            let measured = spread(&represented.x_nd).map_err(Error::torch("measure the representation"))?;
            results.extend(measured.map(|(name, value)| (name.to_owned(), value)));
            results.extend(self.alignment(model, pairs)?.map(|value| ("alignment".to_owned(), value)));
        }
        Ok((!self.is_over()).then_some(results))
    }

    /// Several processes test to the end: they would have to agree on every batch.
    fn is_over(&self) -> bool {
        self.group.size() == 1 && self.signals.asked()
    }

    /// Whether each rank takes a part of a stage: not where some would have none.
    fn is_shared(&self, maker: &BatchMaker) -> bool {
        let least = self.group.size() * self.batch_size as usize;
        self.group.size() > 1 && maker.stage.len() >= least
    }

    /// How many images of a stage are this rank's.
    fn part(&self, maker: &BatchMaker) -> usize {
        let all = maker.stage.len();
        if self.is_shared(maker) { self.group.share(all).len() } else { all }
    }

    /// The sum of a rank's counts, where each counted a part.
    fn over_ranks(&self, count: i64, is_shared: bool) -> Result<f64> {
        if is_shared { Ok(self.group.gather_numbers(count as f64)?.iter().sum()) } else { Ok(count as f64) }
    }

    /// The representations of some batches, each shown to `also` with its labels as it comes; of all ranks' batches,
    /// where each has a part. None where a signal asked for an end.
    fn represent(
        &self,
        model: &mut Model,
        batches: OrderedWorkers<EvalBatch>,
        is_shared: bool,
        count: &mut Count<'_>,
        mut also: impl FnMut(&Tensor, &Tensor) -> Result<(), TchError>,
    ) -> Result<Option<Represented>> {
        let keeps = self.knn.is_some() || self.collapse.is_some();
        let (mut x, mut labels) = (Vec::new(), Vec::new());
        for batch in batches {
            if self.is_over() {
                return Ok(None);
            }
            let batch = batch?;
            let _ = fault_point::reach("test.batch");
            let view = self.view(&batch)?;
            tch::no_grad(|| -> Result<()> {
                let maps = model.encoder.forward(&[view], Mode::Evaluate)?;
                let labels_b = Tensor::from_slice(&batch.labels).to_device(model.device);
                let representation = &maps[0][model.representation];
                let mut keep = || {
                    also(representation, &labels_b)?;
                    if keeps {
                        x.push(flat(representation)?);
                    }
                    Ok(())
                };
                keep().map_err(Error::torch::<tch::TchError>("test the representation"))
            })?;
            labels.push(Tensor::from_slice(&batch.labels).to_device(model.device));
            count.add(batch.labels.len());
        }
        let empty = || Tensor::f_zeros([0, 1], (Kind::Float, model.device));
        let joined = || {
            let x_nd = if x.is_empty() { empty()? } else { Tensor::f_cat(&x, 0)? };
            let none = || Tensor::f_zeros([0i64], (Kind::Int64, model.device));
            Ok(Represented { x_nd, labels_n: if labels.is_empty() { none()? } else { Tensor::f_cat(&labels, 0)? } })
        };
        let own: Represented = joined().map_err(Error::torch::<tch::TchError>("collect representations"))?;
        if !is_shared {
            return Ok(Some(own));
        }
        let x_nd = if keeps { self.group.gather_uneven(&own.x_nd)? } else { own.x_nd };
        Ok(Some(Represented { x_nd, labels_n: self.group.gather_uneven(&own.labels_n)? }))
    }

    fn knn_correct(
        &self,
        model: &mut Model,
        knn: &Knn,
        queries: &Represented,
        count: &mut Count<'_>,
    ) -> Result<Option<f64>> {
        let batches = batches_of(self, &knn.bank, (0..knn.bank.stage.len() as u64).collect(), false, None);
        let bank = self.represent(model, batches, self.is_shared(&knn.bank), count, |_, _| Ok(()))?;
        let Some(bank) = bank else { return Ok(None) };
        let vote = || -> Result<i64, TchError> {
            let neighbours = Neighbours::new(&bank.x_nd, &bank.labels_n, knn.classes, knn.k, knn.temperature)?;
            let own = self.group.share(queries.x_nd.size()[0] as usize);
            let (start, length) = (own.start as i64, own.len() as i64);
            neighbours.correct(&queries.x_nd.f_narrow(0, start, length)?, &queries.labels_n.f_narrow(0, start, length)?)
        };
        let correct = tch::no_grad(vote).map_err(Error::torch("find nearest neighbours"))?;
        self.over_ranks(correct, true).map(Some)
    }

    /// Over the first two training views; none where there is only one.
    fn alignment(&self, model: &mut Model, pairs: &Pairs) -> Result<Option<f64>> {
        let views = &pairs.maker.description.views;
        if views.len() < 2 {
            return Ok(None);
        }
        let rows = pairs.order.batch(0).len();
        let batch_size = rows as u64;
        let (maker, order, key) = (pairs.maker.clone(), pairs.order.clone(), pairs.key);
        let own = self.group.share(rows);
        let make = move |step| maker.train(&order, key, step, own.clone());
        let steps = 0..ALIGNMENT_IMAGES.div_ceil(batch_size.max(1)).min(pairs.order.steps_per_epoch());
        let batches: OrderedWorkers<TrainBatch> =
            OrderedWorkers::start(Arc::new(make), steps, self.workers, self.prefetch, self.deadline);
        let mut of_views: [Vec<Tensor>; 2] = Default::default();
        for batch in batches {
            let batch = batch?;
            let Views::Bytes(bytes) = &batch.views else { unreachable!("the maker gives bytes") };
            for (view, list) in of_views.iter_mut().enumerate() {
                let input = self.normalisation.apply(&bytes[view], views[view].height, views[view].width);
                let input = input.map_err(Error::torch("prepare views"))?;
                let maps = tch::no_grad(|| model.encoder.forward(&[input], Mode::Evaluate))?;
                list.push(flat(&maps[0][model.representation]).map_err(Error::torch("collect representations"))?);
            }
        }
        let torch = || Error::torch("measure the representation");
        let [one, two] = of_views.map(|list| Tensor::f_cat(&list, 0).map_err(torch()));
        let (one, two) = (self.group.gather(&one?)?, self.group.gather(&two?)?);
        tch::no_grad(|| alignment(&one, &two)).map(Some).map_err(torch())
    }

    fn view(&self, batch: &EvalBatch) -> Result<Tensor> {
        let [height, width] = self.maker.description.eval_size;
        self.normalisation.apply(&batch.view, height, width).map_err(Error::torch("prepare views"))
    }

    fn batches(&self, limit: Option<u64>) -> OrderedWorkers<EvalBatch> {
        let mut positions: Vec<u64> = (0..self.maker.stage.len() as u64).collect();
        let paper = self.protocol == Protocol::Paper;
        if paper {
            self.key.fold(u64::from(limit.is_some())).rng().shuffle(&mut positions);
        }
        batches_of(self, &self.maker, positions, paper, limit)
    }
}

/// Batches of a maker's positions, in order, the last partial one dropped or not.
fn batches_of(
    tester: &Tester,
    maker: &BatchMaker,
    mut positions: Vec<u64>,
    drop_last: bool,
    limit: Option<u64>,
) -> OrderedWorkers<EvalBatch> {
    let size = tester.batch_size;
    if drop_last {
        let whole = positions.len() as u64 / size * size;
        positions.truncate(whole as usize);
    }
    if limit.is_none() && tester.is_shared(maker) {
        let own = tester.group.share(positions.len());
        positions = positions[own].to_vec();
    }
    let length = positions.len() as u64;
    let count = length.div_ceil(size);
    let maker = maker.clone();
    let make = move |batch: u64| {
        let end = ((batch + 1) * size).min(length);
        maker.eval(positions[(batch * size) as usize..end as usize].iter().copied())
    };
    let count = limit.map_or(count, |limit| limit.min(count));
    OrderedWorkers::start(Arc::new(make), 0..count, tester.workers, tester.prefetch, tester.deadline)
}

/// N × C × H × W as N × D, f32.
fn flat(x_nchw: &Tensor) -> Result<Tensor, TchError> {
    x_nchw.f_detach()?.f_flatten(1, -1)?.f_to_kind(Kind::Float)
}
