//! What a component keeps: parameters and buffers by stable dotted names, and what the optimizer must know of each.

use serde::{Deserialize, Serialize};
use tch::Tensor;

/// A parameter or buffer. The tensor shares its storage with the component's own, so that the host trains, saves and
/// loads it in place; a component never replaces it.
#[derive(Debug)]
pub struct NamedTensor {
    /// The name in checkpoints.
    pub name: String,
    /// Shares storage with the component's own.
    pub tensor: Tensor,
    /// Whether the optimizer trains it.
    pub role: Role,
    /// How the optimizer treats it.
    pub tags: Tags,
}

/// Whether a tensor is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Saved and loaded only.
    Buffer,
    /// Trained.
    Parameter,
}

/// How the optimizer treats a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tags {
    /// Whether weight decay applies.
    pub decay: bool,
    /// Multiplies the learning rate.
    pub lr_scale: f64,
    /// Whether the schedule leaves the learning rate alone (SimSiam's predictor).
    pub lr_fixed: bool,
}

impl Default for Tags {
    fn default() -> Self {
        Self { decay: true, lr_scale: 1.0, lr_fixed: false }
    }
}

impl NamedTensor {
    /// A trained tensor with the usual tags.
    pub fn parameter(name: impl Into<String>, tensor: &Tensor) -> Self {
        Self { name: name.into(), tensor: tensor.shallow_clone(), role: Role::Parameter, tags: Tags::default() }
    }

    /// A tensor that is saved but not trained.
    pub fn buffer(name: impl Into<String>, tensor: &Tensor) -> Self {
        Self { role: Role::Buffer, ..Self::parameter(name, tensor) }
    }
}
