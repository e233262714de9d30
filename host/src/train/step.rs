//! One update: this rank's views through the encoder, the loss on the whole batch, the classifiers, the finite gate, the
//! optimizer.

use super::{
    exchange::{Labels, gather_labels, gather_map, own_rows, sum_in_place},
    gate::{Gate, Reading},
    graphs::{Graphs, before_step, seed},
    held::Held,
    input::{Input, Normalisation},
    model::Model,
    passes::{Draws, Maps, Passes},
    scaler::{LossScaler, scaled},
};
use crate::{
    config::{Experiment, LossSharing, Protocol, Stage},
    dataset::TrainBatch,
    distributed::{BatchNormPolicy, Group, Reducer},
    error::{Error, Fault, Result},
    evaluator::Classifiers,
    loss::ForeignLoss,
    native::{self, Withheld},
    plugin::{PluginError, memory_ran_out},
    tensor::{Facts, Feature, Features, kind_of},
};
use infomax_sdk::{AugmentationDescription, Key, LossDescription, Mode, Role, Source};
use std::{
    cell::RefCell,
    ops::Range,
    time::{Duration, Instant},
};
use tch::{Device, Kind, TchError, Tensor};

/// Makes updates.
pub struct Stepper {
    stage: Stage,
    pub(super) group: Group,
    key: Key,
    pub(super) total_steps: u64,
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
    graphs: RefCell<Graphs>,
    /// Where it is known.
    pub(super) steps_per_epoch: Option<u64>,
}

/// What a step computes before anything is updated; gradients of parameters are in place.
pub(super) struct Computed {
    pub labels: Labels,
    pub features: Features,
    /// The total first.
    pub terms: Vec<(String, Tensor)>,
    pub classified: Vec<(String, Tensor)>,
    /// By which the loss was multiplied.
    pub scale: Option<Tensor>,
    pub alone: Duration,
}

/// What a step gave, as read.
#[derive(Clone, Debug)]
pub struct StepOutcome {
    /// `loss`, `loss/<term>`, `loss/linear`, `loss/mlp`, `gradient_norm`, and `momentum` beside a momentum encoder.
    pub values: Vec<(String, f64)>,
    /// The value that was not finite, so that nothing was updated.
    pub skipped: Option<String>,
    /// Whether a gradient overflowed at a loss scale that can still fall: the next step's is smaller.
    pub overflowed: bool,
}

/// A step that has been given to the device, which may still be at it.
pub struct Launched {
    /// Updates done before it.
    pub step: u64,
    gate: Gate,
    /// The share of itself that a momentum encoder kept.
    momentum: Option<f64>,
    /// How long this rank computed before it first needed another.
    pub alone: Duration,
}

