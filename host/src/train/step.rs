//! One update: this rank's views through the encoder, the loss on the whole batch, the classifiers, the finite gate, the
//! optimizer.

use super::{
    exchange::{gather_labels, gather_map, own_rows, read_values, sum_in_place},
    input::Normalisation,
    model::Model,
    passes::{Maps, Passes},
    scaler::{LossScaler, scaled, unscale},
};
use crate::{
    config::{Experiment, LossSharing, Protocol, Stage},
    dataset::{TrainBatch, Views},
    distributed::{BatchNormPolicy, Group, Reducer},
    error::{Error, Fault, Result},
    evaluator::Classifiers,
    loss::ForeignLoss,
    native,
    optimizer::Optimizer,
    tensor::{Facts, Feature, Features, kind_of},
};
use infomax_sdk::{AugmentationDescription, Key, LossDescription, Mode, Role, Source};
use std::{
    ops::Range,
    time::{Duration, Instant},
};
use tch::{Kind, TchError, Tensor};

/// Makes updates.
pub struct Stepper {
    stage: Stage,
    pub(super) group: Group,
    key: Key,
    total_steps: u64,
    /// What the loss needs, in its order: through which encoder, of which view, which map.
    needs: Vec<(Source, usize, usize)>,
    by_hand: bool,
    /// Whether each rank computes the loss of its own rows only.
    by_rows: bool,
    wants_labels: bool,
    pub(super) passes: Passes,
    /// Whether a frozen encoder normalises by its running statistics, or by each batch's, as published.
    pub(super) frozen_mode: Mode,
    reducer: Reducer,
    normalisation: Normalisation,
    views: Vec<[u32; 2]>,
}

/// What a step gave.
#[derive(Clone, Debug)]
pub struct StepOutcome {
    /// `loss`, `loss/<term>`, `loss/linear`, `loss/mlp`, `gradient_norm`, and `momentum` beside a momentum encoder.
    pub values: Vec<(String, f64)>,
    /// The value that was not finite, so that nothing was updated.
    pub skipped: Option<String>,
    /// Whether a gradient overflowed at a loss scale that can still fall: the next step's is smaller.
    pub overflowed: bool,
    /// How long this rank computed before it first needed another.
    pub alone: Duration,
}

impl Stepper {
    /// A stepper for a model on an augmentation's views; `total_steps` is 0 where the budget is not in updates.
    ///
    /// # Errors
    /// A config that does not fit the loss, or libtorch's message.
    pub fn new(
        model: &Model,
        views: &AugmentationDescription,
        experiment: &Experiment,
        group: &Group,
        total_steps: u64,
    ) -> Result<Self> {
        let maps = &model.encoder.description().maps;
        let none = LossDescription::default();
        let description = model.loss.as_ref().map_or(&none, ForeignLoss::description);
        let position = |name: &String| maps.iter().position(|map| map.name == *name).expect("`describe` checked it");
        let needs = description.needs.iter();
        let needs = needs.flat_map(|need| need.maps.iter().map(move |name| (need.source, need.view, position(name))));
        let needs = match experiment.train.stage {
            Stage::Pretrain => needs.collect(),
            Stage::Classifiers => Vec::new(),
            Stage::Finetune => vec![(Source::Encoder, 0, model.representation)],
        };
        let count = experiment.train.accumulation_steps as usize;
        let by_rows = match experiment.distributed.loss {
            _ if experiment.train.stage != Stage::Pretrain => false,
            LossSharing::Auto => description.row_ranges && group.size() > 1,
            LossSharing::Whole => false,
            LossSharing::Rows if description.row_ranges => true,
            LossSharing::Rows => return Err(no_rows(&experiment.loss.name)),
        };
        Ok(Self {
            stage: experiment.train.stage,
            group: group.clone(),
            key: Key::new(experiment.train.seed).purpose("step"),
            total_steps,
            needs,
            by_hand: description.forward_backward,
            by_rows,
            wants_labels: description.labels,
            passes: Passes {
                count,
                first: group.rank() * count,
                policy: BatchNormPolicy::new(&experiment.batch_norm, group),
            },
            frozen_mode: match experiment.evaluation.protocol {
                Protocol::Clean => Mode::Evaluate,
                Protocol::Paper => Mode::TrainFrozenStatistics,
            },
            reducer: Reducer::new(group, &model.encoder.tensors()?, experiment.distributed.bucket_mib)?,
            normalisation: Normalisation::new(views, model.device).map_err(Error::torch("prepare views"))?,
            views: views.views.iter().map(|view| [view.height, view.width]).collect(),
        })
    }

