//! `supcon`: all images of a class attract each other, in both views.
//!
//! ℓ(i) = −mean over p ∈ P(i) of log( exp(s(i, p) / T) / Σ_{k ≠ i} exp(s(i, k) / T) ), P(i) all views but i with i's label,
//! or only the other view of the same image where there is no label; the loss is the mean over all 2B.
//!
//! # Source
//! Khosla et al. 2020, arXiv:2004.11362, equation 2 (L_out), without the factor T / T_base of the published code.
//!
//! # Shapes
//! B images · S = 2R sources · N = 2B candidates.

use crate::{
    config::SupCon,
    mlp::MlpPlan,
    precision::in_f32,
    projection::Projection,
    similarity::{PARTNER_COSINE, Similarities},
};
use infomax_sdk::{Error, Facts, Features, Loss, LossDescription, LossInput, NamedTensor, Result, Terms};
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// The supervised contrastive loss.
pub struct SupConLoss {
    temperature: f64,
    projection: Projection,
}

fn plan(config: &SupCon) -> impl Fn(i64) -> MlpPlan {
    |channels| MlpPlan {
        hidden_norm: config.projector_norm,
        ..MlpPlan::new(channels, config.projector_hidden, config.projector_dim, config.projector_layers)
    }
}

impl Loss for SupConLoss {
    type Config = SupCon;

    fn describe(config: &SupCon, input: &LossInput) -> Result<LossDescription> {
        Ok(LossDescription {
            terms: vec![PARTNER_COSINE.to_owned()],
            labels: true,
            row_ranges: true,
            ..Projection::describe("supcon", input, plan(config))?
        })
    }

    fn create(config: &SupCon, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        Ok(Self { temperature: config.temperature, projection: Projection::new(input, plan(config), device)? })
    }

    fn forward(&self, features: &Features, facts: &Facts, rows: Range<i64>) -> Result<Terms> {
        let z_bd = self.projection.of(features)?;
        let labels_b = facts.labels.as_ref().ok_or_else(|| Error::new("loss `supcon` was given no labels"))?;
        in_f32(|| {
            let similarities = Similarities::new(&z_bd, &rows, self.temperature)?;
            let positive_sn = positives(&similarities, labels_b)?.f_to_kind(similarities.scores_sn.kind())?;
            let count_s = positive_sn.f_sum_dim_intlist(&[1i64][..], false, None)?;
            let sum_s = similarities.scores_sn.f_mul(&positive_sn)?.f_sum_dim_intlist(&[1i64][..], false, None)?;
            let losses_s = similarities.log_sum_of_others()?.f_sub(&sum_s.f_div(&count_s)?)?;
            let terms = vec![(PARTNER_COSINE.to_owned(), similarities.partner_cosine()?)];
            Ok(Terms { total: similarities.share_of_mean(&losses_s)?, terms })
        })
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.projection.tensors()
    }
}

/// Which candidates are positives of which source, S × N booleans; each source has its partner at least.
fn positives(similarities: &Similarities, labels_b: &Tensor) -> Result<Tensor> {
    let labels_n = labels_b.f_to_kind(Kind::Int64)?.f_repeat([2])?;
    let labels_s1 = labels_n.f_index_select(0, &similarities.own_s1.f_squeeze_dim(1)?)?.f_unsqueeze(1)?;
    let alike_sn = labels_s1.f_eq_tensor(&labels_n)?.f_logical_and(&labels_s1.f_ge(0)?)?;
    Ok(alike_sn.f_scatter_value(1, &similarities.partner_s1, 1)?.f_scatter_value(1, &similarities.own_s1, 0)?)
}
