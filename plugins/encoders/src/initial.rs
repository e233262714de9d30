//! Fresh tensors: what is trained becomes a leaf, a convolution's weight lies channels-last in memory.

use tch::{Device, Kind, TchError, Tensor};

/// A trained leaf that starts at one number.
pub fn constant(shape: &[i64], value: f64, device: Device) -> Result<Tensor, TchError> {
    trained(Tensor::f_full(shape, value, (Kind::Float, device))?)
}

/// Normal numbers of mean 0.
pub fn normal(shape: &[i64], std: f64, device: Device) -> Result<Tensor, TchError> {
    trained(Tensor::f_zeros(shape, (Kind::Float, device))?.f_normal_(0.0, std)?)
}

/// Uniform numbers in ±bound.
pub fn uniform(shape: &[i64], bound: f64, device: Device) -> Result<Tensor, TchError> {
    trained(Tensor::f_zeros(shape, (Kind::Float, device))?.f_uniform_(-bound, bound)?)
}

/// A trained leaf; four dimensions lie channels-last in memory.
pub fn trained(tensor: Tensor) -> Result<Tensor, TchError> {
    let tensor = if tensor.dim() == 4 { channels_last(&tensor)? } else { tensor };
    tensor.f_detach()?.f_set_requires_grad(true)
}

/// The same N × C × H × W numbers, channels-last in memory; no copy where they lie so already.
pub fn channels_last(x_nchw: &Tensor) -> Result<Tensor, TchError> {
    x_nchw.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}
