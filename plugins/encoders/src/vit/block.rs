//! The transformer block: attention, then a network on each token, each on normalised tokens and added to its input.
//!
//! Shapes: B images · N tokens · C channels · H heads.

use infomax_sdk::{
    Device, Tensor, named,
    nn::{LayerNorm, Linear, init},
};

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

const STD: f64 = 0.02; // timm's init_weights_vit_timm
const EPS: f64 = 1e-6; // timm's VisionTransformer

/// LayerNorm with timm's ε.
pub fn layer_norm(device: Device) -> LayerNorm {
    LayerNorm::new(CHANNELS, device).eps(EPS)
}

fn linear(c: i64, o: i64, device: Device) -> Linear {
    Linear::from_tensors(init::normal(&[o, c], STD, device), Some(init::constant(&[o], 0.0, device)))
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

named!(Block { norm1, qkv as "attn.qkv", proj as "attn.proj", norm2, fc1 as "mlp.fc1", fc2 as "mlp.fc2" });

impl Block {
    pub fn new(device: Device) -> Self {
        Self {
            norm1: layer_norm(device),
            qkv: linear(CHANNELS, 3 * CHANNELS, device),
            proj: linear(CHANNELS, CHANNELS, device),
            norm2: layer_norm(device),
            fc1: linear(CHANNELS, HIDDEN, device),
            fc2: linear(HIDDEN, CHANNELS, device),
        }
    }

    /// B × N × C to the same.
    pub fn forward(&self, x_bnc: &Tensor) -> Tensor {
        let x_bnc = x_bnc + self.attention(&self.norm1.forward(x_bnc));
        let hidden = self.fc1.forward(&self.norm2.forward(&x_bnc)).gelu();
        x_bnc + self.fc2.forward(&hidden)
    }

    fn attention(&self, x_bnc: &Tensor) -> Tensor {
        let [b, n, c] = x_bnc.dims();
        let qkv = self.qkv.forward(x_bnc).view([b, n, 3, HEADS, c / HEADS]).permute([2, 0, 3, 1, 4]);
        let [q, k, v] = [0, 1, 2].map(|part| qkv.select(0, part));
        let mixed = q.scaled_dot_product_attention(&k, &v);
        self.proj.forward(&mixed.transpose(1, 2).reshape([b, n, c]))
    }
}
