//! The encoder as the host sees it. There are no batch statistics, so every mode is the same.
//!
//! Shapes: B images · N patches · C channels.

use super::{
    block::{self, Block, CHANNELS},
    linear::LayerNorm,
    position::Position,
};
use crate::{
    config::vit::{Pool, VitConfig},
    initial::{normal, uniform},
    views::{checked, mean_bytes, pooled, sizes},
};
use infomax_sdk::{
    Encoder, EncoderDescription, EncoderInput, Error, Mode, NamedTensor, Names, Result,
    tch::{Device, TchError, Tensor},
};

const CLASS_STD: f64 = 1e-6; // timm's VisionTransformer

/// ViT-Ti; tensors have timm's names.
pub struct Vit {
    patch: i64,
    projection: Tensor,
    projection_bias: Tensor,
    class_token: Tensor,
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
        let patch = config.patch;
        let bound = 1.0 / ((3 * patch * patch) as f64).sqrt(); // PyTorch's default for a convolution, which timm keeps
        let blocks = (0..config.depth).map(|_| Block::new(device)).collect::<Result<_, TchError>>()?;
        Ok(Self {
            patch,
            projection: uniform(&[CHANNELS, 3, patch, patch], bound, device)?,
            projection_bias: uniform(&[CHANNELS], bound, device)?,
            class_token: normal(&[1, 1, CHANNELS], CLASS_STD, device)?,
            position: Position::new(grid, device)?,
            blocks,
            norm: LayerNorm::new(CHANNELS, device)?,
            pool: config.pool,
        })
    }

    fn forward(&mut self, views: &[Tensor], _: Mode) -> Result<Vec<Vec<Tensor>>> {
        views.iter().map(|view| Ok(vec![self.representation(&checked(view)?)?])).collect()
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        let mut list = Vec::new();
        let mut names = Names::root(&mut list);
        names.parameter("cls_token", &self.class_token);
        names.parameter("pos_embed", &self.position.embedding);
        names.parameter("patch_embed.proj.weight", &self.projection);
        names.parameter("patch_embed.proj.bias", &self.projection_bias);
        for (i, block) in self.blocks.iter().enumerate() {
            block.name(names.below(format_args!("blocks.{i}")));
        }
        // timm's name says whether the last normalisation stands before or after the mean.
        self.norm.name(names.below(if self.pool == Pool::Token { "norm" } else { "fc_norm" }));
        list
    }
}

impl Vit {
    /// B × C × 1 × 1.
    fn representation(&self, view: &Tensor) -> Result<Tensor, TchError> {
        let patches = view.f_conv2d(&self.projection, Some(&self.projection_bias), self.patch, 0, 1, 1)?;
        let (b, c, height, width) = patches.size4()?;
        let patches_bnc = patches.f_permute([0, 2, 3, 1])?.f_reshape([b, height * width, c])?;
        let class_b1c = self.class_token.f_expand([b, 1, c], false)?;
        let mut x_bnc = Tensor::f_cat(&[class_b1c, patches_bnc], 1)?.f_add(&self.position.of([height, width])?)?;
        for block in &self.blocks {
            x_bnc = block.forward(&x_bnc)?;
        }
        let x_bc = match self.pool {
            Pool::Token => x_bnc.f_select(1, 0)?,
            Pool::Mean => x_bnc.f_narrow(1, 1, height * width)?.f_mean_dim(&[1i64][..], false, None)?,
        };
        self.norm.forward(&x_bc)?.f_view([b, c, 1, 1])
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
