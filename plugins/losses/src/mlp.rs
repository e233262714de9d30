//! A multi-layer perceptron: the projector and the predictor of most losses.
//!
//! Pure: BatchNorm uses the statistics of the rows that it is given, the whole global batch of one view, and keeps none.
//! Tensors are named by their place, as in PyTorch's `Sequential`: `projector.0.weight`, `projector.1.bias`, …
//!
//! Shapes: N rows · I numbers in · O numbers out.

use crate::precision::at_least_f32;
use infomax_sdk::{NamedTensor, Result};
use tch::{Device, Kind, Tensor};

const NORM_EPS: f64 = 1e-5; // PyTorch's default for BatchNorm

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
        }
    }

    /// From a projection back to one of the same size.
    pub fn predictor(dim: i64, hidden: u32, layers: u32) -> Self {
        Self { output: dim, ..Self::new(dim, hidden, 1, layers) }
    }

    /// How many numbers are trained.
    pub fn parameter_count(&self) -> u64 {
        let count = |part: Planned| match part {
            Planned::Linear { input, output, bias } => (input + i64::from(bias)) * output,
            Planned::Norm { size, affine } => {
                if affine {
                    2 * size
                } else {
                    0
                }
            }
            Planned::Relu => 0,
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
                parts.push(Planned::Relu);
            }
        }
        parts
    }
}

#[derive(Clone, Copy)]
enum Planned {
    Linear { input: i64, output: i64, bias: bool },
    Norm { size: i64, affine: bool },
    Relu,
}

/// A perceptron.
pub struct Mlp {
    parts: Vec<Part>,
}

enum Part {
    /// O × I and O.
    Linear {
        weight: Tensor,
        bias: Option<Tensor>,
    },
    /// Scale and shift, O each.
    Norm {
        affine: Option<(Tensor, Tensor)>,
    },
    Relu,
}

impl Mlp {
    /// Fresh weights, as PyTorch draws them by default.
    pub fn new(plan: &MlpPlan, device: Device) -> Result<Self> {
        let make = |part| {
            Ok(match part {
                Planned::Linear { input, output, bias } => Part::Linear {
                    weight: linear_weight(output, input, device)?,
                    bias: bias.then(|| drawn(&[output], input, device)).transpose()?,
                },
                Planned::Norm { size, affine } => {
                    Part::Norm { affine: affine.then(|| unit_affine(size, device)).transpose()? }
                }
                Planned::Relu => Part::Relu,
            })
        };
        Ok(Self { parts: plan.parts().into_iter().map(make).collect::<Result<_>>()? })
    }

    /// # Shapes
    /// From N × I to N × O.
    pub fn forward(&self, x_ni: &Tensor) -> Result<Tensor> {
        let mut x = x_ni.shallow_clone();
        for part in &self.parts {
            x = match part {
                Part::Linear { weight, bias } => linear(&x, weight, bias.as_ref())?,
                Part::Norm { affine } => batch_norm(&x, affine.as_ref())?,
                Part::Relu => x.f_relu()?,
            };
        }
        at_least_f32(&x)
    }

    /// The trained tensors below a name, in order; `trained` says how each is listed.
    pub fn named(&self, name: &str, listed: fn(String, &Tensor) -> NamedTensor) -> Vec<NamedTensor> {
        let mut list = Vec::new();
        for (place, part) in self.parts.iter().enumerate() {
            let (weight, bias) = match part {
                Part::Linear { weight, bias } => (Some(weight), bias.as_ref()),
                Part::Norm { affine } => (affine.as_ref().map(|a| &a.0), affine.as_ref().map(|a| &a.1)),
                Part::Relu => (None, None),
            };
            list.extend(weight.map(|tensor| listed(format!("{name}.{place}.weight"), tensor)));
            list.extend(bias.map(|tensor| listed(format!("{name}.{place}.bias"), tensor)));
        }
        list
    }

    /// The trained tensors below a name.
    pub fn parameters(&self, name: &str) -> Vec<NamedTensor> {
        self.named(name, NamedTensor::parameter)
    }

    /// The same numbers in tensors that are not trained.
    pub fn detached_copy(&self) -> Result<Self> {
        let copied = |tensor: &Tensor| tensor.f_detach()?.f_alias_copy();
        let copy = |part: &Part| {
            Ok(match part {
                Part::Linear { weight, bias } => {
                    Part::Linear { weight: copied(weight)?, bias: bias.as_ref().map(copied).transpose()? }
                }
                Part::Norm { affine } => {
                    let both =
                        affine.as_ref().map(|(scale, shift)| Ok::<_, tch::TchError>((copied(scale)?, copied(shift)?)));
                    Part::Norm { affine: both.transpose()? }
                }
                Part::Relu => Part::Relu,
            })
        };
        Ok(Self { parts: self.parts.iter().map(copy).collect::<Result<_>>()? })
    }
}

/// x·Wᵀ + b, in f64 where x is.
///
/// # Shapes
/// N × I, O × I, O; out, N × O.
pub fn linear(x_ni: &Tensor, weight_oi: &Tensor, bias_o: Option<&Tensor>) -> Result<Tensor> {
    let bias = bias_o.map(|bias| as_wide(bias, x_ni)).transpose()?;
    Ok(x_ni.f_linear(&as_wide(weight_oi, x_ni)?, bias)?)
}

/// BatchNorm by the statistics of these rows, in f32 at least.
///
/// # Shapes
/// N × O, scale and shift O; out, N × O.
pub fn batch_norm(x_no: &Tensor, affine: Option<&(Tensor, Tensor)>) -> Result<Tensor> {
    let x = at_least_f32(x_no)?;
    let scale = affine.map(|(scale, _)| as_wide(scale, &x)).transpose()?;
    let shift = affine.map(|(_, shift)| as_wide(shift, &x)).transpose()?;
    Ok(x.f_batch_norm(scale, shift, None, None, true, 0.0, NORM_EPS, true)?)
}

/// A weight in f64 where the numbers that it meets are.
pub fn as_wide(weight: &Tensor, x: &Tensor) -> Result<Tensor> {
    let kind = if x.kind() == Kind::Double { Kind::Double } else { weight.kind() };
    Ok(weight.f_to_kind(kind)?)
}

/// A linear layer's weight, O × I, as PyTorch draws it by default (Kaiming-uniform with a = √5).
pub fn linear_weight(output: i64, input: i64, device: Device) -> Result<Tensor> {
    drawn(&[output, input], input, device)
}

/// A linear layer's numbers, uniform in ±1/√I.
pub fn drawn(shape: &[i64], input: i64, device: Device) -> Result<Tensor> {
    let bound = 1.0 / (input as f64).sqrt();
    trained(Tensor::f_empty(shape, (Kind::Float, device))?.f_uniform_(-bound, bound)?)
}

/// A norm's scale of ones and shift of zeros.
pub fn unit_affine(size: i64, device: Device) -> Result<(Tensor, Tensor)> {
    let options = (Kind::Float, device);
    Ok((trained(Tensor::f_ones([size], options)?)?, trained(Tensor::f_zeros([size], options)?)?))
}

fn trained(tensor: Tensor) -> Result<Tensor> {
    Ok(tensor.f_detach()?.f_set_requires_grad(true)?)
}
