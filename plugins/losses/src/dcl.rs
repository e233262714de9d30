//! `dcl`: SimCLR's loss without the positive in the denominator, so that small batches learn as well.
//!
//! ℓ(i) = −w·s(i, p(i)) / T + log Σ_k exp(s(i, k) / T), k over both views of all other images; w = 1, or, weighted,
//! w = 2 − exp(s(i, p(i)) / σ) / mean over images of the same. The mean is over all 2B.
//!
//! # Source
//! Yeh, Hong, Hsu, Liu, Chen, LeCun 2022, arXiv:2110.06848, section 3, L_DC and L_DCW. The weight has a gradient:
//! implementations differ, and the paper's formula stops none.
//!
//! # Shapes
//! B images · D numbers of the projection · R images of a range · S = 2R sources.

use crate::{
    config::Dcl,
    mlp::MlpPlan,
    precision::{in_f32, normalised},
    projection::Projection,
    similarity::{PARTNER_COSINE, Similarities},
};
use infomax_sdk::{Facts, Features, Loss, LossDescription, LossInput, NamedTensor, Result, Terms};
use std::ops::Range;
use tch::{Device, Tensor};

/// The decoupled contrastive loss.
pub struct DclLoss {
    config: Dcl,
    projection: Projection,
}

fn plan(config: &Dcl) -> impl Fn(i64) -> MlpPlan {
    |channels| MlpPlan {
        hidden_norm: config.projector_norm,
        ..MlpPlan::new(channels, config.projector_hidden, config.projector_dim, config.projector_layers)
    }
}

impl Loss for DclLoss {
    type Config = Dcl;

    fn describe(config: &Dcl, input: &LossInput) -> Result<LossDescription> {
        Ok(LossDescription {
            terms: vec![PARTNER_COSINE.to_owned()],
            row_ranges: true,
            ..Projection::describe("dcl", input, plan(config))?
        })
    }

    fn create(config: &Dcl, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        Ok(Self { config: config.clone(), projection: Projection::new(input, plan(config), device)? })
    }

    fn forward(&self, features: &Features, _: &Facts, rows: Range<i64>) -> Result<Terms> {
        let z_bd = self.projection.of(features)?;
        in_f32(|| {
            let similarities = Similarities::new(&z_bd, &rows, self.config.temperature)?;
            let mut positives_s = similarities.partners()?;
            if self.config.weighted {
                positives_s = positives_s.f_mul(&self.weights(&z_bd, &rows)?)?;
            }
            let losses_s = similarities.log_sum_of_other_images()?.f_sub(&positives_s)?;
            let terms = vec![(PARTNER_COSINE.to_owned(), similarities.partner_cosine()?)];
            Ok(Terms { total: similarities.share_of_mean(&losses_s)?, terms })
        })
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.projection.tensors()
    }
}

impl DclLoss {
    /// The weight of each source's positive, S; a mean over the whole batch is in it.
    fn weights(&self, z_bd: &[Tensor; 2], rows: &Range<i64>) -> Result<Tensor> {
        let products_bd = normalised(&z_bd[0])?.f_mul(&normalised(&z_bd[1])?)?;
        let cosines_b = products_bd.f_sum_dim_intlist(&[1i64][..], false, None)?;
        let shares_b = cosines_b.f_divide_scalar(self.config.sigma)?.f_softmax(0, None)?;
        let images = shares_b.size()[0] as f64;
        let weights_b = shares_b.f_multiply_scalar(-images)?.f_add_scalar(2.0)?;
        Ok(weights_b.f_narrow(0, rows.start, rows.end - rows.start)?.f_repeat([2])?)
    }
}
