//! What a component keeps: parameters and buffers by stable dotted names, and what the optimizer must know of each.

use crate::{Tensor, tensor::fresh_parameter};
use serde::{Deserialize, Serialize};
use std::ops::Deref;

/// A trained tensor: a leaf made once from its first numbers. It can be read, not replaced, so that the optimizer trains the
/// tensor that the component uses.
#[derive(Debug)]
pub struct Parameter(Tensor);

/// A tensor that is saved and loaded but not trained; changed in place only.
#[derive(Debug)]
pub struct Buffer(Tensor);

impl Parameter {
    /// A parameter that starts with these numbers.
    #[track_caller]
    pub fn new(initial: Tensor) -> Self {
        Self(fresh_parameter(initial))
    }
}

impl Buffer {
    /// A buffer that starts with these numbers.
    pub fn new(initial: Tensor) -> Self {
        Self(initial)
    }
}

impl Deref for Parameter {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.0
    }
}

impl Deref for Buffer {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.0
    }
}

/// A parameter or buffer. The tensor shares its storage with the component's own, so that the host trains, saves and
/// loads it in place; a component never replaces it.
#[derive(Debug)]
pub struct NamedTensor<T = Tensor> {
    /// The name in checkpoints.
    pub name: String,
    /// Shares storage with the component's own.
    pub tensor: T,
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

impl<T> NamedTensor<T> {
    /// A tensor with the usual tags.
    pub fn of(role: Role, name: impl Into<String>, tensor: T) -> Self {
        Self { name: name.into(), tensor, role, tags: Tags::default() }
    }
}
