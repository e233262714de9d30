//! The list of layers for each input size, and what can be said of it without building it.

use super::blocks::{Norm, ResidualConv, Stack, Stem};
use crate::config::encoder::EncoderConfig;
use infomax_sdk::{Device, Mode, Module, Names, Tensor};

/// What a layer is; channels in and out, width, stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    Stem { c: i64, o: i64, width: i64, stride: i64, pad: i64 },
    Residual { c: i64, o: i64, width: i64, stride: i64 },
    Stack { c: i64, o: i64, width: i64, stride: i64 },
    Norm { c: i64, always: bool },
}

/// The sides of inputs that there are layers for, in pixels.
pub const SIZES: [u32; 3] = [32, 64, 128];

/// The layers for an input of one of [`SIZES`].
pub fn plan(config: &EncoderConfig, size: u32) -> Vec<Plan> {
    let (n, d) = (config.ndf, config.n_rkhs);
    let stack = |c, o, width, stride| Plan::Stack { c, o, width, stride };
    let mut layers = match size {
        32 => vec![
            Plan::Stem { c: 3, o: n, width: 3, stride: 1, pad: 0 },
            Plan::Residual { c: n, o: n, width: 1, stride: 1 },
            stack(n, 2 * n, 4, 2),
            stack(2 * n, 4 * n, 2, 2),
        ],
        64 => vec![
            Plan::Stem { c: 3, o: n, width: 3, stride: 1, pad: 0 },
            stack(n, 2 * n, 4, 2),
            stack(2 * n, 4 * n, 4, 2),
            stack(4 * n, 8 * n, 2, 2),
        ],
        _ => vec![
            Plan::Stem { c: 3, o: n, width: 5, stride: 2, pad: 2 },
            Plan::Stem { c: n, o: n, width: 3, stride: 1, pad: 0 },
            stack(n, 2 * n, 4, 2),
            stack(2 * n, 4 * n, 4, 2),
            stack(4 * n, 8 * n, 2, 2),
        ],
    };
    let top = top_channels(config, size);
    layers.extend([
        Plan::Norm { c: top, always: false },
        stack(top, top, 3, 1),
        stack(top, top, 3, 1),
        Plan::Residual { c: top, o: d, width: 3, stride: 1 },
        Plan::Norm { c: d, always: true },
    ]);
    layers
}

/// Channels of the 7×7 and 5×5 maps before their heads.
pub fn top_channels(config: &EncoderConfig, size: u32) -> i64 {
    if size == 32 { 4 * config.ndf } else { 8 * config.ndf }
}

/// Trained numbers; those of switched-off normalisations, which exist but never move, are not counted.
pub fn parameter_count(config: &EncoderConfig, size: u32) -> u64 {
    let norm = |channels: i64| if config.use_bn { 2 * channels } else { 0 };
    let residual = |c: i64, o: i64, width: i64| c * o * width * width + o * o + norm(o);
    let of_layer = |layer: &Plan| match *layer {
        Plan::Stem { c, o, width, .. } => c * o * width * width + o,
        Plan::Residual { c, o, width, .. } => residual(c, o, width),
        Plan::Stack { c, o, width, .. } => residual(c, o, width) + (config.depth - 1) * residual(o, o, 1),
        Plan::Norm { c, always } => {
            if always {
                2 * c
            } else {
                norm(c)
            }
        }
    };
    let (top, d) = (top_channels(config, size), config.n_rkhs);
    let head = 2 * top * d + d * d + d + norm(d) + 2 * d;
    (plan(config, size).iter().map(of_layer).sum::<i64>() + 2 * head) as u64
}

/// Bytes of activations kept for the backward pass, per image and view: the outputs of every convolution in f32.
pub fn activation_bytes(config: &EncoderConfig, size: u32) -> u64 {
    let mut side = i64::from(size);
    let mut numbers = 0;
    for layer in plan(config, size) {
        let (o, width, stride, pad, convolutions) = match layer {
            Plan::Stem { o, width, stride, pad, .. } => (o, width, stride, pad, 1),
            Plan::Residual { o, width, stride, .. } => (o, width, stride, 0, 2),
            Plan::Stack { o, width, stride, .. } => (o, width, stride, 0, 2 * config.depth),
            Plan::Norm { c, .. } => (c, 1, 1, 0, 1),
        };
        side = (side + 2 * pad - width) / stride + 1;
        numbers += o * side * side * convolutions;
    }
    ((numbers + 3 * (25 + 49) * config.n_rkhs) * 4) as u64
}

/// A built layer.
pub enum Layer {
    Stem(Stem),
    Residual(ResidualConv),
    Stack(Stack),
    Norm(Norm),
}

impl Layer {
    pub fn new(plan: Plan, config: &EncoderConfig, device: Device) -> Self {
        let bn = config.use_bn;
        match plan {
            Plan::Stem { c, o, width, stride, pad } => Self::Stem(Stem::new(c, o, width, stride, pad, device)),
            Plan::Residual { c, o, width, stride } => {
                Self::Residual(ResidualConv::new(c, o, width, stride, bn, device))
            }
            Plan::Stack { c, o, width, stride } => {
                Self::Stack(Stack::new(c, o, width, stride, config.depth, bn, device))
            }
            Plan::Norm { c, always } => Self::Norm(Norm::new(c, always || bn, device)),
        }
    }

    pub fn forward(&self, x_nchw: Tensor, views: i64, mode: Mode) -> Tensor {
        match self {
            Self::Stem(stem) => stem.forward(&x_nchw),
            Self::Residual(residual) => residual.forward(&x_nchw, views, mode),
            Self::Stack(stack) => stack.forward(&x_nchw, views, mode),
            Self::Norm(norm) => norm.forward(x_nchw, views, mode),
        }
    }
}

impl Module for Layer {
    fn name(&self, names: Names<'_>) {
        match self {
            Self::Stem(stem) => stem.name(names),
            Self::Residual(residual) => residual.name(names),
            Self::Stack(stack) => stack.name(names),
            Self::Norm(norm) => norm.name(names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(size: u32, ndf: i64, n_rkhs: i64, depth: i64) -> u64 {
        parameter_count(&EncoderConfig { ndf, n_rkhs, depth, ..EncoderConfig::default() }, size)
    }

    #[test]
    fn parameter_counts_are_the_published_ones() {
        // Sums over the parameters of the PyTorch restatement.
        assert_eq!(count(32, 64, 512, 3), 5_011_200);
        assert_eq!(count(32, 128, 1024, 3), 20_033_024);
        assert_eq!(count(32, 256, 2048, 10), 127_818_752);
        let millions = |count: u64| (count as f64 / 1e6).round();
        assert_eq!(millions(count(128, 192, 1536, 8)), 208.0);
        assert_eq!(millions(count(128, 256, 2048, 10)), 426.0);
        assert_eq!(millions(count(128, 320, 2560, 10)), 666.0);
    }
}
