//! A linear layer.

use super::init;
use crate::{Device, Parameter, Tensor, named};

/// … × I to … × O.
#[derive(Debug)]
pub struct Linear {
    /// O × I.
    pub weight: Parameter,
    /// O.
    pub bias: Option<Parameter>,
}

impl Linear {
    /// Fresh weights, as PyTorch draws them by default.
    #[track_caller]
    pub fn new(inputs: i64, outputs: i64, bias: bool, device: Device) -> Self {
        let weight = init::default(&[outputs, inputs], device);
        Self::from_tensors(weight, bias.then(|| init::default_bias(outputs, inputs, device)))
    }

    /// A layer that starts with these numbers.
    #[track_caller]
    pub fn from_tensors(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight: Parameter::new(weight), bias: bias.map(Parameter::new) }
    }

    /// x·Wᵀ + b.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        super::linear(x, &self.weight, self.bias.as_deref())
    }
}

named!(Linear { weight, bias });
