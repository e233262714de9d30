//! The encoder as the host sees it.

use super::{
    architecture::{Layer, SIZES, activation_bytes, parameter_count, plan, top_channels},
    blocks::RkhsHead,
};
use crate::config::encoder::EncoderConfig;
use infomax_sdk::{
    Device, Encoder, EncoderDescription, EncoderInput, Error, FeatureMap, Mode, Module, NamedTensor, Result, Tensor,
    named, nn::channels_last,
};

/// AMDIM's encoder (Bachman et al. 2019, section 4.2 and the published code).
pub struct AmdimEncoder {
    layers: Vec<Layer>,
    head_5: RkhsHead,
    head_7: RkhsHead,
    size: i64,
}

named!(AmdimEncoder { layers as "layer_list", head_5 as "rkhs_block_5", head_7 as "rkhs_block_7" });

impl Encoder for AmdimEncoder {
    type Config = EncoderConfig;

    fn describe(config: &EncoderConfig, input: &EncoderInput) -> Result<EncoderDescription> {
        let size = size(config, input)?;
        let (top, d) = (top_channels(config, size), config.n_rkhs);
        if d < top {
            let factor = top / config.ndf;
            return Err(Error::config(format!(
                "`encoder.config.n_rkhs` is {d}, but `encoder.config.ndf` = {} needs at least {factor} times as many: {top}",
                config.ndf
            ))
            .hint("the last layer adds its input, so it can't have fewer channels"));
        }
        let map = |name: &str, side| FeatureMap {
            name: name.to_owned(),
            channels: config.n_rkhs as u32,
            height: side,
            width: side,
        };
        Ok(EncoderDescription {
            maps: vec![map("r1", 1), map("r5", 5), map("r7", 7)],
            representation: "r1".to_owned(),
            parameter_count: parameter_count(config, size),
            activation_bytes: activation_bytes(config, size),
        })
    }

    fn create(config: &EncoderConfig, input: &EncoderInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        let size = size(config, input)?;
        let layers = plan(config, size).into_iter().map(|layer| Layer::new(layer, config, device)).collect();
        let top = top_channels(config, size);
        let head = || RkhsHead::new(top, config.n_rkhs, config.use_bn, device);
        Ok(Self { layers, head_5: head(), head_7: head(), size: i64::from(size) })
    }

    fn forward(&mut self, views: &[Tensor], mode: Mode) -> Result<Vec<Vec<Tensor>>> {
        for view in views {
            let size = view.size();
            if size.len() != 4 || size[1..] != [3, self.size, self.size] {
                let expected = format!("B×3×{0}×{0}", self.size);
                return Err(Error::new(format!("a view has the shape {size:?}, expected {expected}")));
            }
        }
        let count = views.len() as i64;
        let maps = self.maps(channels_last(&Tensor::join(views)), count, mode);
        let mut split: Vec<Vec<Tensor>> = views.iter().map(|_| Vec::new()).collect();
        for map in maps {
            let parts = map.chunk(count, 0);
            split.iter_mut().zip(parts).for_each(|(view, part)| view.push(part));
        }
        Ok(split)
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.tensors_below("")
    }
}

/// The side of every view.
fn size(config: &EncoderConfig, input: &EncoderInput) -> Result<u32> {
    let size = config.size.unwrap_or(input.eval_size[0]);
    let sizes = input.views.iter().map(|view| [view.height, view.width]).chain([input.eval_size]);
    if let Some([height, width]) = sizes.into_iter().find(|&side| side != [size, size]) {
        let (message, hint) = match config.size {
            Some(size) => (
                format!("`encoder.config.size` is {size}, but the augmentation makes a view of {height}×{width}"),
                "set `encoder.config.size` and `augmentation.config.size` to the same number, or leave the former out",
            ),
            None => (
                format!("views of {height}×{width} beside {size}×{size}, but the encoder `amdim` takes one size"),
                "choose another `augmentation.name` or another encoder",
            ),
        };
        return Err(Error::config(message).hint(hint));
    }
    if !SIZES.contains(&size) {
        return Err(Error::config(format!("the encoder `amdim` can't take views of {size}×{size}"))
            .hint("set `augmentation.config.size` to 32, 64 or 128"));
    }
    Ok(size)
}

impl AmdimEncoder {
    /// r1, r5 and r7 of all views together, N × D × H × W.
    fn maps(&self, mut x_nchw: Tensor, views: i64, mode: Mode) -> [Tensor; 3] {
        let (mut at_5, mut at_7) = (None, None);
        for layer in &self.layers {
            x_nchw = layer.forward(x_nchw, views, mode);
            match x_nchw.size_of(2) {
                5 => at_5 = Some(x_nchw.clone()),
                7 => at_7 = Some(x_nchw.clone()),
                _ => {}
            }
        }
        let (at_5, at_7) = (at_5.expect("the plan passes 5×5"), at_7.expect("the plan passes 7×7"));
        [x_nchw, self.head_5.forward(&at_5, views, mode), self.head_7.forward(&at_7, views, mode)]
    }
}
