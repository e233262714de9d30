//! What a convolution is, before it is built.
//!
//! Shapes: C, O channels in and out · K width of the convolution.

use infomax_sdk::{
    Device,
    nn::{Conv2d, init},
};

/// A convolution without bias, of an odd width, padded by half.
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

    /// The convolution, started as torchvision and Zagoruyko do.
    pub fn build(self, device: Device) -> Conv2d {
        let weight = init::kaiming_normal_fan_out(&[self.o, self.c, self.width, self.width], device);
        Conv2d::from_tensors(weight, None).stride(self.stride).padding(self.width / 2)
    }
}
