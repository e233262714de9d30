//! One update: views through the encoder, the loss on the whole batch, the classifiers, the finite gate, the optimizer.

use super::{
    input::Normalisation,
    model::Model,
    scaler::{LossScaler, scaled, unscale},
};
use crate::{
    dataset::TrainBatch,
    error::{Error, Result},
    evaluator::Classifiers,
    native,
    optimizer::Optimizer,
};
use infomax_sdk::{AugmentationDescription, Facts, Feature, Features, Key, Mode, Need, Source};
use std::collections::BTreeSet;
use tch::{Kind, Tensor};

/// Makes updates.
pub struct Stepper {
    key: Key,
    total_steps: u64,
    needs: Vec<Need>,
    by_hand: bool,
    wants_labels: bool,
    normalisation: Normalisation,
    views: Vec<[u32; 2]>,
}

/// What a step gave.
#[derive(Clone, Debug)]
pub struct StepOutcome {
    /// `loss`, `loss/<term>`, `loss/linear`, `loss/mlp`, `gradient_norm`.
    pub values: Vec<(String, f64)>,
    /// The value that was not finite, so that nothing was updated.
    pub skipped: Option<String>,
    /// Whether a gradient overflowed at a loss scale that can still fall: the next step's is smaller.
    pub overflowed: bool,
}

