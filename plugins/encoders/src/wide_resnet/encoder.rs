//! The encoder as the host sees it.

use super::block::{Block, BlockPlan};
use crate::{
    config::wide_resnet::WideResNetConfig,
    convolution::ConvolutionPlan,
    views::{in_few_passes, mean_bytes, pooled},
};
use infomax_sdk::{
    Device, Encoder, EncoderDescription, EncoderInput, Error, Mode, Module, NamedTensor, Names, Result, Tensor,
    nn::{BatchNorm, Conv2d},
};

const BASE: i64 = 16; // channels before widening; Zagoruyko and Komodakis 2016, table 1
const STEM: ConvolutionPlan = ConvolutionPlan { c: 3, o: BASE, width: 3, stride: 1 };

/// WRN-depth-widen.
pub struct WideResNet {
    conv1: Conv2d,
    stages: Vec<Vec<Block>>,
    bn1: BatchNorm,
}

impl Encoder for WideResNet {
    type Config = WideResNetConfig;

    fn describe(config: &WideResNetConfig, input: &EncoderInput) -> Result<EncoderDescription> {
        let plan = plan(config)?;
        let top = top_channels(config);
        let blocks: i64 = plan.iter().flatten().map(BlockPlan::parameters).sum();
        let activations = |mut size: [i64; 2]| {
            let mut numbers = STEM.o * size[0] * size[1];
            for block in plan.iter().flatten() {
                numbers += block.activations(size);
                size = block.conv1.size_after(size);
            }
            numbers + top * size[0] * size[1]
        };
        Ok(pooled(top, STEM.parameters() + blocks + 2 * top, mean_bytes(input, activations)))
    }

    fn create(config: &WideResNetConfig, _: &EncoderInput, device: Device) -> Result<Self> {
        let plan = plan(config)?;
        let stage = |blocks: &Vec<_>| blocks.iter().map(|block| Block::new(block, device)).collect();
        Ok(Self {
            conv1: STEM.build(device),
            stages: plan.iter().map(stage).collect(),
            bn1: BatchNorm::new(top_channels(config), device),
        })
    }

    fn forward(&mut self, views: &[Tensor], mode: Mode) -> Result<Vec<Vec<Tensor>>> {
        in_few_passes(views, |x, count| vec![self.pool(x, count, mode)])
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.tensors_below("")
    }
}

impl Module for WideResNet {
    fn name(&self, mut names: Names<'_>) {
        names.part("conv1", &self.conv1);
        for (i, stage) in self.stages.iter().enumerate() {
            names.part(format_args!("block{}.layer", i + 1), stage);
        }
        names.part("bn1", &self.bn1);
    }
}

impl WideResNet {
    fn pool(&self, x: &Tensor, views: i64, mode: Mode) -> Tensor {
        let blocks = self.stages.iter().flatten();
        let x = blocks.fold(self.conv1.forward(x), |x, block| block.forward(&x, views, mode));
        self.bn1.forward_relu(&x, views, mode).adaptive_avg_pool2d(1)
    }
}

fn top_channels(config: &WideResNetConfig) -> i64 {
    4 * BASE * config.widen
}

/// The blocks of each stage.
fn plan(config: &WideResNetConfig) -> Result<Vec<Vec<BlockPlan>>> {
    let depth = config.depth;
    if depth < 10 || depth % 6 != 4 {
        let (below, above) = (depth.saturating_sub(4) / 6 * 6 + 4, depth.saturating_sub(4) / 6 * 6 + 10);
        return Err(Error::config(format!("`encoder.config.depth` is {depth}, which is not 6 n + 4")).hint(format!(
            "choose {} or {above}: two convolutions in each of n blocks of three stages",
            below.max(10)
        )));
    }
    let mut c = BASE;
    let mut stage = |stage: usize| {
        let o = (BASE << stage) * config.widen;
        let block = |block| {
            let plan = BlockPlan::new(c, o, if stage > 0 && block == 0 { 2 } else { 1 });
            c = o;
            plan
        };
        (0..(depth - 4) / 6).map(block).collect()
    };
    Ok((0..3).map(&mut stage).collect())
}
