//! The table `checkpoint`: when the state of a run is saved and how many saves are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When the state of a run is saved and how many saves are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoint {
    /// Optimizer updates between two checkpoints. One of `every_steps` and `every_epochs` is given; each epoch where
    /// none is, or as many epochs as make up 100 updates. There is always one at the end.
    #[schemars(range(min = 1, max = 1_000_000_000), extend("unit" = "updates"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_steps: Option<u64>,
    /// Epochs between two checkpoints.
    #[schemars(range(min = 1, max = 1_000_000), extend("unit" = "epochs"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_epochs: Option<u64>,
    /// Checkpoints kept, newest first; at least 2, so that a damaged one leaves another.
    #[schemars(range(min = 2, max = 1_000_000), extend("unit" = "checkpoints"))]
    pub keep: u64,
    /// Checkpoints kept besides, those with the highest `best_metric` on images held out from training
    /// (`evaluation.holdout_fraction`): a choice never rests on the test split. Then there is one after each test.
    #[schemars(range(min = 0, max = 1_000_000), extend("unit" = "checkpoints"))]
    pub keep_best: u64,
    /// What `keep_best` goes by.
    pub best_metric: BestMetric,
    /// Whether to read a checkpoint back and compare it before it counts.
    pub verify: bool,
    /// Updates that training may be ahead of a checkpoint that is still being written. With 1 a killed process never loses
    /// more updates than lie between two checkpoints; more of them hide a slow disk.
    #[schemars(range(min = 1, max = 1_000_000), extend("unit" = "updates"))]
    pub overlap_steps: u64,
    /// Seconds that training waits for a checkpoint to be written before the run ends.
    #[schemars(range(min = 1, max = 86_400), extend("unit" = "seconds"))]
    pub timeout_seconds: u64,
}

/// What the best checkpoint goes by: accuracy in percent on held-out images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BestMetric {
    /// The linear classifier's.
    #[default]
    #[serde(rename = "linear_top1")]
    Linear,
    /// That of the classifier with a hidden layer.
    #[serde(rename = "mlp_top1")]
    Mlp,
    /// The nearest neighbours'.
    #[serde(rename = "knn_top1")]
    Knn,
}

impl BestMetric {
    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear_top1",
            Self::Mlp => "mlp_top1",
            Self::Knn => "knn_top1",
        }
    }
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self {
            every_steps: None,
            every_epochs: None,
            keep: 2,
            keep_best: 0,
            best_metric: BestMetric::Linear,
            verify: true,
            overlap_steps: 1,
            timeout_seconds: 600,
        }
    }
}
