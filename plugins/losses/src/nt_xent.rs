//! `nt-xent`: the normalised, temperature-scaled cross-entropy of SimCLR.
//!
//! ℓ(i) = −log( exp(s(i, p(i)) / T) / Σ_{k ≠ i} exp(s(i, k) / T) ), s the cosine of projections, p(i) the other view of the
//! same image, k over both views of all images; the loss is the mean over all 2B.
//!
//! # Source
//! Chen, Kornblith, Norouzi, Hinton 2020, arXiv:2002.05709, equation 1 and algorithm 1.
//!
//! # Shapes
//! B images · S = 2R sources.

use crate::{
    config::NtXent,
    mlp::MlpPlan,
    precision::in_f32,
    projection::Projection,
    similarity::{PARTNER_COSINE, Similarities},
};
use infomax_sdk::{Facts, Features, Loss, LossDescription, LossInput, NamedTensor, Result, Terms};
use std::ops::Range;
use tch::Device;

/// SimCLR's loss.
pub struct NtXentLoss {
    temperature: f64,
    projection: Projection,
}

fn plan(config: &NtXent) -> impl Fn(i64) -> MlpPlan {
    |channels| MlpPlan {
        hidden_norm: config.projector_norm,
        ..MlpPlan::new(channels, config.projector_hidden, config.projector_dim, config.projector_layers)
    }
}

impl Loss for NtXentLoss {
    type Config = NtXent;

    fn describe(config: &NtXent, input: &LossInput) -> Result<LossDescription> {
        Ok(LossDescription {
            terms: vec![PARTNER_COSINE.to_owned()],
            row_ranges: true,
            ..Projection::describe("nt-xent", input, plan(config))?
        })
    }

    fn create(config: &NtXent, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        Ok(Self { temperature: config.temperature, projection: Projection::new(input, plan(config), device)? })
    }

    fn forward(&self, features: &Features, _: &Facts, rows: Range<i64>) -> Result<Terms> {
        let z_bd = self.projection.of(features)?;
        in_f32(|| {
            let similarities = Similarities::new(&z_bd, &rows, self.temperature)?;
            let losses_s = similarities.log_sum_of_others()?.f_sub(&similarities.partners()?)?;
            let terms = vec![(PARTNER_COSINE.to_owned(), similarities.partner_cosine()?)];
            Ok(Terms { total: similarities.share_of_mean(&losses_s)?, terms })
        })
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.projection.tensors()
    }
}
