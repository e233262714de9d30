//! The encoder as the host sees it. There are no batch statistics, so every mode is the same.
//!
//! Shapes: B images · N patches · C channels.

use super::{
    block::{self, Block, CHANNELS, layer_norm},
    position::Position,
};
use crate::{
    config::vit::{Pool, VitConfig},
    views::{in_few_passes, mean_bytes, pooled, sizes},
};
use infomax_sdk::{
    Device, Encoder, EncoderDescription, EncoderInput, Error, Mode, Module, NamedTensor, Names, Parameter, Result,
    Tensor,
    nn::{Conv2d, LayerNorm, init},
};

const CLASS_STD: f64 = 1e-6; // timm's VisionTransformer

/// ViT-Ti; tensors have timm's names.
pub struct Vit {
    projection: Conv2d,
    class_token: Parameter,
    position: Position,
    blocks: Vec<Block>,
    norm: LayerNorm,
    pool: Pool,
}

impl Encoder for Vit {
    type Config = VitConfig;

    fn describe(config: &VitConfig, input: &EncoderInput) -> Result<EncoderDescription> {
        let [height, width] = largest_grid(config, input)?;
        let embeddings = (1 + 1 + height * width) * CHANNELS; // class token, its position, the patches'
        let projection = CHANNELS * (3 * config.patch * config.patch + 1);
        let parameters = embeddings + projection + config.depth * block::parameters() + 2 * CHANNELS;
        let tokens = |[height, width]: [i64; 2]| 1 + height / config.patch * (width / config.patch);
        let bytes = mean_bytes(input, |size| tokens(size) * (config.depth * block::activations() + 2 * CHANNELS));
        Ok(pooled(CHANNELS, parameters, bytes))
    }

    fn create(config: &VitConfig, input: &EncoderInput, device: Device) -> Result<Self> {
        let grid = largest_grid(config, input)?;
        let blocks = (0..config.depth).map(|_| Block::new(device)).collect();
        Ok(Self {
            projection: Conv2d::new(3, CHANNELS, config.patch, device).with_bias().stride(config.patch),
            class_token: Parameter::new(init::normal(&[1, 1, CHANNELS], CLASS_STD, device)),
            position: Position::new(grid, device),
            blocks,
            norm: layer_norm(device),
            pool: config.pool,
        })
    }

    fn forward(&mut self, views: &[Tensor], _: Mode) -> Result<Vec<Vec<Tensor>>> {
        in_few_passes(views, |x, _| vec![self.representation(x)])
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.tensors_below("")
    }
}

impl Module for Vit {
    fn name(&self, mut names: Names<'_>) {
        names.parameter("cls_token", &self.class_token);
        names.parameter("pos_embed", &self.position.embedding);
        names.part("patch_embed.proj", &self.projection);
        names.part("blocks", &self.blocks);
        // timm's name says whether the last normalisation stands before or after the mean.
        names.part(if self.pool == Pool::Token { "norm" } else { "fc_norm" }, &self.norm);
    }
}

impl Vit {
    /// B × C × 1 × 1.
    fn representation(&self, view: &Tensor) -> Tensor {
        let patches = self.projection.forward(view);
        let [b, c, height, width] = patches.dims();
        let patches_bnc = patches.permute([0, 2, 3, 1]).reshape([b, height * width, c]);
        let class_b1c = self.class_token.expand([b, 1, c]);
        let mut x_bnc = Tensor::cat(&[class_b1c, patches_bnc], 1) + self.position.of([height, width]);
        for block in &self.blocks {
            x_bnc = block.forward(&x_bnc);
        }
        let x_bc = match self.pool {
            Pool::Token => x_bnc.select(1, 0),
            Pool::Mean => x_bnc.narrow(1, 1, height * width).mean_dim(1, false),
        };
        self.norm.forward(&x_bc).view([b, c, 1, 1])
    }
}

/// Patches of the largest view, down and across.
fn largest_grid(config: &VitConfig, input: &EncoderInput) -> Result<[i64; 2]> {
    let sizes = sizes(input);
    let patch = config.patch;
    if let Some([height, width]) = sizes.iter().find(|size| size.iter().any(|&side| side < patch || side % patch != 0))
    {
        return Err(Error::config(format!(
            "a view of {height}×{width} can't be cut into patches of {patch}×{patch}, as `encoder.config.patch` says"
        ))
        .hint("make the views' sides multiples of the patch's"));
    }
    let [height, width] = sizes.into_iter().max_by_key(|[height, width]| height * width).unwrap_or([patch; 2]);
    Ok([height / patch, width / patch])
}
