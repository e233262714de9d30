//! Fresh weights as PyTorch draws them.

use tch::{Device, Kind, TchError, Tensor};

/// A convolution's weight, O × C × K × K and channels-last in memory, uniform in ±1/√(C·K·K) (Kaiming-uniform with
/// a = √5, PyTorch's default).
pub fn convolution_weight(o: i64, c: i64, width: i64, device: Device) -> Result<Tensor, TchError> {
    let bound = 1.0 / ((c * width * width) as f64).sqrt();
    uniform_weight(o, c, width, bound, device)
}

/// A convolution's weight, uniform in ±bound.
pub fn uniform_weight(o: i64, c: i64, width: i64, bound: f64, device: Device) -> Result<Tensor, TchError> {
    let drawn = Tensor::f_empty([o, c, width, width], (Kind::Float, device))?.f_uniform_(-bound, bound)?;
    channels_last(&drawn)
}

/// A convolution's weight of zeros.
pub fn zero_weight(o: i64, c: i64, device: Device) -> Result<Tensor, TchError> {
    channels_last(&Tensor::f_zeros([o, c, 1, 1], (Kind::Float, device))?)
}

/// A convolution's bias, uniform in ±1/√(C·K·K), PyTorch's default.
pub fn convolution_bias(o: i64, c: i64, width: i64, device: Device) -> Result<Tensor, TchError> {
    let bound = 1.0 / ((c * width * width) as f64).sqrt();
    trained(Tensor::f_empty([o], (Kind::Float, device))?.f_uniform_(-bound, bound)?)
}

/// The same numbers, channels-last in memory, as a trained leaf.
pub fn channels_last(weight: &Tensor) -> Result<Tensor, TchError> {
    trained(weight.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}

/// A trained leaf.
pub fn trained(tensor: Tensor) -> Result<Tensor, TchError> {
    tensor.f_detach()?.f_set_requires_grad(true)
}
