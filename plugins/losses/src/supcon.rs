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

use crate::{config::SupCon, similarity::Similarities};
use infomax_sdk::{Error, Facts, Kind, LossDescription, Result, Tensor, Terms, nn::MlpPlan, projected::OnProjections};
use std::ops::Range;

impl OnProjections for SupCon {
    const NAME: &'static str = "supcon";

    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
            .hidden_norm(self.projector_norm)
    }

    fn offers(&self) -> LossDescription {
        LossDescription { labels: true, ..Similarities::offered() }
    }

    fn loss(&self, z_bd: [&Tensor; 2], facts: &Facts, rows: Range<i64>) -> Result<Terms> {
        let labels_b = facts.labels.as_ref().ok_or_else(|| Error::new("loss `supcon` was given no labels"))?;
        let similarities = Similarities::new(z_bd, &rows, self.temperature);
        let scores_sn = &similarities.scores_sn;
        let positive_sn = positives(&similarities, labels_b).to_kind(scores_sn.kind());
        let mean_s = (scores_sn * &positive_sn).sum_dim(1, false) / positive_sn.sum_dim(1, false);
        Ok(similarities.terms(&(similarities.log_sum_of_others() - mean_s)))
    }
}

/// Which candidates are positives of which source, S × N booleans; each source has its partner at least.
fn positives(similarities: &Similarities, labels_b: &Tensor) -> Tensor {
    let Similarities { own_s1, partner_s1, .. } = similarities;
    let labels_n = labels_b.to_kind(Kind::I64).repeat(2);
    let labels_s1 = labels_n.index_select(0, &own_s1.squeeze(1)).unsqueeze(1);
    let alike_sn = labels_s1.eq(&labels_n).logical_and(&labels_s1.ge(0));
    alike_sn.scatter_value(1, partner_s1, 1).scatter_value(1, own_s1, 0)
}
