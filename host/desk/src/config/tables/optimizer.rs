//! The table `optimizer`: how gradients become updates, and how the learning rate changes over time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How gradients become updates, and how the learning rate changes over time. The defaults are AMDIM's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Optimizer {
    /// The rule.
    pub name: OptimizerName,
    /// Learning rate after the warm-up.
    #[schemars(range(min = 0.0, max = 1000.0), extend("unit" = "dimensionless"))]
    pub lr: f64,
    /// The batch that `lr` is stated for: updates use `lr` · `train.batch_size` / this. Where not given, `lr` is used as it is. A later
    /// layer that sets `lr` alone drops it.
    #[schemars(range(min = 1, max = 1_048_576), extend("unit" = "images"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_reference_batch: Option<u64>,
    /// Decay of the running mean of the gradient and of its square (`adam`, `adamw`).
    #[schemars(inner(range(min = 0.0, max = 0.999_999_999)), extend("unit" = "dimensionless"))]
    pub betas: [f64; 2],
    /// Added to the denominator of an update (`adam`, `adamw`).
    #[schemars(range(min = 1e-30, max = 1.0), extend("unit" = "dimensionless"))]
    pub eps: f64,
    /// Share of the last update that the next one keeps (`sgd`, `lars`).
    #[schemars(range(min = 0.0, max = 0.999_999_999), extend("unit" = "dimensionless"))]
    pub momentum: f64,
    /// Whether momentum looks ahead (`sgd`).
    pub nesterov: bool,
    /// Length of an update as a share of the parameter's, per layer (`lars`).
    #[schemars(range(min = 1e-9, max = 1.0), extend("unit" = "dimensionless"))]
    pub trust_coefficient: f64,
    /// Whether the layer's factor may not raise its learning rate above `lr` (`lars`).
    pub clip_lr: bool,
    /// L2 penalty, added to the gradient; with `adamw` taken off the parameter, times the learning rate.
    #[schemars(range(min = 0.0, max = 100.0), extend("unit" = "dimensionless"))]
    pub weight_decay: f64,
    /// Whether biases and the scales and shifts of norms go without weight decay and without a layer's factor.
    pub exclude_bias_and_norm: bool,
    /// How the learning rate falls after the warm-up.
    pub schedule: ScheduleName,
    /// Updates over which the learning rate rises from nothing, linearly; 0: none. One of `warmup_steps` and
    /// `warmup_epochs` is given; 500 updates where none is.
    #[schemars(range(min = 0, max = 1_000_000_000), extend("unit" = "updates"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_steps: Option<u64>,
    /// Epochs over which the learning rate rises from nothing, linearly.
    #[schemars(range(min = 0, max = 1_000_000), extend("unit" = "epochs"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_epochs: Option<u64>,
    /// Epochs after which the learning rate is multiplied by `milestone_factor`, increasing (schedule `milestones`).
    #[schemars(inner(range(min = 1, max = 1_000_000)), extend("unit" = "epochs"))]
    pub milestones: Vec<u64>,
    /// What the learning rate is multiplied by at each milestone.
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    pub milestone_factor: f64,
    /// The last update's learning rate as a share of `lr` (schedule `cosine`).
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    pub final_lr_fraction: f64,
}

impl Optimizer {
    /// Updates of warm-up where nothing is said.
    pub const DEFAULT_WARMUP_STEPS: u64 = 500; // AMDIM

    /// The learning rate after the warm-up for batches of a size.
    pub fn lr_for(&self, batch_size: u64) -> f64 {
        self.lr_reference_batch.map_or(self.lr, |reference| self.lr * batch_size as f64 / reference as f64)
    }
}

impl Default for Optimizer {
    fn default() -> Self {
        Self {
            name: OptimizerName::Adam,
            lr: 2e-4,
            lr_reference_batch: None,
            betas: [0.8, 0.999],
            eps: 1e-8,
            momentum: 0.9,
            nesterov: false,
            trust_coefficient: 0.001, // You et al. 2017
            clip_lr: false,
            weight_decay: 1e-5,
            exclude_bias_and_norm: false,
            schedule: ScheduleName::Milestones,
            warmup_steps: None,
            warmup_epochs: None,
            milestones: vec![250, 280],
            milestone_factor: 0.2,
            final_lr_fraction: 0.0,
        }
    }
}

/// The rule that makes updates of gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Kingma and Ba, 2015, with L2 penalty in the gradient.
    #[default]
    Adam,
    /// Loshchilov and Hutter, 2019: the decay is taken off the parameter.
    Adamw,
    /// Gradient descent with momentum, as PyTorch's.
    Sgd,
    /// You, Gitman, Ginsburg, 2017: gradient descent with momentum and a factor per layer.
    Lars,
}

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleName {
    /// At milestones, by a factor.
    #[default]
    Milestones,
    /// By half a cosine, from the end of the warm-up to the last update.
    Cosine,
}