    /// The key of a step's draws.
    pub(super) fn key(&self, step: u64) -> Key {
        self.key.fold(step)
    }

    /// This rank's views of a batch on the device, normalised.
    pub(super) fn views(&self, batch: &TrainBatch) -> Result<Vec<Tensor>> {
        let views: Result<Vec<Tensor>, TchError> = match &batch.views {
            Views::Bytes(views) => {
                let sized = views.iter().zip(&self.views);
                sized.map(|(bytes, &[height, width])| self.normalisation.apply(bytes, height, width)).collect()
            }
            Views::Drawn(drawn) => {
                drawn.views(&batch.indices)?.iter().map(|view| self.normalisation.normalised(view)).collect()
            }
        };
        views.map_err(Error::torch("prepare views"))
    }

    /// The first of them alone.
    pub(super) fn first_view(&self, batch: &TrainBatch) -> Result<Vec<Tensor>> {
        let Views::Bytes(views) = &batch.views else {
            let mut views = self.views(batch)?;
            views.truncate(1);
            return Ok(views);
        };
        let [height, width] = self.views[0];
        let view = self.normalisation.apply(&views[0], height, width);
        Ok(vec![view.map_err(Error::torch("prepare views"))?])
    }

    /// One update with a learning rate, or none where something is not finite on any rank.
    ///
    /// # Errors
    /// What the plugins or libtorch say; a lost peer.
    pub fn step(&self, model: &mut Model, batch: &TrainBatch, lr: f64) -> Result<StepOutcome> {
        self.update(model, batch, lr).map_err(|error| self.placed(error, batch.step))
    }

    /// Trains classifiers alone, on the representation of the encoder as it is.
    ///
    /// # Errors
    /// As [`Stepper::step`].
    pub fn classify_only(&self, model: &mut Model, classifiers: &Classifiers, batch: &TrainBatch) -> Result<()> {
        let mut train = || {
            let views = self.views(batch)?;
            let wanted = self.representations(model, views.len());
            let key = self.key(batch.step);
            let maps = tch::no_grad(|| self.passes.all(model, &views, &wanted, Mode::Train, key.purpose("encoder")))?;
            let representations = wanted.iter().map(|at| gather_map(&self.group, &maps[at]));
            let representations = representations.collect::<Result<Vec<_>>>()?;
            let (labels, _) = gather_labels(&self.group, &batch.labels, &batch.indices)?;
            tch::manual_seed(key.purpose("evaluator").torch_seed());
            classify(classifiers, &representations, &labels.to_device(model.device)).map(drop)
        };
        train().map_err(|error| self.placed(error, batch.step))
    }

    fn placed(&self, error: Error, step: u64) -> Error {
        error.during(&format!("step {step}, rank {}", self.group.rank()))
    }

    pub(super) fn representations(&self, model: &Model, views: usize) -> Vec<(usize, usize)> {
        (0..views).map(|view| (view, model.representation)).collect()
    }

    fn update(&self, model: &mut Model, batch: &TrainBatch, lr: f64) -> Result<StepOutcome> {
        match self.stage {
            Stage::Pretrain => self.pretrain(model, batch, lr),
            Stage::Classifiers => self.fit_classifiers(model, batch, lr),
            Stage::Finetune => self.finetune(model, batch, lr),
        }
    }

