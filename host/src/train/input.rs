//! From bytes to what an encoder takes: one copy to the device, normalised there.
//!
//! Shapes: B images · H, W sides.

use infomax_sdk::AugmentationDescription;
use tch::{Device, Kind, TchError, Tensor};

/// Subtracts the mean and divides by the standard deviation of each channel.
pub struct Normalisation {
    scale_c: Tensor,
    shift_c: Tensor,
    device: Device,
}

impl Normalisation {
    /// The normalisation of an augmentation.
    ///
    /// # Errors
    /// libtorch's.
    pub fn new(description: &AugmentationDescription, device: Device) -> Result<Self, TchError> {
        let channels = |value: &dyn Fn(usize) -> f64| {
            let values: Vec<f32> = (0..3).map(|c| value(c) as f32).collect();
            Tensor::f_from_slice(&values)?.f_to_device(device)
        };
        let (mean, std) = (description.mean, description.std);
        let scale_c = channels(&|c| 1.0 / (255.0 * std[c]))?;
        Ok(Self { scale_c, shift_c: channels(&|c| mean[c] / std[c])?, device })
    }

    /// B × H × W × 3 bytes as B × 3 × H × W f32, channels-last in memory.
    ///
    /// # Errors
    /// libtorch's.
    pub fn apply(&self, bytes: &[u8], height: u32, width: u32) -> Result<Tensor, TchError> {
        let pixels_bhwc = Tensor::f_from_slice(bytes)?.f_view([-1, height.into(), width.into(), 3])?;
        self.normalised(&pixels_bhwc.f_to_device(self.device)?)
    }

    /// The same of bytes that lie on the device.
    ///
    /// # Errors
    /// libtorch's.
    pub fn normalised(&self, pixels_bhwc: &Tensor) -> Result<Tensor, TchError> {
        let mut x_bhwc = pixels_bhwc.f_to_kind(Kind::Float)?;
        x_bhwc.f_mul_(&self.scale_c)?.f_sub_(&self.shift_c)?.f_permute([0, 3, 1, 2])
    }
}
