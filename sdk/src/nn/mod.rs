//! Layers as PyTorch has them: linear, convolution, normalisations, the perceptron of most losses, and initialisers.
//!
//! A layer's tensors have PyTorch's names (`weight`, `running_mean`, …); [`named!`](crate::named) puts them below a struct's
//! fields. Layers compute in the kind of what they are given; autocast, where the host sets it, applies as in PyTorch.

mod bias;
mod convolution;
pub mod init;
mod linear;
mod mlp;
mod norm;
mod pool;
mod tracked;

pub use bias::{add_bias, add_bias_relu};
pub use convolution::Conv2d;
pub use linear::Linear;
pub use mlp::{Activation, Mlp, MlpPlan};
pub use norm::{BatchNorm, LayerNorm, batch_norm};
pub use pool::add_average_pooled;
pub(crate) use tracked::raised_after;

use crate::{Kind, Tensor};

/// x·Wᵀ + b, in f64 where x is.
///
/// # Shapes
/// N × I, O × I, O; out, N × O.
#[track_caller]
pub fn linear(x_ni: &Tensor, weight_oi: &Tensor, bias_o: Option<&Tensor>) -> Tensor {
    let bias = bias_o.map(|bias| as_wide(bias, x_ni));
    x_ni.linear(&as_wide(weight_oi, x_ni), bias.as_ref())
}

/// A weight in f64 where the numbers that it meets are.
#[track_caller]
pub fn as_wide(weight: &Tensor, x: &Tensor) -> Tensor {
    if x.kind() == Kind::F64 { weight.to_kind(Kind::F64) } else { weight.clone() }
}

/// Channels-last in memory: oneDNN's and cuDNN's fast way. No copy where it lies so already.
///
/// # Shapes
/// N × C × H × W; out, the same.
#[track_caller]
pub fn channels_last(x_nchw: &Tensor) -> Tensor {
    x_nchw.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}