    fn pretrain(&self, model: &mut Model, batch: &TrainBatch, lr: f64) -> Result<StepOutcome> {
        let began = Instant::now();
        let key = self.key(batch.step);
        let views = self.views(batch)?;
        model.optimizers().try_for_each(Optimizer::clear_gradients)?;
        let (maps, slow_maps) = self.encode(model, &views, key)?;
        let alone = began.elapsed();

        let (labels, indices) = gather_labels(&self.group, &batch.labels, &batch.indices)?;
        let labels = labels.to_device(model.device);
        let facts = Facts {
            step: batch.step,
            total_steps: self.total_steps,
            epoch: batch.epoch,
            key,
            world_size: self.group.size() as u32,
            dtype: kind_of(model.arithmetic.dtype()),
            labels: self.wants_labels.then(|| labels.shallow_clone()),
            indices: Some(indices.to_device(model.device)),
        };
        let features = self.gather(model, &maps, &slow_maps)?;
        tch::manual_seed(key.purpose("loss").torch_seed());
        if let Some(loss) = &mut model.loss {
            loss.before_step(&facts)?;
        }
        let (terms, gradients) = self.loss(model, &features, &facts)?;
        let classified = match &model.classifiers {
            Some(classifiers) => {
                let representations = self.gathered_representations(model, &maps, &features, views.len())?;
                tch::manual_seed(key.purpose("evaluator").torch_seed());
                classify(classifiers, &representations, &labels)?
            }
            None => Vec::new(),
        };
        self.backward(model, &views, maps, gradients, key)?;

        let Gate { mut values, skipped, overflowed } = self.gate(model, &terms, &classified)?;
        if skipped.is_none() {
            update_parameters(model, lr)?;
            if let Some(momentum_encoder) = &model.momentum_encoder {
                values.push(("momentum".to_owned(), momentum_encoder.follow(batch.step, self.total_steps)?));
            }
            tch::manual_seed(key.purpose("after_update").torch_seed());
            if let Some(loss) = &mut model.loss {
                loss.after_update(&features, &facts)?;
            }
        }
        Ok(StepOutcome { values, skipped, overflowed, alone })
    }

    /// The maps that loss and classifiers read, of this rank's rows, through the encoder and its slow copy.
    fn encode(&self, model: &mut Model, views: &[Tensor], key: Key) -> Result<(Maps, Maps)> {
        let through = |source| {
            let needs = self.needs.iter().filter(move |need| need.0 == source);
            needs.map(|&(_, view, map)| (view, map)).collect::<Vec<_>>()
        };
        let mut wanted = through(Source::Encoder);
        if model.classifiers.is_some() {
            wanted.extend(self.representations(model, views.len()));
        }
        wanted.sort_unstable();
        wanted.dedup();
        let maps = self.passes.all(model, views, &wanted, Mode::Train, key.purpose("encoder"))?;
        let slow =
            self.passes.slow(model, views, &through(Source::MomentumEncoder), key.purpose("momentum_encoder"))?;
        Ok((maps, slow))
    }

    /// What the loss asked for, of the global batch: leaves, so that its gradients end there.
    fn gather(&self, model: &Model, maps: &Maps, slow_maps: &Maps) -> Result<Features> {
        let mut items = Vec::with_capacity(self.needs.len());
        for &(source, view, map) in &self.needs {
            let own = if source == Source::Encoder { &maps[&(view, map)] } else { &slow_maps[&(view, map)] };
            let gathered = gather_map(&self.group, &own.f_detach().map_err(Error::torch("detach a feature map"))?)?;
            let tensor = gathered.set_requires_grad(!self.by_hand && source == Source::Encoder);
            items.push(Feature { view, source, map: model.encoder.description().maps[map].name.clone(), tensor });
        }
        Ok(Features::new(items))
    }

    fn gathered_representations(
        &self,
        model: &Model,
        maps: &Maps,
        features: &Features,
        views: usize,
    ) -> Result<Vec<Tensor>> {
        let of_view = |view: usize| {
            let at = self.needs.iter().position(|need| *need == (Source::Encoder, view, model.representation));
            match at {
                Some(at) => Ok(features.items()[at].tensor.detach()),
                None => gather_map(&self.group, &maps[&(view, model.representation)].detach()),
            }
        };
        (0..views).map(of_view).collect()
    }

    /// The rows of the global batch whose loss this rank computes.
    fn rows(&self, features: &Features) -> Range<i64> {
        let batch = features.items()[0].tensor.size()[0];
        let own = self.group.share(batch as usize);
        if self.by_rows { own.start as i64..own.end as i64 } else { 0..batch }
    }

