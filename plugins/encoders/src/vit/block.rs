//! The transformer block: attention, then a network on each token, each on normalised tokens and added to its input.
//!
//! Shapes: B images · N tokens · C channels · H heads.

use super::linear::{LayerNorm, Linear};
use infomax_sdk::Names;
use tch::{Device, TchError, Tensor};

/// Channels of a token.
pub const CHANNELS: i64 = 192; // ViT-Ti; Touvron et al. 2020, table 1
const HEADS: i64 = 3; // ViT-Ti; Touvron et al. 2020, table 1
const HIDDEN: i64 = 4 * CHANNELS; // Dosovitskiy et al. 2020, table 1: four times the width

/// Trained numbers of a block.
pub fn parameters() -> i64 {
    let linear = |c, o| c * o + o;
    let norms = 2 * 2 * CHANNELS;
    let attention = linear(CHANNELS, 3 * CHANNELS) + linear(CHANNELS, CHANNELS);
    norms + attention + linear(CHANNELS, HIDDEN) + linear(HIDDEN, CHANNELS)
}

/// Numbers of a token that the backward pass needs: two inputs, their normalised forms, query, key and value, attention's
/// output, and the hidden layer before and after its activation.
pub fn activations() -> i64 {
    (2 + 2 + 3 + 1) * CHANNELS + 2 * HIDDEN
}

/// The block.
pub struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl Block {
    pub fn new(device: Device) -> Result<Self, TchError> {
        Ok(Self {
            norm1: LayerNorm::new(CHANNELS, device)?,
            qkv: Linear::new(CHANNELS, 3 * CHANNELS, device)?,
            proj: Linear::new(CHANNELS, CHANNELS, device)?,
            norm2: LayerNorm::new(CHANNELS, device)?,
            fc1: Linear::new(CHANNELS, HIDDEN, device)?,
            fc2: Linear::new(HIDDEN, CHANNELS, device)?,
        })
    }

    /// B × N × C to the same.
    pub fn forward(&self, x_bnc: &Tensor) -> Result<Tensor, TchError> {
        let x_bnc = x_bnc.f_add(&self.attention(&self.norm1.forward(x_bnc)?)?)?;
        let hidden = self.fc1.forward(&self.norm2.forward(&x_bnc)?)?.f_gelu("none")?;
        x_bnc.f_add(&self.fc2.forward(&hidden)?)
    }

    fn attention(&self, x_bnc: &Tensor) -> Result<Tensor, TchError> {
        let (b, n, c) = x_bnc.size3()?;
        let qkv = self.qkv.forward(x_bnc)?.f_view([b, n, 3, HEADS, c / HEADS])?.f_permute([2, 0, 3, 1, 4])?;
        let part = |i| qkv.f_select(0, i);
        let mixed = Tensor::f_scaled_dot_product_attention(
            &part(0)?,
            &part(1)?,
            &part(2)?,
            None::<&Tensor>,
            0.0,
            false,
            None,
            false,
        )?;
        self.proj.forward(&mixed.f_transpose(1, 2)?.f_reshape([b, n, c])?)
    }

    pub fn name(&self, mut names: Names<'_>) {
        self.norm1.name(names.below("norm1"));
        self.qkv.name(names.below("attn.qkv"));
        self.proj.name(names.below("attn.proj"));
        self.norm2.name(names.below("norm2"));
        self.fc1.name(names.below("mlp.fc1"));
        self.fc2.name(names.below("mlp.fc2"));
    }
}