impl Launched {
    /// Reads what steps gave, in one copy. Waits for a GPU.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn read<'a>(steps: impl IntoIterator<Item = &'a Self>) -> Result<Vec<StepOutcome>> {
        let steps: Vec<&Self> = steps.into_iter().collect();
        let gates: Vec<&Gate> = steps.iter().map(|step| &step.gate).collect();
        let outcome = |(step, reading): (&Self, Reading)| {
            let Reading { mut values, skipped, overflowed } = reading;
            let momentum = step.momentum.filter(|_| skipped.is_none());
            values.extend(momentum.map(|momentum| ("momentum".to_owned(), momentum)));
            StepOutcome { values, skipped, overflowed }
        };
        Ok(steps.into_iter().zip(Gate::read_all(&gates)?).map(outcome).collect())
    }
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
            reducer: {
                let table = &experiment.distributed;
                Reducer::new(group, &model.encoder.tensors()?, table.bucket_mib, table.varying_parameters)?
            },
            normalisation: Normalisation::new(views, model.device).map_err(Error::torch("prepare views"))?,
            views: views.views.iter().map(|view| [view.height, view.width]).collect(),
            graphs: RefCell::new(Graphs::new(&experiment.train, model.device, group)),
            steps_per_epoch: None,
        })
    }

    /// What there is to say of CUDA graphs since this was asked last.
    pub fn news_of_graphs(&self) -> Option<String> {
        self.graphs.borrow_mut().news()
    }

    /// The key of a step's draws.
    pub(super) fn key(&self, step: u64) -> Key {
        self.key.fold(step)
    }

    /// Brings a batch to the device; a GPU is not waited for.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn bring(&self, batch: &TrainBatch, device: Device) -> Result<Input> {
        let alike = self.views.windows(2).all(|pair| pair[0] == pair[1]);
        Input::of(batch, device, self.group.size() == 1, alike)
    }

    /// This rank's views of a batch, normalised: those that lie together by one pass over them.
    pub(super) fn views(&self, input: &Input) -> Result<Vec<Tensor>> {
        let normalised =
            |(bytes, &[height, width]): (&Tensor, &[u32; 2])| self.normalisation.apply_there(bytes, height, width);
        let views: Result<Vec<Tensor>, TchError> = match &input.views[..] {
            [together] => normalised((together, &self.views[0])).map(|all| all.chunk(self.views.len() as i64, 0)),
            apart => apart.iter().zip(&self.views).map(normalised).collect(),
        };
        views.map_err(Error::torch("prepare views"))
    }

    /// The first of them alone.
    pub(super) fn first_view(&self, input: &Input) -> Result<Vec<Tensor>> {
        let ([height, width], rows) = (self.views[0], input.labels.size()[0]);
        let bytes = rows * i64::from(height) * i64::from(width) * 3;
        let first = input.views[0].f_reshape([-1]).and_then(|all| all.f_narrow(0, 0, bytes));
        let view = first.and_then(|first| self.normalisation.apply_there(&first, height, width));
        Ok(vec![view.map_err(Error::torch("prepare views"))?])
    }

    /// One update with a learning rate, or none where something is not finite on any rank; waits for it.
    ///
    /// # Errors
    /// What the plugins or libtorch say; a lost peer.
    pub fn step(&self, model: &mut Model, batch: &TrainBatch, lr: f64) -> Result<StepOutcome> {
        let input = self.bring(batch, model.device)?;
        let launched = self.launch(model, &input, lr)?;
        Ok(Launched::read([&launched])?.pop().expect("one was launched"))
    }

    /// The same, but a GPU is not waited for: what comes of it is read later.
    ///
    /// # Errors
    /// As [`Stepper::step`].
    pub fn launch(&self, model: &mut Model, input: &Input, lr: f64) -> Result<Launched> {
        self.update(model, input, lr).map_err(|error| self.placed(error, input.step))
    }

    /// Trains classifiers alone, on the representation of the encoder as it is.
    ///
    /// # Errors
    /// As [`Stepper::step`].
    pub fn classify_only(&self, model: &mut Model, classifiers: &Classifiers, batch: &TrainBatch) -> Result<()> {
        let mut train = || {
            let input = self.bring(batch, model.device)?;
            let views = self.views(&input)?;
            let wanted = self.representations(model, views.len());
            let key = self.key(batch.step);
            let maps = tch::no_grad(|| {
                self.passes.all(model, &views, &wanted, Mode::Train, Draws { step: key, purpose: "encoder" })
            })?;
            let representations = wanted.iter().map(|at| gather_map(&self.group, &maps[at]));
            let representations = representations.collect::<Result<Vec<_>>>()?;
            let labels = gather_labels(&self.group, &input)?;
            tch::manual_seed(key.purpose("evaluator").torch_seed());
            classify(classifiers, &representations, &labels).map(drop)
        };
        train().map_err(|error| self.placed(error, batch.step))
    }

    fn placed(&self, error: Error, step: u64) -> Error {
        error.during(&format!("step {step}, rank {}", self.group.rank()))
    }

    pub(super) fn representations(&self, model: &Model, views: usize) -> Vec<(usize, usize)> {
        (0..views).map(|view| (view, model.representation)).collect()
    }

    fn update(&self, model: &mut Model, input: &Input, lr: f64) -> Result<Launched> {
        let _side = self.graphs.borrow_mut().side();
        match self.stage {
            Stage::Pretrain => self.pretrain(model, input, lr),
            Stage::Classifiers => self.fit_classifiers(model, input, lr),
            Stage::Finetune => self.finetune(model, input, lr),
        }
    }

    fn pretrain(&self, model: &mut Model, input: &Input, lr: f64) -> Result<Launched> {
        let computed = self.graphs.borrow_mut().compute(self, model, input)?;
        let facts = self.facts(model, input, &computed.labels);
        let gate = self.gate(model, computed.terms, computed.classified, computed.scale.as_ref())?;
        let mut momentum = None;
        if !gate.is_closed() {
            update_parameters(model, lr, gate.withheld())?;
            if let Some(momentum_encoder) = &model.momentum_encoder {
                momentum = Some(momentum_encoder.follow(input.step, self.total_steps, gate.withheld())?);
            }
            self.after_update(model, &computed.features, &facts, gate.withheld())?;
        }
        Ok(Launched { step: input.step, gate, momentum, alone: computed.alone })
    }

    /// Forward and backward, from parameters without gradients. `begins`: the loss has not been told of the step yet.
    pub(super) fn compute(&self, model: &mut Model, input: &Input, begins: bool) -> Result<Computed> {
        let began = Instant::now();
        let key = self.key(input.step);
        let views = self.views(input)?;
        let (maps, slow_maps) = self.encode(model, &views, key)?;
        let alone = began.elapsed();

        let labels = gather_labels(&self.group, input)?;
        let facts = self.facts(model, input, &labels);
        let features = self.gather(model, &maps, &slow_maps)?;
        seed(key, "loss", None)?;
        if begins {
            before_step(model, &facts)?;
        }
        let scale = model.scaler.as_ref().map(LossScaler::scale).transpose()?;
        let (terms, gradients) = self.loss(model, &features, &facts, scale.as_ref())?;
        let classified = match &model.classifiers {
            Some(classifiers) => {
                let representations = self.gathered_representations(model, &maps, &features, views.len())?;
                seed(key, "evaluator", None)?;
                classify(classifiers, &representations, &labels)?
            }
            None => Vec::new(),
        };
        self.backward(model, &views, maps, gradients, key)?;
        Ok(Computed { labels, features, terms, classified, scale, alone })
    }

    /// What the loss is told about a step.
    pub(super) fn facts(&self, model: &Model, input: &Input, labels: &Labels) -> Facts {
        Facts {
            step: input.step,
            total_steps: self.total_steps,
            epoch: input.epoch,
            key: self.key(input.step),
            world_size: self.group.size() as u32,
            dtype: kind_of(model.arithmetic.dtype()),
            labels: self.wants_labels.then(|| labels.labels.shallow_clone()),
            indices: Some(labels.indices.shallow_clone()),
        }
    }

    /// The loss of features, as a step computes it, without what it does to the encoder.
    pub(super) fn loss_alone(&self, model: &Model, features: &Features, facts: &Facts) -> Result<()> {
        let rows = self.rows(features);
        let objective = model.loss.as_ref().expect("the stage `pretrain` has a loss");
        if self.by_hand {
            objective.forward_backward(features, facts, rows)?;
        } else {
            objective.forward(features, facts, rows)?;
        }
        Ok(())
    }

    /// What the loss does after an update; where the device withheld that, its tensors are put back.
    fn after_update(
        &self,
        model: &mut Model,
        features: &Features,
        facts: &Facts,
        withheld: Withheld<'_>,
    ) -> Result<()> {
        tch::manual_seed(facts.key.purpose("after_update").torch_seed());
        let Some(loss) = &mut model.loss else { return Ok(()) };
        let Some(withheld) = withheld else { return Ok(loss.after_update(features, facts)?) };
        let held = match &mut model.held {
            Some(held) => held,
            None => model.held.insert(Held::of(loss.tensors()?)?),
        };
        held.keep()?;
        loss.after_update(features, facts)?;
        held.restore(withheld)
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
        let maps = self.passes.all(model, views, &wanted, Mode::Train, Draws { step: key, purpose: "encoder" })?;
        let slow = self.passes.slow(
            model,
            views,
            &through(Source::MomentumEncoder),
            Draws { step: key, purpose: "momentum_encoder" },
        )?;
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
    fn loss(&self, model: &Model, features: &Features, facts: &Facts, scale: Option<&Tensor>) -> Result<LossResult> {
        let rows = self.rows(features);
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
            let breach = |message| objective.breach("backward", message, BACKWARD);
            total.f_backward().map_err(|error| refused(Error::torch("run the loss backward")(error), breach))?;
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
        let breach = |model: &Model, said| model.encoder.breach("backward", said, BACKWARD);
        if self.passes.count == 1 {
            let (at, gradients): (Vec<_>, Vec<_>) = given.into_iter().unzip();
            let outputs = at.iter().map(|at| maps[at].shallow_clone()).collect();
            return run(outputs, gradients, true).map_err(|error| refused(error, |said| breach(model, said)));
        }
        drop(maps);
        for pass in 0..self.passes.count {
            let again = self.passes.one(
                model,
                views,
                pass,
                Mode::TrainFrozenStatistics,
                Draws { step: key, purpose: "encoder" },
            )?;
            let outputs = given.iter().map(|((view, map), _)| again[*view][*map].shallow_clone()).collect();
            let gradients: Result<Vec<_>, _> = given.iter().map(|(_, g)| self.passes.rows(g, pass)).collect();
            let gradients = gradients.map_err(Error::torch("cut a gradient into passes"))?;
            let is_last = pass + 1 == self.passes.count;
            run(outputs, gradients, is_last).map_err(|error| refused(error, |said| breach(model, said)))?;
        }
        Ok(())
    }

    /// The step's values over all ranks, and what they allow.
    pub(super) fn gate(
        &self,
        model: &mut Model,
        terms: Vec<(String, Tensor)>,
        classified: Vec<(String, Tensor)>,
        scale: Option<&Tensor>,
    ) -> Result<Gate> {
        let shares = if self.by_rows { terms.len() } else { 0 };
        let named: Vec<_> = terms.into_iter().chain(classified).map(|(name, scalar)| (name, scalar.detach())).collect();
        Gate::new(&self.group, model, scale, &named, shares)
    }
}

