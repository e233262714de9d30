//! The loss kind: from the features of the global batch to the scalar that training minimises.
//!
//! A loss is written for one batch. Gathering over devices is the host's job, so a loss can't forget it.

use crate::{
    Device, Error, FeatureMap, Key, Kind, NamedTensor, Result, Tensor, View, no_grad,
    tensor::{Argument, Operator, Tensors},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::ops::Range;

/// An objective. Called by one thread at a time.
pub trait Loss: Send + Sized + 'static {
    /// The component's own table in the experiment file; its JSON Schema is in the manifest.
    type Config: DeserializeOwned;

    /// What the loss needs of views and maps. Allocates no tensor.
    ///
    /// # Errors
    /// Maps that it can't use, in words: what it needs, what there is.
    fn describe(config: &Self::Config, input: &LossInput) -> Result<LossDescription>;

    /// Builds the loss with fresh weights, drawn from libtorch's generator (seeded by the host).
    ///
    /// # Errors
    /// As [`Loss::describe`].
    fn create(config: &Self::Config, input: &LossInput, device: Device) -> Result<Self>;

    /// The loss over the given source rows of the global batch; over several disjoint ranges it sums to the whole.
    /// Pure: parameters, buffers, features and key in, terms out. The host calls backward.
    ///
    /// # Errors
    /// What the author finds wrong; an operator that fails need not be returned.
    fn forward(&self, features: &Features, facts: &Facts, rows: Range<i64>) -> Result<Terms>;

    /// The same with gradients by hand. Called where [`LossDescription::forward_backward`] says so.
    ///
    /// # Errors
    /// What the author finds wrong; an operator that fails need not be returned.
    fn forward_backward(&self, _features: &Features, _facts: &Facts, _rows: Range<i64>) -> Result<Gradients> {
        Err(Error::new("the description promises `forward_backward`, the loss does not implement it"))
    }

    /// Before a step's forward pass, once per update, alike on every rank.
    ///
    /// # Errors
    /// What the author finds wrong; an operator that fails need not be returned.
    fn before_step(&mut self, _facts: &Facts) -> Result<()> {
        Ok(())
    }

    /// After a step's update, once per update, alike on every rank.
    ///
    /// # Errors
    /// What the author finds wrong; an operator that fails need not be returned.
    fn after_update(&mut self, _features: &Features, _facts: &Facts) -> Result<()> {
        Ok(())
    }

    /// Parameters and buffers, always the same ones.
    fn tensors(&self) -> Vec<NamedTensor> {
        Vec::new()
    }

    /// State that is not a tensor.
    fn save(&self) -> Value {
        Value::Null
    }

    /// Takes back what [`Loss::save`] gave.
    ///
    /// # Errors
    /// State that does not fit.
    fn load(&mut self, _state: Value) -> Result<()> {
        Ok(())
    }
}

/// What a loss will be given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossInput {
    /// The training views.
    pub views: Vec<View>,
    /// The maps of a view.
    pub maps: Vec<FeatureMap>,
    /// The name of the map that evaluators read.
    pub representation: String,
    /// Number of classes, where labels exist.
    pub class_count: Option<u64>,
}

impl LossInput {
    /// The map of this name.
    pub fn map(&self, name: &str) -> Option<&FeatureMap> {
        self.maps.iter().find(|map| map.name == name)
    }

    /// The maps in words, for a message that none of them fits.
    pub fn given(&self) -> String {
        self.maps.iter().map(FeatureMap::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// What a loss needs and offers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LossDescription {
    /// Which maps of which views through which encoder; only these reach the loss.
    pub needs: Vec<Need>,
    /// The momentum encoder's schedule, where one is needed.
    pub momentum: Option<Momentum>,
    /// Whether labels are needed.
    pub labels: bool,
    /// The names of the terms, in order.
    pub terms: Vec<String>,
    /// Whether [`rows`](Loss::forward) may be a part of the batch.
    pub row_ranges: bool,
    /// Whether `forward_backward` exists.
    pub forward_backward: bool,
    /// How many trained numbers the loss has of its own.
    pub parameter_count: u64,
    /// The smallest batch that it works on.
    pub min_batch_size: u64,
    /// What it can do or does besides what its manifest says of every config: `stop-gradient`, `draws` (from libtorch's generator,
    /// which the host seeds for each step, where its key can't reach).
    #[serde(default)]
    pub capabilities: Vec<String>,
}

impl LossDescription {
    /// A description that names terms and nothing else.
    pub fn of_terms<const N: usize>(names: [&str; N]) -> Self {
        Self { terms: names.map(str::to_owned).to_vec(), ..Self::default() }
    }
}

/// Maps of one view through one encoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The view, by position.
    pub view: usize,
    /// Through which encoder.
    pub source: Source,
    /// The names of the maps.
    pub maps: Vec<String>,
}

/// Which encoder features come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u32)]
pub enum Source {
    /// The one that is trained.
    Encoder = 0,
    /// Its slow copy.
    MomentumEncoder = 1,
}

/// How a momentum encoder follows: its weights become m·own + (1 − m)·encoder, m from `start` to `end` by a cosine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Momentum {
    /// m at the first update.
    pub start: f64,
    /// m at the last update.
    pub end: f64,
}

impl Momentum {
    /// m after `step` of `total_steps` updates; `start` throughout where the budget is not in updates (0).
    ///
    /// # Source
    /// Grill et al. 2020, section 3.3, with an end other than 1 allowed.
    pub fn at(&self, step: u64, total_steps: u64) -> f64 {
        if total_steps == 0 {
            return self.start;
        }
        let done = step.min(total_steps) as f64 / total_steps as f64;
        self.end - (self.end - self.start) * ((std::f64::consts::PI * done).cos() + 1.0) / 2.0
    }

