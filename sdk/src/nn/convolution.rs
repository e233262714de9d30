//! A convolution of images.

use super::{channels_last, init};
use crate::{Device, Parameter, Tensor, named};

/// N × C × H × W to N × O × H' × W'. The weight lies channels-last in memory.
#[derive(Debug)]
pub struct Conv2d {
    /// O × C × K × K.
    pub weight: Parameter,
    /// O.
    pub bias: Option<Parameter>,
    pub(super) stride: i64,
    pub(super) padding: i64,
}

impl Conv2d {
    /// Fresh weights, as PyTorch draws them by default; stride 1, no padding, no bias.
    #[track_caller]
    pub fn new(inputs: i64, outputs: i64, width: i64, device: Device) -> Self {
        Self::from_tensors(init::default(&[outputs, inputs, width, width], device), None)
    }

    /// A convolution that starts with these numbers.
    #[track_caller]
    pub fn from_tensors(weight: Tensor, bias: Option<Tensor>) -> Self {
        let weight = Parameter::new(channels_last(&weight));
        Self { weight, bias: bias.map(Parameter::new), stride: 1, padding: 0 }
    }

    /// With a bias, as PyTorch draws it by default.
    #[track_caller]
    #[must_use]
    pub fn with_bias(self) -> Self {
        let [outputs, inputs, height, width] = self.weight.dims();
        let bias = init::default_bias(outputs, inputs * height * width, self.weight.device());
        Self { bias: Some(Parameter::new(bias)), ..self }
    }

    /// How far apart windows lie.
    #[must_use]
    pub fn stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }

    /// How many zeros are put at each edge.
    #[must_use]
    pub fn padding(self, padding: i64) -> Self {
        Self { padding, ..self }
    }

    /// The convolution.
    #[track_caller]
    pub fn forward(&self, x_nchw: &Tensor) -> Tensor {
        x_nchw.conv2d(&self.weight, self.bias.as_deref(), self.stride, self.padding)
    }
}

named!(Conv2d { weight, bias });
