//! The encoder kind: from views to feature maps, one of which is the representation.

use crate::{Device, NamedTensor, Result, Tensor, View};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::fmt::{self, Display, Formatter};

/// A network without a head. Called by one thread at a time.
pub trait Encoder: Send + Sized + 'static {
    /// The component's own table in the experiment file; its JSON Schema is in the manifest.
    type Config: DeserializeOwned;

    /// The maps that the encoder gives, its size and its needs. Allocates no tensor.
    ///
    /// # Errors
    /// A config that can't work, or views of a size that the encoder can't take.
    fn describe(config: &Self::Config, input: &EncoderInput) -> Result<EncoderDescription>;

    /// Builds the encoder with fresh weights, drawn from libtorch's generator (seeded by the host).
    ///
    /// # Errors
    /// As [`Encoder::describe`].
    fn create(config: &Self::Config, input: &EncoderInput, device: Device) -> Result<Self>;

    /// All views in one call, so that one pass may serve them; BatchNorm statistics are per view, and running
    /// statistics are updated in the order of the views.
    ///
    /// # Shapes
    /// Each view B × 3 × H × W, f32, normalised; channels-last in memory. Out, for each view, the maps in the described
    /// order, B × C × H × W.
    ///
    /// # Errors
    /// What the author finds wrong; an operator that fails need not be returned.
    fn forward(&mut self, views: &[Tensor], mode: Mode) -> Result<Vec<Vec<Tensor>>>;

    /// Parameters and buffers, always the same ones.
    fn tensors(&self) -> Vec<NamedTensor>;

    /// State that is not a tensor.
    fn save(&self) -> Value {
        Value::Null
    }

    /// Takes back what [`Encoder::save`] gave.
    ///
    /// # Errors
    /// State that does not fit.
    fn load(&mut self, _state: Value) -> Result<()> {
        Ok(())
    }
}

/// How an encoder runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Batch statistics; running statistics are updated.
    Train,
    /// Batch statistics; running statistics stay (recomputation under accumulation).
    TrainFrozenStatistics,
    /// Only the update of the running statistics matters.
    RefreshStatistics,
    /// Running statistics.
    Evaluate,
}

/// What an encoder will be given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderInput {
    /// The training views.
    pub views: Vec<View>,
    /// Height and width of the view for evaluation.
    pub eval_size: [u32; 2],
    /// How many images of a view one pass of training has; empty where nobody says. Evaluation passes have any number.
    #[serde(default)]
    pub batch_sizes: Vec<u64>,
}

/// What an encoder gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderDescription {
    /// The maps of a view, in the order in which `forward` gives them.
    pub maps: Vec<FeatureMap>,
    /// The name of the map that evaluators read.
    pub representation: String,
    /// How many trained numbers.
    pub parameter_count: u64,
    /// Bytes of activations per image and view in training, roughly.
    pub activation_bytes: u64,
}

/// A named map of features.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureMap {
    /// Its name: `r1`, `r5`, …
    pub name: String,
    /// C.
    pub channels: u32,
    /// H.
    pub height: u32,
    /// W.
    pub width: u32,
}

/// `r5` (5×5, 128 channels).
impl Display for FeatureMap {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({}×{}, {} channels)", self.name, self.height, self.width, self.channels)
    }
}
