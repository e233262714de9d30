//! The table `checkpoint`: when the state of a run is saved and how many saves are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When the state of a run is saved and how many saves are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoint {
    /// Optimizer updates between two checkpoints. One of `every_steps` and `every_epochs` is given; 1 epoch where none
    /// is. There is always one at the end.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_steps: Option<u64>,
    /// Epochs between two checkpoints.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_epochs: Option<u64>,
    /// Checkpoints kept, newest first; at least 2, so that a damaged one leaves another.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub keep: u64,
    /// Whether to read a checkpoint back and compare it before it counts.
    pub verify: bool,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self { every_steps: None, every_epochs: None, keep: 2, verify: true }
    }
}
