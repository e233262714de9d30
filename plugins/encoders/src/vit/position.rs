//! The learned position embedding: one for the class token and one for each patch of the largest view; other views'
//! are interpolated from it.
//!
//! Shapes: N patches · C channels.

use super::block::CHANNELS;
use infomax_sdk::{Device, Parameter, Tensor, nn::init};

const STD: f64 = 0.02; // timm's VisionTransformer

/// The embedding, 1 × (1 + N) × C, and the patches of the largest view.
pub struct Position {
    pub embedding: Parameter,
    grid: [i64; 2],
}

impl Position {
    pub fn new(grid: [i64; 2], device: Device) -> Self {
        let drawn = init::normal(&[1, 1 + grid[0] * grid[1], CHANNELS], STD, device);
        Self { embedding: Parameter::new(drawn), grid }
    }

    /// The embedding of a view's class token and patches.
    ///
    /// # Source
    /// timm's `resample_abs_pos_embed`: bicubic with antialiasing, the class token's as it is.
    pub fn of(&self, grid: [i64; 2]) -> Tensor {
        if grid == self.grid {
            return self.embedding.clone();
        }
        let patches = self.grid[0] * self.grid[1];
        let class = self.embedding.narrow(1, 0, 1);
        let image = self.embedding.narrow(1, 1, patches).reshape([1, self.grid[0], self.grid[1], CHANNELS]);
        let image = image.permute([0, 3, 1, 2]).upsample_bicubic2d_aa(grid, false);
        Tensor::cat(&[class, image.permute([0, 2, 3, 1]).reshape([1, -1, CHANNELS])], 1)
    }
}
