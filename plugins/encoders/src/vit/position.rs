//! The learned position embedding: one for the class token and one for each patch of the largest view; other views'
//! are interpolated from it.
//!
//! Shapes: N patches · C channels.

use super::block::CHANNELS;
use crate::initial::normal;
use tch::{Device, TchError, Tensor};

const STD: f64 = 0.02; // timm's VisionTransformer

/// The embedding, 1 × (1 + N) × C, and the patches of the largest view.
pub struct Position {
    pub embedding: Tensor,
    grid: [i64; 2],
}

impl Position {
    pub fn new(grid: [i64; 2], device: Device) -> Result<Self, TchError> {
        Ok(Self { embedding: normal(&[1, 1 + grid[0] * grid[1], CHANNELS], STD, device)?, grid })
    }

    /// The embedding of a view's class token and patches.
    ///
    /// # Source
    /// timm's `resample_abs_pos_embed`: bicubic with antialiasing, the class token's as it is.
    pub fn of(&self, grid: [i64; 2]) -> Result<Tensor, TchError> {
        if grid == self.grid {
            return Ok(self.embedding.shallow_clone());
        }
        let patches = self.grid[0] * self.grid[1];
        let class = self.embedding.f_narrow(1, 0, 1)?;
        let image = self.embedding.f_narrow(1, 1, patches)?.f_reshape([1, self.grid[0], self.grid[1], CHANNELS])?;
        let image = image.f_permute([0, 3, 1, 2])?.f_internal_upsample_bicubic2d_aa(grid, false, None, None)?;
        Tensor::f_cat(&[class, image.f_permute([0, 2, 3, 1])?.f_reshape([1, -1, CHANNELS])?], 1)
    }
}
