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
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub lr: f64,
    /// Decay of the running mean of the gradient and of its square.
    #[schemars(inner(range(min = 0.0, max = 0.999_999_999)))]
    pub betas: [f64; 2],
    /// Added to the denominator of an update.
    #[schemars(range(min = 1e-30, max = 1.0))]
    pub eps: f64,
    /// L2 penalty, added to the gradient.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub weight_decay: f64,
    /// Updates over which the learning rate rises from nothing, linearly; 0: none.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub warmup_steps: u64,
    /// Epochs after which the learning rate is multiplied by `milestone_factor`, increasing.
    #[schemars(inner(range(min = 1, max = 1_000_000)))]
    pub milestones: Vec<u64>,
    /// What the learning rate is multiplied by at each milestone.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub milestone_factor: f64,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self {
            name: OptimizerName::Adam,
            lr: 2e-4,
            betas: [0.8, 0.999],
            eps: 1e-8,
            weight_decay: 1e-5,
            warmup_steps: 500,
            milestones: vec![250, 280],
            milestone_factor: 0.2,
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
}