const BACKWARD: &str = "use operators that libtorch can go back through; `infomax plugin check` takes a component forward and back by itself";

/// How libtorch begins what a GPU or its libraries say.
const OF_DEVICE: [&str; 5] = ["CUDA error", "cuDNN error", "CUDNN_STATUS", "CUBLAS_STATUS", "CUDA driver error"];

/// What libtorch refuses on the way back through a component's operators, such as one without a derivative, is the component's fault;
/// not so where memory ran out, or the device failed.
fn refused(error: Error, breach: impl FnOnce(String) -> PluginError) -> Error {
    match error {
        Error::Torch { message, .. }
            if !memory_ran_out(&message) && !OF_DEVICE.iter().any(|of| message.contains(of)) =>
        {
            breach(message).into()
        }
        other => other,
    }
}

fn no_rows(loss: &str) -> Error {
    let message = format!("`distributed.loss` is `rows`, but `loss.name` = `{loss}` can't be computed by rows");
    Error::config(Fault::new(message).hint("use `auto` or `whole`"))
}

/// One update of everything that has gradients, unless the device withholds it.
///
/// # Errors
/// libtorch's message.
pub(super) fn update_parameters(model: &mut Model, lr: f64, withheld: Withheld<'_>) -> Result<()> {
    model.optimizer.update(lr, withheld)?;
    if let Some(optimizer) = &mut model.classifier_optimizer {
        let constant = optimizer.lr();
        optimizer.update(constant, withheld)?;
    }
    Ok(())
}

