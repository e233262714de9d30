//! A convolution without bias.
//!
//! Shapes: C, O channels in and out · K width of the convolution.

use crate::initial::normal;
use infomax_sdk::Names;
use tch::{Device, TchError, Tensor};

/// What a convolution is, before it is built. Odd widths, padded by half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvolutionPlan {
    pub c: i64,
    pub o: i64,
    pub width: i64,
    pub stride: i64,
}

impl ConvolutionPlan {
    /// Trained numbers.
    pub fn parameters(self) -> i64 {
        self.o * self.c * self.width * self.width
    }

    /// Height and width of the output.
    pub fn size_after(self, size: [i64; 2]) -> [i64; 2] {
        size.map(|side| (side + 2 * (self.width / 2) - self.width) / self.stride + 1)
    }
}

/// The convolution; its weight is O × C × K × K.
pub struct Convolution {
    weight: Tensor,
    plan: ConvolutionPlan,
}

impl Convolution {
    /// Weights normal with variance 2 / (O·K·K), as torchvision and Zagoruyko start them.
    ///
    /// # Source
    /// He et al. 2015, eq. 14, as torchvision's `kaiming_normal_(mode="fan_out", nonlinearity="relu")`.
    pub fn new(plan: ConvolutionPlan, device: Device) -> Result<Self, TchError> {
        let ConvolutionPlan { c, o, width, .. } = plan;
        let std = (2.0 / (o * width * width) as f64).sqrt();
        Ok(Self { weight: normal(&[o, c, width, width], std, device)?, plan })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let ConvolutionPlan { width, stride, .. } = self.plan;
        x.f_conv2d(&self.weight, None::<&Tensor>, stride, width / 2, 1, 1)
    }

    pub fn name(&self, mut names: Names<'_>) {
        names.parameter("weight", &self.weight);
    }
}