    /// The loss's terms, the total first, and the gradient of each feature of this rank's rows. Gradients of the loss's own
    /// parameters are in place, those of all ranks.
    fn loss(&self, model: &Model, features: &Features, facts: &Facts) -> Result<LossResult> {
        let rows = self.rows(features);
        let scale = model.scaler.as_ref().map(LossScaler::scale);
        let torch = || Error::torch("scale the loss");
        let objective = model.loss.as_ref().expect("the stage `pretrain` has a loss");
        let (terms, gradients) = if self.by_hand {
            let done = objective.forward_backward(features, facts, rows)?;
            let own = objective.tensors()?;
            for (name, gradient) in &done.parameters {
                let Some(parameter) = own.iter().find(|named| named.name == *name) else {
                    return Err(objective.unknown_gradient(name).into());
                };
                let gradient = scaled(gradient, scale).map_err(torch())?;
                native::set_gradient(&parameter.tensor, &gradient).map_err(Error::native("take over a gradient"))?;
            }
            let of_feature = |gradient: Option<Tensor>| gradient.map(|g| scaled(&g, scale)).transpose();
            let gradients: Result<Vec<Option<Tensor>>, _> = done.features.into_iter().map(of_feature).collect();
            (total_first(done.terms), gradients.map_err(torch())?)
        } else {
            let terms = objective.forward(features, facts, rows)?;
            let total = scaled(&terms.total, scale).map_err(torch())?;
            total.f_backward().map_err(Error::torch("run the loss backward"))?;
            let gradient = |feature: &Feature| Some(feature.tensor.grad()).filter(Tensor::defined);
            (total_first(terms), features.items().iter().map(gradient).collect())
        };
        let shared = self.by_rows && self.group.size() > 1;
        if shared {
            let parameters = objective.tensors()?.into_iter().filter(|named| named.role == Role::Parameter);
            let gradients: Vec<Tensor> = parameters.map(|named| named.tensor.grad()).filter(Tensor::defined).collect();
            sum_in_place(&self.group, &gradients)?;
        }
        let own = |gradient: Option<Tensor>| gradient.map(|g| own_rows(&self.group, &g, shared)).transpose();
        Ok((terms, gradients.into_iter().map(own).collect::<Result<_>>()?))
    }

    /// Into the encoder, whose gradients are summed over the ranks.
    pub(super) fn backward(
        &self,
        model: &mut Model,
        views: &[Tensor],
        maps: Maps,
        gradients: Vec<Option<Tensor>>,
        key: Key,
    ) -> Result<()> {
        let needs = self.needs.iter().zip(gradients).filter(|(need, _)| need.0 == Source::Encoder);
        let given: Vec<((usize, usize), Tensor)> =
            needs.filter_map(|(&(_, view, map), gradient)| Some(((view, map), gradient?))).collect();
        let run = |outputs: Vec<Tensor>, gradients: Vec<Tensor>, last: bool| {
            if last {
                self.reducer.prepare(&outputs)?;
            }
            native::backward(&outputs, &gradients).map_err(Error::native("run the encoder backward"))
        };
        if self.passes.count == 1 {
            let (at, gradients): (Vec<_>, Vec<_>) = given.into_iter().unzip();
            return run(at.iter().map(|at| maps[at].shallow_clone()).collect(), gradients, true);
        }
        drop(maps);
        for pass in 0..self.passes.count {
            let again = self.passes.one(model, views, pass, Mode::TrainFrozenStatistics, key.purpose("encoder"))?;
            let outputs = given.iter().map(|((view, map), _)| again[*view][*map].shallow_clone()).collect();
            let gradients: Result<Vec<_>, _> = given.iter().map(|(_, g)| self.passes.rows(g, pass)).collect();
            let gradients = gradients.map_err(Error::torch("cut a gradient into passes"))?;
            run(outputs, gradients, pass + 1 == self.passes.count)?;
        }
        Ok(())
    }

