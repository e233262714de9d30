//! The layers: normalisation, stem, residual convolution, stack, and the head of a local map.
//!
//! Shapes: N views times images · H, W sides · C channels · D rkhs.

use super::rows::on_rows;
use infomax_sdk::{
    Device, Mode, Module, Names, Parameter, Tensor, named,
    nn::{BatchNorm, Conv2d, add_average_pooled, add_bias, add_bias_relu, init},
};

/// BatchNorm that may be switched off; its parameters exist either way, as in the published checkpoints.
pub struct Norm {
    bn: BatchNorm,
    active: bool,
}

named!(Norm { bn });

impl Norm {
    pub fn new(channels: i64, active: bool, device: Device) -> Self {
        Self { bn: BatchNorm::new(channels, device).centred(), active }
    }

    /// Normalises each view with its own statistics, in order; the views lie one after the other.
    pub fn forward(&self, x_nchw: Tensor, views: i64, mode: Mode) -> Tensor {
        if !self.active {
            return x_nchw;
        }
        on_rows(&x_nchw, |rows| self.bn.forward_views(rows, views, mode))
    }

    /// The same, then ReLU.
    pub fn forward_relu(&self, x_nchw: Tensor, views: i64, mode: Mode) -> Tensor {
        // What the normalisation gives is a view.
        if self.active { self.forward(x_nchw, views, mode).relu() } else { x_nchw.relu_() }
    }
}

/// Reflect-pad, convolution with bias, ReLU.
pub struct Stem {
    conv: Conv2d,
    bias: Parameter,
    pad: i64,
}

impl Stem {
    pub fn new(c: i64, o: i64, width: i64, stride: i64, pad: i64, device: Device) -> Self {
        let conv = Conv2d::new(c, o, width, device).stride(stride);
        Self { conv, bias: Parameter::new(init::default_bias(o, c * width * width, device)), pad }
    }

    pub fn forward(&self, x_nchw: &Tensor) -> Tensor {
        let x_nchw = if self.pad > 0 { x_nchw.reflection_pad2d([self.pad; 4]) } else { x_nchw.clone() };
        add_bias_relu(self.conv.forward(&x_nchw), &self.bias)
    }
}

impl Module for Stem {
    fn name(&self, mut names: Names<'_>) {
        names.part("conv", &self.conv);
        names.parameter("conv.bias", &self.bias);
    }
}

/// conv K×K → [BN] → ReLU → conv 1×1, plus the average-pooled input, zero-padded in channels.
pub struct ResidualConv {
    conv1: Conv2d,
    conv2: Conv2d,
    bn1: Norm,
    width: i64,
    stride: i64,
}

named!(ResidualConv { conv1, conv2, bn1 });

impl ResidualConv {
    pub fn new(c: i64, o: i64, width: i64, stride: i64, use_bn: bool, device: Device) -> Self {
        Self {
            conv1: Conv2d::new(c, o, width, device).stride(stride),
            conv2: closed(o, device),
            bn1: Norm::new(o, use_bn, device),
            width,
            stride,
        }
    }

    pub fn forward(&self, x_nchw: &Tensor, views: i64, mode: Mode) -> Tensor {
        let hidden = self.bn1.forward_relu(self.conv1.forward(x_nchw), views, mode);
        add_average_pooled(self.conv2.forward(&hidden), x_nchw, self.width, self.stride)
    }
}

/// A 1×1 convolution that starts at zero.
fn closed(channels: i64, device: Device) -> Conv2d {
    Conv2d::from_tensors(init::constant(&[channels, channels, 1, 1], 0.0, device), None)
}

/// One residual convolution, then depth − 1 of width 1.
pub struct Stack(Vec<ResidualConv>);

impl Stack {
    pub fn new(c: i64, o: i64, width: i64, stride: i64, depth: i64, bn: bool, on: Device) -> Self {
        let mut layers = vec![ResidualConv::new(c, o, width, stride, bn, on)];
        layers.extend((1..depth).map(|_| ResidualConv::new(o, o, 1, 1, bn, on)));
        Self(layers)
    }

    pub fn forward(&self, x_nchw: &Tensor, views: i64, mode: Mode) -> Tensor {
        self.0.iter().fold(x_nchw.clone(), |x, layer| layer.forward(&x, views, mode))
    }
}

impl Module for Stack {
    fn name(&self, mut names: Names<'_>) {
        names.part("layer_list", &self.0);
    }
}

/// The head of a local map: a 1×1 network with a linear shortcut that starts near the identity; normalised output.
pub struct RkhsHead {
    conv1: Conv2d,
    conv2: Conv2d,
    shortcut: Conv2d,
    shortcut_bias: Parameter,
    bn_hid: Norm,
    bn_out: Norm,
}

impl RkhsHead {
    pub fn new(c: i64, d: i64, use_bn: bool, device: Device) -> Self {
        let shortcut = if d >= c {
            let weight = init::uniform(&[d, c, 1, 1], 0.01, device);
            weight.view([d, c]).diagonal(0, 0, 1).fill_(1.0);
            Conv2d::from_tensors(weight, None)
        } else {
            Conv2d::new(c, d, 1, device)
        };
        Self {
            conv1: Conv2d::new(c, d, 1, device),
            conv2: closed(d, device),
            shortcut,
            shortcut_bias: Parameter::new(init::default_bias(d, c, device)),
            bn_hid: Norm::new(d, use_bn, device),
            bn_out: Norm::new(d, true, device),
        }
    }

    pub fn forward(&self, x_nchw: &Tensor, views: i64, mode: Mode) -> Tensor {
        let hidden = self.bn_hid.forward_relu(self.conv1.forward(x_nchw), views, mode);
        let shortcut = add_bias(self.shortcut.forward(x_nchw), &self.shortcut_bias);
        self.bn_out.forward(shortcut.add_(self.conv2.forward(&hidden)), views, mode)
    }
}

impl Module for RkhsHead {
    fn name(&self, mut names: Names<'_>) {
        names.part("conv1", &self.conv1);
        names.part("conv2", &self.conv2);
        names.part("shortcut", &self.shortcut);
        names.parameter("shortcut.bias", &self.shortcut_bias);
        names.part("bn_hid", &self.bn_hid);
        names.part("bn_out", &self.bn_out);
    }
}
