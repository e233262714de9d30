//! What is trained: encoder, loss and classifiers, with the optimizer over all their parameters.

use super::{exchange::sum_in_place, held::Held, precision::Arithmetic, scaler::LossScaler, setup::Setup};
use crate::{
    config::{self, Experiment, OptimizerName, ScheduleName, Stage},
    distributed::Group,
    encoder::{Choice, ForeignEncoder, MomentumEncoder, load_chosen_weights},
    error::{Error, Result},
    evaluator::{Classifiers, Plan},
    loss::ForeignLoss,
    optimizer::{Optimizer, Trained},
    plugin::PluginError,
    tensor::{NamedTensor, device},
};
use infomax_sdk::{Key, Momentum, Role};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use tch::{Device, Tensor};

/// Encoder, loss and classifiers with their optimizers.
pub struct Model {
    pub encoder: ForeignEncoder,
    /// Where the loss needs one.
    pub momentum_encoder: Option<MomentumEncoder>,
    /// In the stage that trains by it.
    pub loss: Option<ForeignLoss>,
    pub classifiers: Option<Classifiers>,
    /// Trains encoder and loss, and the classifiers too where they have no optimizer of their own.
    pub optimizer: Optimizer,
    /// Trains the classifiers alone, at its own constant learning rate.
    pub classifier_optimizer: Option<Optimizer>,
    pub device: Device,
    /// The number format of encoder and loss.
    pub arithmetic: Arithmetic,
    /// Under f16.
    pub scaler: Option<LossScaler>,
    /// Position of the representation among the encoder's maps.
    pub representation: usize,
    /// What is to be said of the weights that it starts from.
    pub told: Vec<String>,
    /// What its file says of the encoder.
    pub about: Value,
    /// What the loss changes after an update that the device may withhold; made with the first of those.
    pub(super) held: Option<Held>,
    /// Where the encoder's and the loss's tensors lay at the start: a plugin must not replace them.
    identities: Identities,
}

impl Model {
    /// A model with fresh weights, drawn from the seed.
    ///
    /// # Errors
    /// What the plugins or libtorch say.
    pub fn new(setup: &Setup, experiment: &Experiment, classes: Option<usize>) -> Result<Self> {
        let device =
            device(&setup.encoder_request.device).map_err(|error| setup.encoder.origin.error("create", error))?;
        let arithmetic = Arithmetic::new(experiment.train.precision, device)?;
        let key = Key::new(experiment.train.seed).purpose("init");
        let seed = |purpose: &str| tch::manual_seed(key.purpose(purpose).torch_seed());
        seed("encoder");
        let encoder = ForeignEncoder::create(&setup.encoder, &setup.encoder_request)?.computing_in(arithmetic);
        let mut told = Vec::new();
        if let Some(path) = &experiment.encoder.weights {
            let table = &experiment.encoder;
            let (key, prefix) = (table.weights_key.as_deref(), table.weights_prefix.as_deref());
            told = load_chosen_weights(
                &encoder,
                path,
                Choice { key, prefix, grid: table.weights_grid, cast: table.cast_weights },
            )?;
        }
        let stage = experiment.train.stage;
        let momentum = setup.loss_description.momentum.clone().filter(|_| stage == Stage::Pretrain);
        let copy = |momentum| MomentumEncoder::of(&encoder, &setup.encoder, &setup.encoder_request, momentum);
        let momentum_encoder = momentum.map(copy).transpose()?;
        seed("loss");
        let create = || ForeignLoss::create(&setup.loss, &setup.loss_request);
        let loss = (stage == Stage::Pretrain).then(create).transpose()?.map(|loss| loss.computing_in(arithmetic));
        let description = encoder.description();
        let is_representation = |map: &infomax_sdk::FeatureMap| map.name == description.representation;
        let representation = description.maps.iter().position(is_representation).expect("`describe` checked it");
        let map = &description.maps[representation];
        let channels = i64::from(map.channels) * i64::from(map.height) * i64::from(map.width);
        seed("evaluator");
        let classifiers = classes.map(|classes| new_classifiers(experiment, channels, classes, device)).transpose()?;
        let mut trained = Vec::new();
        if stage != Stage::Classifiers {
            trained.extend(Trained::of("encoder", &encoder.tensors()?));
        }
        if let Some(loss) = &loss {
            trained.extend(Trained::of("loss", &loss.tensors()?));
        }
        let of_classifiers = classifiers.iter().flat_map(|c| Trained::of("evaluator", &c.tensors())).collect();
        let classifier_optimizer = match classifier_settings(experiment) {
            Some(settings) => Some(Optimizer::new(of_classifiers, &settings)),
            None => {
                trained.extend(of_classifiers);
                None
            }
        };
        let optimizer = Optimizer::new(trained, &experiment.optimizer);
        let identities = Identities::now(&encoder, loss.as_ref())?;
        Ok(Self {
            encoder,
            momentum_encoder,
            loss,
            classifiers,
            optimizer,
            classifier_optimizer,
            device,
            arithmetic,
            scaler: (arithmetic.scales_loss() && stage != Stage::Classifiers)
                .then(|| LossScaler::new(experiment.train.loss_scale, device))
                .transpose()?,
            representation,
            told,
            about: about(setup, experiment),
            held: None,
            identities,
        })
    }