impl Launched {
    /// A step of a stage without momentum.
    pub(super) fn plain(step: u64, gate: Gate, alone: Duration) -> Self {
        Self { step, gate, momentum: None, alone }
    }
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
/// Each representation B × C × H × W without a graph.
///
/// # Errors
/// libtorch's message.
pub(super) fn classify(classifiers: &Classifiers, views: &[Tensor], labels: &Labels) -> Result<Vec<(String, Tensor)>> {
    let losses = || {
        let Some((representations, labels_n)) = labelled(views, labels)? else { return Ok(Vec::new()) };
        let losses = classifiers.logits(&representations, true)?.losses(&labels_n)?;
        let list: Vec<Tensor> = losses.iter().map(|(_, loss)| loss.shallow_clone()).collect();
        if !list.is_empty() {
            Tensor::f_stack(&list, 0)?.f_sum(Kind::Float)?.f_backward()?;
        }
        Ok(losses.into_iter().map(|(name, loss)| (format!("loss/{name}"), loss)).collect())
    };
    losses().map_err(Error::torch::<tch::TchError>("train the classifiers"))
}

/// The representations of all views, one after the other, and their labels, without those that have none; none where fewer
/// than two are left, which BatchNorm needs.
///
/// # Errors
/// libtorch's.
pub(super) fn labelled(views: &[Tensor], labels: &Labels) -> Result<Option<(Tensor, Tensor)>, TchError> {
    let mut labels_n = labels.labels.f_repeat([views.len() as i64])?;
    let mut representations = Tensor::f_cat(views, 0)?;
    if let Some(known) = &labels.known {
        let batch = labels.labels.size()[0];
        let of_view = |view: i64| known.f_add_scalar(view * batch);
        let rows = Tensor::f_cat(&(0..views.len() as i64).map(of_view).collect::<Result<Vec<_>, _>>()?, 0)?;
        representations = representations.f_index_select(0, &rows)?;
        labels_n = labels_n.f_index_select(0, &rows)?;
    }
    Ok((labels_n.numel() >= 2).then_some((representations, labels_n)))
}