    /// Moves a slow copy towards the trained numbers, after a step's update: m·copy + (1 − m)·own.
    pub fn follow(&self, slow: &Tensor, own: &Tensor, facts: &Facts) {
        self.follow_all(&[slow], &[own], facts);
    }

    /// The same of several, by one operator.
    pub fn follow_all(&self, slow: &[&Tensor], own: &[&Tensor], facts: &Facts) {
        static OPERATOR: Operator = Operator::new("aten::_foreach_lerp_", "Scalar");
        let weight = 1.0 - self.at(facts.step, facts.total_steps);
        let [] =
            no_grad(|| OPERATOR.several(&[Tensors::lend(slow).value(), Tensors::lend(own).value(), weight.value()]));
    }
}

/// What a loss is told about a step. `T` is the tensor; the host has its own.
#[derive(Debug)]
pub struct Facts<T = Tensor> {
    /// Updates done so far.
    pub step: u64,
    /// Updates planned; 0 where the budget is not in updates.
    pub total_steps: u64,
    /// Epochs begun so far, from 0.
    pub epoch: u64,
    /// The step's key; alike on every rank.
    pub key: Key,
    /// How many ranks share the batch.
    pub world_size: u32,
    /// The autocast dtype; [`Kind::F32`] without mixed precision.
    pub dtype: Kind,
    /// Labels of the global batch, (B) i64, −1 for none; where the loss asked.
    pub labels: Option<T>,
    /// Sample indices of the global batch, (B) i64.
    pub indices: Option<T>,
}

/// The features that a loss asked for, of the global batch.
#[derive(Debug)]
pub struct Features<T = Tensor> {
    items: Vec<Feature<T>>,
}

/// One feature map.
#[derive(Debug)]
pub struct Feature<T = Tensor> {
    /// The view, by position.
    pub view: usize,
    /// Through which encoder.
    pub source: Source,
    /// The map's name.
    pub map: String,
    /// B × C × H × W.
    pub tensor: T,
}

impl<T> Features<T> {
    /// Features in the order in which gradients are given back.
    pub fn new(items: Vec<Feature<T>>) -> Self {
        Self { items }
    }

    /// All of them, in the order in which [`Gradients::features`] counts.
    pub fn items(&self) -> &[Feature<T>] {
        &self.items
    }

    /// A view's map through the trained encoder.
    ///
    /// # Errors
    /// A map that the loss did not ask for in its description.
    pub fn get(&self, view: usize, map: &str) -> Result<&T> {
        self.position(view, Source::Encoder, map).map(|i| &self.items[i].tensor)
    }

    /// A view's map through the momentum encoder.
    ///
    /// # Errors
    /// A map that the loss did not ask for in its description.
    pub fn momentum(&self, view: usize, map: &str) -> Result<&T> {
        self.position(view, Source::MomentumEncoder, map).map(|i| &self.items[i].tensor)
    }

    /// The position of a view's map, for [`Gradients::features`].
    ///
    /// # Errors
    /// A map that the loss did not ask for in its description.
    pub fn position(&self, view: usize, source: Source, map: &str) -> Result<usize> {
        let found = self.items.iter().position(|f| f.view == view && f.source == source && f.map == map);
        found.ok_or_else(|| {
            Error::new(format!("there is no map `{map}` of view {view} ({source:?})"))
                .hint("list it under `needs` in the loss's description")
        })
    }
}

/// What a loss gives.
#[derive(Debug)]
pub struct Terms<T = Tensor> {
    /// The scalar that training minimises.
    pub total: T,
    /// What it is made of, and whatever else is worth recording: scalars.
    pub terms: Vec<(String, T)>,
}

impl Terms {
    /// A loss without terms of its own.
    pub fn new(total: Tensor) -> Self {
        Self { total, terms: Vec::new() }
    }

    /// The weighted sum of named terms; each is recorded as it is.
    pub fn sum<const N: usize>(parts: [(&str, f64, Tensor); N]) -> Self {
        let total = parts.iter().map(|(_, weight, value)| value * *weight).reduce(|sum, part| sum + part);
        let terms = parts.into_iter().map(|(name, _, value)| (name.to_owned(), value)).collect();
        Self { total: total.expect("a loss has at least one part"), terms }
    }

    /// With something else to record: a scalar.
    #[must_use]
    pub fn with(mut self, name: &str, value: Tensor) -> Self {
        self.terms.push((name.to_owned(), value));
        self
    }

    /// The total times a number; what is recorded stays.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        self.total = self.total * factor;
        self
    }
}

/// What a loss with its own backward pass gives.
#[derive(Debug)]
pub struct Gradients<T = Tensor> {
    /// The loss.
    pub terms: Terms<T>,
    /// The gradient of each feature, in the order of [`Features::items`]; none for zero.
    pub features: Vec<Option<T>>,
    /// Gradients of the loss's own parameters, by name.
    pub parameters: Vec<(String, T)>,
}

#[cfg(test)]
mod tests {
    use super::Momentum;

    #[test]
    fn momentum_goes_from_start_to_end_by_a_cosine() {
        let momentum = Momentum { start: 0.99, end: 1.0 };
        assert!((momentum.at(0, 100) - 0.99).abs() < 1e-15);
        assert!((momentum.at(50, 100) - 0.995).abs() < 1e-15);
        assert!((momentum.at(100, 100) - 1.0).abs() < 1e-15 && momentum.at(101, 100) == momentum.at(100, 100));
        assert_eq!(momentum.at(7, 0), 0.99);
    }
}