    /// How the momentum encoder follows, where there is one.
    pub fn momentum(&self) -> Option<Momentum> {
        self.momentum_encoder.as_ref().map(|encoder| encoder.schedule().clone())
    }

    /// Makes running statistics those of all ranks: their mean, which is what one process would have kept, since they move
    /// linearly with each batch's.
    ///
    /// # Errors
    /// A lost peer, or what the plugins say.
    pub fn share_buffers(&self, group: &Group) -> Result<()> {
        if group.size() == 1 {
            return Ok(());
        }
        let mut tensors = self.encoder.tensors()?;
        // One tensor may have several names, a parameter too: each is summed once.
        let place = |named: &NamedTensor| named.tensor.data_ptr() as usize;
        let mut seen: HashSet<usize> =
            tensors.iter().filter(|named| named.role == Role::Parameter).map(place).collect();
        tensors.retain(|named| named.role == Role::Buffer);
        if let Some(momentum_encoder) = &self.momentum_encoder {
            tensors.extend(momentum_encoder.tensors()?); // its weights are equal on all ranks, and stay so
        }
        tensors.retain(|named| seen.insert(place(named)));
        let buffers: Vec<Tensor> = tensors.into_iter().map(|n| n.tensor).filter(Tensor::is_floating_point).collect();
        let scale = |factor: f64| buffers.iter().try_for_each(|b| b.shallow_clone().f_mul_scalar_(factor).map(drop));
        tch::no_grad(|| scale(1.0 / group.size() as f64)).map_err(Error::torch("average running statistics"))?;
        sum_in_place(group, &buffers)
    }

    /// Takes over every tensor of rank 0.
    ///
    /// # Errors
    /// A lost peer, or what the plugins say.
    pub fn follow_leader(&self, group: &Group) -> Result<()> {
        self.tensors()?.iter().try_for_each(|named| tch::no_grad(|| group.follow(&named.tensor)))
    }

    /// What is trained, under `encoder.`, `loss.` and `evaluator.`.
    ///
    /// # Errors
    /// What the plugins say.
    pub fn parameters(&self) -> Result<Vec<(String, Tensor)>> {
        let tensors = self.tensors()?.into_iter().filter(|named| named.role == Role::Parameter);
        Ok(tensors.map(|named| (named.name, named.tensor)).collect())
    }

    /// Both optimizers.
    pub fn optimizers(&self) -> impl Iterator<Item = &Optimizer> {
        std::iter::once(&self.optimizer).chain(&self.classifier_optimizer)
    }

    /// Every tensor that is saved, under `encoder.`, `momentum_encoder.`, `loss.` and `evaluator.`.
    ///
    /// # Errors
    /// What the plugins say.
    pub fn tensors(&self) -> Result<Vec<NamedTensor>> {
        let under = |prefix: &str, list: Vec<NamedTensor>| {
            let rename = |named: NamedTensor| NamedTensor { name: format!("{prefix}.{}", named.name), ..named };
            list.into_iter().map(rename).collect::<Vec<_>>()
        };
        let mut list = under("encoder", self.encoder.tensors()?);
        if let Some(momentum_encoder) = &self.momentum_encoder {
            list.extend(under("momentum_encoder", momentum_encoder.tensors()?));
        }
        if let Some(loss) = &self.loss {
            list.extend(under("loss", loss.tensors()?));
        }
        list.extend(self.classifiers.iter().flat_map(|c| under("evaluator", c.tensors())));
        Ok(list)
    }