    /// The step's values over all ranks, the one that was not finite, and whether a gradient overflowed.
    pub(super) fn gate(
        &self,
        model: &mut Model,
        terms: &[(String, Tensor)],
        classified: &[(String, Tensor)],
    ) -> Result<Gate> {
        let named = || terms.iter().chain(classified);
        let scalars: Vec<Tensor> = named().map(|(_, scalar)| scalar.shallow_clone()).collect();
        let shares = if self.by_rows { terms.len() } else { 0 };
        let read = read_values(&self.group, &scalars, shares)?;
        let mut values: Vec<(String, f64)> = named().map(|(name, _)| name.clone()).zip(read.numbers).collect();
        let overflowed = unscale(model, &mut values)?;
        let trains = |optimizer: &&Optimizer| !optimizer.trained().is_empty();
        let norm = model.optimizers().find(trains).map_or(Ok(0.0), Optimizer::gradient_norm)?;
        values.push(("gradient_norm".to_owned(), norm));
        // Terms before the total, which they spoil.
        let last_total = values.iter().skip(1).chain(values.first());
        let mut skipped = last_total.filter(|(_, value)| !value.is_finite()).map(|(name, _)| name.clone()).next();
        if skipped.is_none() && !read.finite {
            skipped = Some("loss on another rank".to_owned());
        }
        Ok(Gate { values, skipped, overflowed })
    }
}

fn no_rows(loss: &str) -> Error {
    let message = format!("`distributed.loss` is `rows`, but `loss.name` = `{loss}` can't be computed by rows");
    Error::config(Fault::new(message).hint("use `auto` or `whole`"))
}

/// One update of everything that has gradients.
///
/// # Errors
/// libtorch's message.
pub(super) fn update_parameters(model: &mut Model, lr: f64) -> Result<()> {
    model.optimizer.update(lr)?;
    if let Some(optimizer) = &mut model.classifier_optimizer {
        let constant = optimizer.lr();
        optimizer.update(constant)?;
    }
    Ok(())
}

/// What a step's values allow.
pub(super) struct Gate {
    pub values: Vec<(String, f64)>,
    /// The value that is not finite.
    pub skipped: Option<String>,
    pub overflowed: bool,
}

type LossResult = (Vec<(String, Tensor)>, Vec<Option<Tensor>>);

fn total_first(terms: crate::tensor::Terms) -> Vec<(String, Tensor)> {
    let mut list = vec![("loss".to_owned(), terms.total)];
    list.extend(terms.terms.into_iter().map(|(name, term)| (format!("loss/{name}"), term)));
    list
}

/// Runs the classifiers on all views' representations and backward; samples without a label are left out.
///
/// # Shapes
/// Each representation B × C × H × W without a graph; labels B.
///
/// # Errors
/// libtorch's message.
pub(super) fn classify(classifiers: &Classifiers, views: &[Tensor], labels: &Tensor) -> Result<Vec<(String, Tensor)>> {
    let losses = || {
        let Some((representations, labels_n)) = labelled(views, labels)? else { return Ok(Vec::new()) };
        let losses = classifiers.logits(&representations, true)?.losses(&labels_n)?;
        let list: Vec<Tensor> = losses.iter().map(|(_, loss)| loss.shallow_clone()).collect();
        if !list.is_empty() {
            Tensor::f_stack(&list, 0)?.f_sum(Kind::Float)?.f_backward()?;
        }
        Ok(losses.into_iter().map(|(name, loss)| (format!("loss/{name}"), loss)).collect())
    };
    losses().map_err(Error::torch("train the classifiers"))
}

/// The representations of all views, one after the other, and their labels, without those that have none; none where fewer
/// than two are left, which BatchNorm needs.
///
/// # Errors
/// libtorch's.
pub(super) fn labelled(views: &[Tensor], labels: &Tensor) -> Result<Option<(Tensor, Tensor)>, TchError> {
    let mut labels_n = labels.f_repeat([views.len() as i64])?;
    let mut representations = Tensor::f_cat(views, 0)?;
    let known = labels_n.f_ge(0)?;
    if known.f_all()?.f_int64_value(&[])? == 0 {
        let rows = known.f_nonzero()?.f_squeeze_dim(1)?;
        representations = representations.f_index_select(0, &rows)?;
        labels_n = labels_n.f_index_select(0, &rows)?;
    }
    Ok((labels_n.numel() >= 2).then_some((representations, labels_n)))
}