impl Stepper {
    /// A stepper for a model on an augmentation's views; `total_steps` is 0 where the budget is not in updates.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn new(model: &Model, views: &AugmentationDescription, seed: u64, total_steps: u64) -> Result<Self> {
        let description = model.loss.description();
        Ok(Self {
            key: Key::new(seed).purpose("step"),
            total_steps,
            needs: description.needs.clone(),
            by_hand: description.forward_backward,
            wants_labels: description.labels,
            normalisation: Normalisation::new(views, model.device).map_err(Error::torch("prepare views"))?,
            views: views.views.iter().map(|view| [view.height, view.width]).collect(),
        })
    }

    /// The key of a step's draws.
    pub fn key(&self, step: u64) -> Key {
        self.key.fold(step)
    }

    /// The views of a batch on the device, normalised.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn views(&self, batch: &TrainBatch) -> Result<Vec<Tensor>> {
        let view = |(bytes, &[height, width]): (&Vec<u8>, &[u32; 2])| self.normalisation.apply(bytes, height, width);
        batch.views.iter().zip(&self.views).map(view).collect::<Result<_, _>>().map_err(Error::torch("prepare views"))
    }

    /// The momentum encoder's maps of the views that the loss needs through it; no maps of the others.
    fn momentum_maps(
        &self,
        model: &mut Model,
        views: &[Tensor],
    ) -> Result<Vec<Vec<Tensor>>, crate::plugin::PluginError> {
        let Some(momentum_encoder) = &mut model.momentum_encoder else { return Ok(Vec::new()) };
        let through = |need: &&Need| need.source == Source::MomentumEncoder;
        let wanted: BTreeSet<usize> = self.needs.iter().filter(through).map(|need| need.view).collect();
        let chosen: Vec<Tensor> = wanted.iter().map(|&view| views[view].shallow_clone()).collect();
        let mut maps: Vec<Vec<Tensor>> = views.iter().map(|_| Vec::new()).collect();
        for (view, of_view) in wanted.into_iter().zip(momentum_encoder.forward(&chosen)?) {
            maps[view] = of_view;
        }
        Ok(maps)
    }

    /// One update with a learning rate, or none where something is not finite.
    ///
    /// # Errors
    /// What the plugins or libtorch say.
    pub fn step(&self, model: &mut Model, batch: &TrainBatch, lr: f64) -> Result<StepOutcome> {
        let key = self.key(batch.step);
        tch::manual_seed(key.torch_seed());
        let place = || format!("step {}, rank 0", batch.step);
        let during = |error: crate::plugin::PluginError| Error::from(error.during(&place()));
        let labels = Tensor::from_slice(&batch.labels).to_device(model.device);
        let facts = Facts {
            step: batch.step,
            total_steps: self.total_steps,
            epoch: batch.epoch,
            key,
            world_size: 1,
            dtype: model.arithmetic.dtype(),
            labels: self.wants_labels.then(|| labels.shallow_clone()),
            indices: Some(Tensor::from_slice(&batch.indices).to_device(model.device)),
        };
        let views = self.views(batch)?;
        model.optimizers().try_for_each(Optimizer::clear_gradients)?;
        model.loss.before_step(&facts).map_err(during)?;
        let maps = model.encoder.forward(&views, Mode::Train).map_err(during)?;

        let momentum_maps = self.momentum_maps(model, &views).map_err(during)?;

        let (outputs, features) = self.leaves(model, &maps, &momentum_maps);
        let (terms, gradients) = self.loss(model, &features, &facts).map_err(|error| match error {
            Failure::Plugin(error) => during(error),
            Failure::Torch(message) => Error::native("run the loss backward")(message),
        })?;
        let classified = match &model.classifiers {
            Some(classifiers) => classify(classifiers, &maps, model.representation, &labels)?,
            None => Vec::new(),
        };
        backward(&outputs, gradients).map_err(Error::native("run the encoder backward"))?;

        let mut values = read_values(&terms, &classified)?;
        let overflowed = unscale(model, &mut values)?;
        values.push(("gradient_norm".to_owned(), model.optimizer.gradient_norm()?));
        // Terms before the total, which they spoil.
        let last_total = values.iter().skip(1).chain(values.first());
        let skipped = last_total.filter(|(_, value)| !value.is_finite()).map(|(name, _)| name.clone()).next();
        if skipped.is_none() {
            model.optimizer.update(lr)?;
            if let Some(optimizer) = &mut model.classifier_optimizer {
                let constant = optimizer.lr();
                optimizer.update(constant)?;
            }
            if let Some(momentum_encoder) = &model.momentum_encoder {
                momentum_encoder.follow(batch.step, self.total_steps)?;
            }
            model.loss.after_update(&features, &facts).map_err(during)?;
        }
        Ok(StepOutcome { values, skipped, overflowed })
    }

    /// The maps that the loss needs: the encoders' outputs, and leaves that share their numbers.
    fn leaves(&self, model: &Model, maps: &[Vec<Tensor>], momentum_maps: &[Vec<Tensor>]) -> (Vec<Tensor>, Features) {
        let mut outputs = Vec::new();
        let mut items = Vec::new();
        for need in &self.needs {
            for name in &need.maps {
                let at = model.encoder.description().maps.iter().position(|map| map.name == *name);
                let of_source = if need.source == Source::Encoder { maps } else { momentum_maps };
                let output = &of_source[need.view][at.expect("`describe` checked it")];
                outputs.push(output.shallow_clone());
                let tensor = output.detach().set_requires_grad(!self.by_hand && output.requires_grad());
                items.push(Feature { view: need.view, source: need.source, map: name.clone(), tensor });
            }
        }
        (outputs, Features::new(items))
    }

    /// The loss's terms, the total first, and the gradient of each feature.
    fn loss(&self, model: &Model, features: &Features, facts: &Facts) -> Result<LossResult, Failure> {
        let rows = 0..features.items()[0].tensor.size()[0];
        let scale = model.scaler.as_ref().map(LossScaler::scale);
        let torch = |error: tch::TchError| Failure::Torch(error.to_string());
        if self.by_hand {
            let done = model.loss.forward_backward(features, facts, rows)?;
            let own = model.loss.tensors()?;
            for (name, gradient) in &done.parameters {
                let Some(parameter) = own.iter().find(|named| named.name == *name) else {
                    return Err(model.loss.unknown_gradient(name).into());
                };
                native::set_gradient(&parameter.tensor, &scaled(gradient, scale).map_err(torch)?)
                    .map_err(Failure::Torch)?;
            }
            let of_feature = |gradient: Option<Tensor>| gradient.map(|g| scaled(&g, scale)).transpose();
            let gradients: Result<_, _> = done.features.into_iter().map(of_feature).collect();
            return Ok((total_first(done.terms), gradients.map_err(torch)?));
        }
        let terms = model.loss.forward(features, facts, rows)?;
        scaled(&terms.total, scale).map_err(torch)?.f_backward().map_err(torch)?;
        let gradient = |feature: &Feature| Some(feature.tensor.grad()).filter(Tensor::defined);
        Ok((total_first(terms), features.items().iter().map(gradient).collect()))
    }
}