    /// Makes sure that no plugin has replaced a tensor: the optimizer would train a ghost.
    ///
    /// # Errors
    /// The first tensor that was replaced.
    pub fn check_identities(&self) -> Result<(), PluginError> {
        let now = Identities::now(&self.encoder, self.loss.as_ref())?;
        let hint = "change tensors in place, and always give the same ones";
        if let Some(name) = changed(&self.identities.encoder, &now.encoder) {
            return Err(self.encoder.breach("tensors", format!("`{name}` was replaced"), hint));
        }
        if let (Some(name), Some(loss)) = (changed(&self.identities.loss, &now.loss), &self.loss) {
            return Err(loss.breach("tensors", format!("`{name}` was replaced"), hint));
        }
        Ok(())
    }

    /// What is minimised, for messages.
    pub fn objective(&self) -> String {
        self.loss.as_ref().map_or_else(|| "the classifiers".to_owned(), |loss| loss.label().to_string())
    }
}

/// What is needed to use an encoder elsewhere: how it is made, what it takes and what it gives.
fn about(setup: &Setup, experiment: &Experiment) -> Value {
    let views = &setup.augmentation_description;
    let mut about = json!(setup.encoder_description);
    about["encoder"] = json!({ "name": setup.encoder.name, "config": sorted(&experiment.encoder.config) });
    about["view"] = json!({ "size": views.eval_size, "mean": views.mean, "std": views.std });
    about
}

/// A value with its keys in order: a run that goes on reads its config in another one, and its file is to have the same bytes.
fn sorted(value: &Value) -> Value {
    let Value::Object(map) = value else { return value.clone() };
    let keys: BTreeMap<&String, &Value> = map.iter().collect();
    Value::Object(keys.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
}

/// Where tensors lie, by name.
#[derive(Default)]
struct Identities {
    encoder: Vec<(String, usize)>,
    loss: Vec<(String, usize)>,
}

impl Identities {
    fn now(encoder: &ForeignEncoder, loss: Option<&ForeignLoss>) -> Result<Self, PluginError> {
        let places = |list: Vec<NamedTensor>| -> Vec<(String, usize)> {
            list.into_iter().map(|named| (named.name, named.tensor.data_ptr() as usize)).collect()
        };
        let of_loss = loss.map(ForeignLoss::tensors).transpose()?.unwrap_or_default();
        Ok(Self { encoder: places(encoder.tensors()?), loss: places(of_loss) })
    }
}

/// The first tensor that lies elsewhere than before.
fn changed(before: &[(String, usize)], now: &[(String, usize)]) -> Option<String> {
    let differs = before.iter().zip(now).find(|(before, now)| before != now).map(|(before, _)| before.0.clone());
    differs.or_else(|| (before.len() != now.len()).then(|| "the list of tensors".to_owned()))
}

/// The rule of the classifiers' own optimizer; none where the config's trains them, as published.
pub fn classifier_settings(experiment: &Experiment) -> Option<config::Optimizer> {
    const DEFAULT_LR: f64 = 1e-3; // Adam's own default
    let beside = experiment.train.stage == Stage::Pretrain && experiment.optimizer.name != OptimizerName::Adam;
    let lr = experiment.evaluation.classifier_lr.or(beside.then_some(DEFAULT_LR))?;
    Some(config::Optimizer {
        name: OptimizerName::Adam,
        lr,
        betas: [0.9, 0.999], // Adam's own defaults
        weight_decay: 0.0,
        schedule: ScheduleName::Milestones,
        milestones: Vec::new(),
        warmup_steps: Some(0),
        warmup_epochs: None,
        ..config::Optimizer::default()
    })
}

/// Fresh classifiers of a config.
///
/// # Errors
/// libtorch's message.
pub fn new_classifiers(experiment: &Experiment, channels: i64, classes: usize, device: Device) -> Result<Classifiers> {
    let evaluation = &experiment.evaluation;
    let plan = Plan {
        linear: evaluation.linear,
        mlp: evaluation.mlp,
        hidden: evaluation.mlp_hidden as i64,
        dropout: evaluation.mlp_dropout,
    };
    Classifiers::new(channels, classes as i64, plan, device).map_err(Error::torch("make the classifiers"))
}
