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

/// PyTorch's default for a linear layer and a convolution: Kaiming-uniform with a = √5, which is ±1/√inputs. For a bias,
/// whose shape does not say how many inputs its layer has, that is [`uniform`] with the same bound.
#[track_caller]
pub fn default(shape: &[i64], device: Device) -> Tensor {
    let inputs: i64 = shape[1..].iter().product();
    uniform(shape, 1.0 / (inputs as f64).sqrt(), device)
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
