//! A multi-layer perceptron: the projector and the predictor of most losses.
//!
//! Pure: BatchNorm uses the statistics of the rows that it is given, the whole global batch of one view, and keeps none.
//! Tensors are named by their place, as in PyTorch's `Sequential`: `projector.0.weight`, `projector.1.bias`, …
//!
//! Shapes: N rows · I numbers in · O numbers out.

use super::{batch_norm, init, linear};
use crate::{Buffer, Device, Kind, Module, Names, Parameter, Tensor};
use std::ops::Deref;

/// The plan of a perceptron.
#[derive(Clone, Copy, Debug)]
pub struct MlpPlan {
    /// Numbers in.
    pub input: i64,
    /// Numbers in between.
    pub hidden: i64,
    /// Numbers out.
    pub output: i64,
    /// How many linear layers; none: what comes in goes out.
    pub layers: u32,
    /// BatchNorm behind each linear layer but the last.
    pub hidden_norm: bool,
    /// BatchNorm without scale and shift behind the last linear layer.
    pub output_norm: bool,
    /// Whether a linear layer in front of a BatchNorm has a bias, which the BatchNorm takes away again.
    pub bias_before_norm: bool,
    /// What is between the layers.
    pub activation: Activation,
}

/// A function between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// x·Φ(x), exact.
    Gelu,
}

impl MlpPlan {
    /// BatchNorm between the layers.
    pub fn new(input: i64, hidden: u32, output: u32, layers: u32) -> Self {
        Self {
            input,
            hidden: i64::from(hidden),
            output: if layers == 0 { input } else { i64::from(output) },
            layers,
            hidden_norm: true,
            output_norm: false,
            bias_before_norm: true,
            activation: Activation::Relu,
        }
    }

    /// From a projection back to one of the same size.
    pub fn predictor(dim: i64, hidden: u32, layers: u32) -> Self {
        Self { output: dim, ..Self::new(dim, hidden, 1, layers) }
    }

    /// With or without a BatchNorm between the layers.
    #[must_use]
    pub fn hidden_norm(self, hidden_norm: bool) -> Self {
        Self { hidden_norm, ..self }
    }

    /// How many numbers are trained.
    pub fn parameter_count(&self) -> u64 {
        let count = |part: Planned| match part {
            Planned::Linear { input, output, bias } => (input + i64::from(bias)) * output,
            Planned::Norm { size, affine: true } => 2 * size,
            Planned::Norm { affine: false, .. } | Planned::Activation(_) => 0,
        };
        self.parts().into_iter().map(count).sum::<i64>() as u64
    }

    fn parts(&self) -> Vec<Planned> {
        let mut parts = Vec::new();
        for layer in 1..=self.layers {
            let last = layer == self.layers;
            let input = if layer == 1 { self.input } else { self.hidden };
            let output = if last { self.output } else { self.hidden };
            let norm = if last { self.output_norm } else { self.hidden_norm };
            parts.push(Planned::Linear { input, output, bias: !norm || self.bias_before_norm });
            if norm {
                parts.push(Planned::Norm { size: output, affine: !last });
            }
            if !last {
                parts.push(Planned::Activation(self.activation));
            }
        }
        parts
    }
}

#[derive(Clone, Copy)]
enum Planned {
    Linear { input: i64, output: i64, bias: bool },
    Norm { size: i64, affine: bool },
    Activation(Activation),
}

/// A perceptron; its tensors are trained, or, in a slow copy, [`Buffer`]s.
#[derive(Debug)]
pub struct Mlp<T = Parameter> {
    parts: Vec<Part<T>>,
}

#[derive(Debug)]
enum Part<T> {
    /// O × I and O.
    Linear {
        weight: T,
        bias: Option<T>,
    },
    /// Scale and shift, O each.
    Norm {
        affine: Option<(T, T)>,
    },
    Activation(Activation),
}

impl<T> Part<T> {
    fn weight_and_bias(&self) -> (Option<&T>, Option<&T>) {
        match self {
            Self::Linear { weight, bias } => (Some(weight), bias.as_ref()),
            Self::Norm { affine } => affine.as_ref().map(|(scale, shift)| (scale, shift)).unzip(),
            Self::Activation(_) => (None, None),
        }
    }

    fn map<U>(&self, each: impl Fn(&T) -> U) -> Part<U> {
        match self {
            Self::Linear { weight, bias } => Part::Linear { weight: each(weight), bias: bias.as_ref().map(each) },
            Self::Norm { affine } => {
                Part::Norm { affine: affine.as_ref().map(|(scale, shift)| (each(scale), each(shift))) }
            }
            Self::Activation(activation) => Part::Activation(*activation),
        }
    }
}

impl Mlp {
    /// Fresh weights, as PyTorch draws them by default.
    #[track_caller]
    pub fn new(plan: &MlpPlan, device: Device) -> Self {
        let mut parts = Vec::new();
        for part in plan.parts() {
            parts.push(match part {
                Planned::Linear { input, output, bias } => {
                    let weight = Parameter::new(init::default(&[output, input], device));
                    let bias = bias.then(|| Parameter::new(init::default_bias(output, input, device)));
                    Part::Linear { weight, bias }
                }
                Planned::Norm { size, affine } => {
                    let filled = |value| Parameter::new(init::constant(&[size], value, device));
                    Part::Norm { affine: affine.then(|| (filled(1.0), filled(0.0))) }
                }
                Planned::Activation(activation) => Part::Activation(activation),
            });
        }
        Self { parts }
    }

    /// The same numbers in tensors that are not trained.
    pub fn slow_copy(&self) -> Mlp<Buffer> {
        let copied = |tensor: &Parameter| Buffer::new(tensor.detach().alias_copy());
        Mlp { parts: self.parts.iter().map(|part| part.map(copied)).collect() }
    }
}

impl<T: Deref<Target = Tensor>> Mlp<T> {
    /// # Shapes
    /// From N × I to N × O, at least f32.
    #[track_caller]
    pub fn forward(&self, x_ni: &Tensor) -> Tensor {
        let mut x = x_ni.clone();
        for part in &self.parts {
            x = match part {
                Part::Linear { weight, bias } => linear(&x, weight, bias.as_deref()),
                Part::Norm { affine } => batch_norm(&x, affine.as_ref().map(|(scale, shift)| (&**scale, &**shift))),
                Part::Activation(Activation::Relu) => x.relu(),
                Part::Activation(Activation::Gelu) => x.gelu(),
            };
        }
        x.at_least_f32()
    }

    /// Its tensors, in order.
    pub fn tensors(&self) -> Vec<&Tensor> {
        let mut list = Vec::new();
        for part in &self.parts {
            let (weight, bias) = part.weight_and_bias();
            list.extend(weight.map(|tensor| &**tensor));
            list.extend(bias.map(|tensor| &**tensor));
        }
        list
    }
}

impl<T: Module> Module for Mlp<T> {
    fn name(&self, mut names: Names<'_>) {
        for (place, part) in self.parts.iter().enumerate() {
            let (weight, bias) = part.weight_and_bias();
            let mut names = names.below(place);
            if let Some(weight) = weight {
                names.part("weight", weight);
            }
            if let Some(bias) = bias {
                names.part("bias", bias);
            }
        }
    }
}

impl Tensor {
    /// The same numbers in f32, or in f64 where they are that already: what must not be rounded below f32, whatever precision
    /// the host runs in.
    #[track_caller]
    pub fn at_least_f32(&self) -> Tensor {
        match self.kind() {
            Kind::F32 | Kind::F64 => self.clone(),
            _ => self.to_kind(Kind::F32),
        }
    }
}
