//! The residual block: conv → norm → ReLU → … → conv → norm, plus the shortcut, then ReLU.

use super::plan::BlockPlan;
use crate::layers::{Convolution, ConvolutionPlan, Norm};
use infomax_sdk::{Mode, Names};
use tch::{Device, TchError, Tensor};

/// A basic block of two convolutions or a bottleneck of three.
pub struct Block {
    layers: Vec<(Convolution, Norm)>,
    downsample: Option<(Convolution, Norm)>,
}

impl Block {
    /// Fresh weights; `last_scale` is where the last normalisation's scale starts.
    pub fn new(plan: &BlockPlan, last_scale: f64, device: Device) -> Result<Self, TchError> {
        let layer =
            |conv: ConvolutionPlan, scale| Ok((Convolution::new(conv, device)?, Norm::scaled(conv.o, scale, device)?));
        let last = plan.convolutions.len() - 1;
        let layers = plan.convolutions.iter().enumerate();
        let layers = layers.map(|(i, &conv)| layer(conv, if i == last { last_scale } else { 1.0 }));
        Ok(Self {
            layers: layers.collect::<Result<_, TchError>>()?,
            downsample: plan.downsample.map(|conv| layer(conv, 1.0)).transpose()?,
        })
    }

    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let mut y = x.shallow_clone();
        for (i, (conv, norm)) in self.layers.iter().enumerate() {
            y = norm.forward(&conv.forward(&y)?, mode)?;
            if i + 1 < self.layers.len() {
                y = y.f_relu_()?;
            }
        }
        let shortcut = match &self.downsample {
            Some((conv, norm)) => norm.forward(&conv.forward(x)?, mode)?,
            None => x.shallow_clone(),
        };
        y.f_add_(&shortcut)?.f_relu_()
    }

    pub fn name(&self, mut names: Names<'_>) {
        for (i, (conv, norm)) in self.layers.iter().enumerate() {
            conv.name(names.below(format_args!("conv{}", i + 1)));
            norm.name(names.below(format_args!("bn{}", i + 1)));
        }
        if let Some((conv, norm)) = &self.downsample {
            conv.name(names.below("downsample.0"));
            norm.name(names.below("downsample.1"));
        }
    }
}
