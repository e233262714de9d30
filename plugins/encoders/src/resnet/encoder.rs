//! The encoder as the host sees it. Views of one size pass together, each with BatchNorm statistics of its own.

use super::{
    block::Block,
    heads::{self, Heads, MAPS},
    plan::{MAX_POOL, Plan},
};
use crate::{
    config::resnet::ResNetConfig,
    views::{in_few_passes, map, mean_bytes, pooled, sizes},
};
use infomax_sdk::{
    Device, Encoder, EncoderDescription, EncoderInput, Mode, Module, NamedTensor, Names, Result, Tensor,
    nn::{BatchNorm, Conv2d},
};

/// ResNet-18, -34 or -50; tensors have torchvision's names.
pub struct ResNet<const DEPTH: u32> {
    conv1: Conv2d,
    bn1: BatchNorm,
    max_pool: bool,
    stages: Vec<Vec<Block>>,
    heads: Option<Heads>,
}

impl<const DEPTH: u32> Encoder for ResNet<DEPTH> {
    type Config = ResNetConfig;

    fn describe(config: &ResNetConfig, input: &EncoderInput) -> Result<EncoderDescription> {
        let plan = Plan::new(DEPTH, config);
        let (mut maps, mut parameters, mut of_heads) = (Vec::new(), plan.parameters(), 0);
        if let Some(d) = config.n_rkhs {
            for (stage, (name, side)) in heads::stages(&plan, &sizes(input))?.into_iter().zip(MAPS) {
                maps.push(map(name, d, side));
                parameters += heads::parameters(plan.channels(stage), d, config.heads_use_bn);
                of_heads += side * side * (plan.channels(stage) + 3 * d); // the averaged stage, hidden, sum, normalised
            }
        }
        let bytes = mean_bytes(input, |size| plan.activations(size) + of_heads);
        let mut description = pooled(plan.top_channels(), parameters, bytes);
        description.maps.extend(maps);
        Ok(description)
    }

    fn create(config: &ResNetConfig, input: &EncoderInput, device: Device) -> Result<Self> {
        let plan = Plan::new(DEPTH, config);
        let last_scale = if config.zero_init_residual { 0.0 } else { 1.0 };
        let stage = |blocks: &Vec<_>| blocks.iter().map(|block| Block::new(block, last_scale, device)).collect();
        let heads = match config.n_rkhs {
            Some(d) => {
                let views = sizes(input);
                let stages = heads::stages(&plan, &views)?;
                Some(Heads::new(&plan, stages, &views, d, config.heads_use_bn, device))
            }
            None => None,
        };
        Ok(Self {
            conv1: plan.stem.build(device),
            bn1: BatchNorm::new(plan.stem.o, device),
            max_pool: plan.max_pool,
            stages: plan.stages.iter().map(stage).collect(),
            heads,
        })
    }

    fn forward(&mut self, views: &[Tensor], mode: Mode) -> Result<Vec<Vec<Tensor>>> {
        in_few_passes(views, |x, count| self.maps(x, count, mode))
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.tensors_below("")
    }
}

impl<const DEPTH: u32> Module for ResNet<DEPTH> {
    fn name(&self, mut names: Names<'_>) {
        names.part("conv1", &self.conv1);
        names.part("bn1", &self.bn1);
        for (i, stage) in self.stages.iter().enumerate() {
            names.part(format_args!("layer{}", i + 1), stage);
        }
        names.part("heads", &self.heads);
    }
}

impl<const DEPTH: u32> ResNet<DEPTH> {
    /// `pool`, then the heads' maps, of views that lie one after the other.
    fn maps(&self, x: &Tensor, views: i64, mode: Mode) -> Vec<Tensor> {
        let mut x = self.bn1.forward_relu(&self.conv1.forward(x), views, mode);
        if self.max_pool {
            let (width, stride, padding) = MAX_POOL;
            x = x.max_pool2d(width, stride, padding);
        }
        let mut outputs = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            x = stage.iter().fold(x, |x, block| block.forward(&x, views, mode));
            outputs.push(x.clone());
        }
        let mut maps = vec![x.adaptive_avg_pool2d(1)];
        if let Some(heads) = &self.heads {
            maps.extend(heads.forward(&outputs, views, mode));
        }
        maps
    }
}