type LossResult = (Vec<(String, Tensor)>, Vec<Option<Tensor>>);

enum Failure {
    Plugin(crate::plugin::PluginError),
    Torch(String),
}

impl From<crate::plugin::PluginError> for Failure {
    fn from(error: crate::plugin::PluginError) -> Self {
        Self::Plugin(error)
    }
}

fn total_first(terms: infomax_sdk::Terms) -> Vec<(String, Tensor)> {
    let mut list = vec![("loss".to_owned(), terms.total)];
    list.extend(terms.terms.into_iter().map(|(name, term)| (format!("loss/{name}"), term)));
    list
}

/// Runs the classifiers on all views' representations, detached, and backward; samples without a label are left out.
///
/// # Errors
/// libtorch's message.
pub fn classify(
    classifiers: &Classifiers,
    maps: &[Vec<Tensor>],
    representation: usize,
    labels: &Tensor,
) -> Result<Vec<(String, Tensor)>> {
    let losses = || {
        let mut labels_n = labels.f_repeat([maps.len() as i64])?;
        let views: Vec<Tensor> = maps.iter().map(|maps| maps[representation].detach()).collect();
        let mut representations = Tensor::f_cat(&views, 0)?;
        let known = labels_n.f_ge(0)?;
        if known.f_all()?.f_int64_value(&[])? == 0 {
            let rows = known.f_nonzero()?.f_squeeze_dim(1)?;
            representations = representations.f_index_select(0, &rows)?;
            labels_n = labels_n.f_index_select(0, &rows)?;
        }
        if labels_n.numel() < 2 {
            return Ok(Vec::new()); // BatchNorm needs two samples
        }
        let losses = classifiers.logits(&representations, true)?.losses(&labels_n)?;
        let list: Vec<Tensor> = losses.iter().map(|(_, loss)| loss.shallow_clone()).collect();
        if !list.is_empty() {
            Tensor::f_stack(&list, 0)?.f_sum(Kind::Float)?.f_backward()?;
        }
        Ok(losses.into_iter().map(|(name, loss)| (format!("loss/{name}"), loss)).collect())
    };
    losses().map_err(Error::torch("train the classifiers"))
}

/// Into the encoder; what comes from the momentum encoder takes no gradient.
fn backward(outputs: &[Tensor], gradients: Vec<Option<Tensor>>) -> Result<(), String> {
    let trained = outputs.iter().zip(gradients).filter(|(output, _)| output.requires_grad());
    let pairs = trained.filter_map(|(output, gradient)| Some((output.shallow_clone(), gradient?)));
    let (outputs, gradients): (Vec<Tensor>, Vec<Tensor>) = pairs.unzip();
    native::backward(&outputs, &gradients)
}

/// Reads all scalars at once: the one point where a step waits for a GPU.
fn read_values(terms: &[(String, Tensor)], classified: &[(String, Tensor)]) -> Result<Vec<(String, f64)>> {
    let read = || {
        let scalars: Result<Vec<Tensor>, _> =
            terms.iter().chain(classified).map(|(_, term)| term.f_detach()?.f_to_kind(Kind::Double)).collect();
        Vec::<f64>::try_from(Tensor::f_stack(&scalars?, 0)?.f_to_device(tch::Device::Cpu)?)
    };
    let numbers = read().map_err(Error::torch("read the loss"))?;
    Ok(terms.iter().chain(classified).map(|(name, _)| name.clone()).zip(numbers).collect())
}
