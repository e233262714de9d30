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
        let identities = Identities::now(&encoder, &loss)?;
        Ok(Self { encoder, loss, classifiers, optimizer, device, representation, identities })
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
        let now = Identities::now(&self.encoder, &self.loss)?;
        let hint = "change tensors in place, and always give the same ones";
        if let Some(name) = changed(&self.identities.encoder, &now.encoder) {
            return Err(self.encoder.breach("tensors", format!("`{name}` was replaced"), hint));
        }
        if let Some(name) = changed(&self.identities.loss, &now.loss) {
            return Err(self.loss.breach("tensors", format!("`{name}` was replaced"), hint));
        }
        Ok(())
    }
}

/// Where tensors lie, by name.
#[derive(Default)]
struct Identities {
    encoder: Vec<(String, usize)>,
    loss: Vec<(String, usize)>,
}

impl Identities {
    fn now(encoder: &ForeignEncoder, loss: &ForeignLoss) -> Result<Self, PluginError> {
        let places = |list: Vec<NamedTensor>| -> Vec<(String, usize)> {
            list.into_iter().map(|named| (named.name, named.tensor.data_ptr() as usize)).collect()
        };
        Ok(Self { encoder: places(encoder.tensors()?), loss: places(loss.tensors()?) })
    }
}

/// The first tensor that lies elsewhere than before.
fn changed(before: &[(String, usize)], now: &[(String, usize)]) -> Option<String> {
    let differs = before.iter().zip(now).find(|(before, now)| before != now).map(|(before, _)| before.0.clone());
    differs.or_else(|| (before.len() != now.len()).then(|| "the list of tensors".to_owned()))
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
