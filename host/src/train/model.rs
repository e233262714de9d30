//! What is trained: encoder, loss and classifiers, with the optimizer over all their parameters.

use super::setup::Setup;
use crate::{
    config::Experiment,
    encoder::ForeignEncoder,
    error::{Error, Result},
    evaluator::{Classifiers, Plan},
    loss::ForeignLoss,
    optimizer::{Adam, Trained},
    plugin::PluginError,
};
use infomax_sdk::{Key, NamedTensor, ffi::module::device};
use tch::Device;

/// Encoder, loss and classifiers with their optimizer.
pub struct Model {
    pub encoder: ForeignEncoder,
    pub loss: ForeignLoss,
    pub classifiers: Option<Classifiers>,
    pub optimizer: Adam,
    pub device: Device,
    /// Position of the representation among the encoder's maps.
    pub representation: usize,
    /// Where the encoder's and the loss's tensors lay at the start: a plugin must not replace them.
    identities: Vec<(String, usize)>,
}

impl Model {
    /// A model with fresh weights, drawn from the seed.
    ///
    /// # Errors
    /// What the plugins or libtorch say.
    pub fn new(setup: &Setup, experiment: &Experiment, classes: Option<usize>) -> Result<Self> {
        let device =
            device(&setup.encoder_request.device).map_err(|error| setup.encoder.origin.error("create", error))?;
        let key = Key::new(experiment.train.seed).purpose("init");
        let seed = |purpose: &str| tch::manual_seed(key.purpose(purpose).torch_seed());
        seed("encoder");
        let encoder = ForeignEncoder::create(&setup.encoder, &setup.encoder_request)?;
        seed("loss");
        let loss = ForeignLoss::create(&setup.loss, &setup.loss_request)?;
        let description = encoder.description();
        let is_representation = |map: &infomax_sdk::FeatureMap| map.name == description.representation;
        let representation = description.maps.iter().position(is_representation).expect("`describe` checked it");
        let map = &description.maps[representation];
        let channels = i64::from(map.channels) * i64::from(map.height) * i64::from(map.width);
        seed("evaluator");
        let classifiers = classes.map(|classes| new_classifiers(experiment, channels, classes, device)).transpose()?;
        let mut trained = Trained::of("encoder", &encoder.tensors()?);
        trained.extend(Trained::of("loss", &loss.tensors()?));
        trained.extend(classifiers.iter().flat_map(|c| Trained::of("evaluator", &c.tensors())));
        let optimizer = Adam::new(trained, &experiment.optimizer);
        let mut model = Self { encoder, loss, classifiers, optimizer, device, representation, identities: Vec::new() };
        model.identities = model.identities_now()?;
        Ok(model)
    }

    /// Every tensor that is saved, under `encoder.`, `loss.` and `evaluator.`.
    ///
    /// # Errors
    /// What the plugins say.
    pub fn tensors(&self) -> Result<Vec<NamedTensor>> {
        let under = |prefix: &str, list: Vec<NamedTensor>| {
            let rename = |named: NamedTensor| NamedTensor { name: format!("{prefix}.{}", named.name), ..named };
            list.into_iter().map(rename).collect::<Vec<_>>()
        };
        let mut list = under("encoder", self.encoder.tensors()?);
        list.extend(under("loss", self.loss.tensors()?));
        list.extend(self.classifiers.iter().flat_map(|c| under("evaluator", c.tensors())));
        Ok(list)
    }

    /// Makes sure that no plugin has replaced a tensor: the optimizer would train a ghost.
    ///
    /// # Errors
    /// The first tensor that was replaced.
    pub fn check_identities(&self) -> Result<(), PluginError> {
        let now = self.identities_now()?;
        match self.identities.iter().zip(&now).find(|(then, now)| then != now) {
            None if now.len() == self.identities.len() => Ok(()),
            changed => {
                let name = changed.map_or("its list of tensors", |(then, _)| &then.0);
                Err(self.encoder.breach("tensors", format!("`{name}` was replaced"), "change tensors in place"))
            }
        }
    }

    fn identities_now(&self) -> Result<Vec<(String, usize)>, PluginError> {
        let tensors = self.encoder.tensors()?.into_iter().chain(self.loss.tensors()?);
        Ok(tensors.map(|named| (named.name, named.tensor.data_ptr() as usize)).collect())
    }
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
