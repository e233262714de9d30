//! First numbers of parameters, drawn from libtorch's generator, which the host seeds.

use crate::{Device, Kind, Tensor};

/// One number everywhere.
#[track_caller]
pub fn constant(shape: &[i64], value: f64, device: Device) -> Tensor {
    Tensor::full(shape, value, Kind::F32, device)
}

/// Normal numbers of mean 0.
#[track_caller]
pub fn normal(shape: &[i64], std: f64, device: Device) -> Tensor {
    Tensor::empty(shape, Kind::F32, device).normal_(0.0, std)
}

/// Uniform numbers in ±bound.
#[track_caller]
pub fn uniform(shape: &[i64], bound: f64, device: Device) -> Tensor {
    Tensor::empty(shape, Kind::F32, device).uniform_(-bound, bound)
}

/// PyTorch's default for the weight of a linear layer and of a convolution, O × I × …: Kaiming-uniform with a = √5, which is
/// ±1/√inputs.
#[track_caller]
pub fn default(shape: &[i64], device: Device) -> Tensor {
    uniform(shape, default_bound(shape[1..].iter().product()), device)
}

/// PyTorch's default for the bias of a layer that sums so many inputs into each of its outputs.
#[track_caller]
pub fn default_bias(outputs: i64, inputs: i64, device: Device) -> Tensor {
    uniform(&[outputs], default_bound(inputs), device)
}

fn default_bound(inputs: i64) -> f64 {
    1.0 / (inputs as f64).sqrt()
}

/// Normal with variance 2 / (outputs × window): what ResNets start from.
///
/// # Source
/// He et al. 2015, eq. 14, as torchvision's `kaiming_normal_(mode="fan_out", nonlinearity="relu")`.
#[track_caller]
pub fn kaiming_normal_fan_out(shape: &[i64], device: Device) -> Tensor {
    let outputs = shape[0] * shape[2..].iter().product::<i64>();
    normal(shape, (2.0 / outputs as f64).sqrt(), device)
}
