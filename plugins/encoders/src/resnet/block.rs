//! The residual block: conv → norm → ReLU → … → conv → norm, plus the shortcut, then ReLU.

use super::plan::BlockPlan;
use crate::convolution::ConvolutionPlan;
use infomax_sdk::{
    Device, Mode, Module, Names, Tensor,
    nn::{BatchNorm, Conv2d},
};

/// A basic block of two convolutions or a bottleneck of three.
pub struct Block {
    layers: Vec<(Conv2d, BatchNorm)>,
    downsample: Option<(Conv2d, BatchNorm)>,
}

impl Block {
    /// Fresh weights; `last_scale` is where the last normalisation's scale starts.
    pub fn new(plan: &BlockPlan, last_scale: f64, device: Device) -> Self {
        let layer = |conv: ConvolutionPlan, scale| (conv.build(device), BatchNorm::scaled(conv.o, scale, device));
        let last = plan.convolutions.len() - 1;
        let layers = plan.convolutions.iter().enumerate();
        Self {
            layers: layers.map(|(i, &conv)| layer(conv, if i == last { last_scale } else { 1.0 })).collect(),
            downsample: plan.downsample.map(|conv| layer(conv, 1.0)),
        }
    }

    /// Each view is normalised by its own statistics.
    pub fn forward(&self, x: &Tensor, views: i64, mode: Mode) -> Tensor {
        let shortcut = match &self.downsample {
            Some((conv, norm)) => norm.forward_views(&conv.forward(x), views, mode),
            None => x.clone(),
        };
        let (mut before, rest) = self.layers.split_first().expect("two or three");
        let mut y = before.0.forward(x);
        for layer in rest {
            y = before.1.forward_relu_conv(&y, &layer.0, views, mode);
            before = layer;
        }
        before.1.forward_add_relu(&y, &shortcut, views, mode)
    }
}

impl Module for Block {
    fn name(&self, mut names: Names<'_>) {
        for (i, (conv, norm)) in self.layers.iter().enumerate() {
            names.part(format_args!("conv{}", i + 1), conv);
            names.part(format_args!("bn{}", i + 1), norm);
        }
        names.part("downsample", &self.downsample);
    }
}
