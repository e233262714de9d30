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

use crate::{config::NtXent, similarity::Similarities};
use infomax_sdk::{Facts, LossDescription, Result, Tensor, Terms, nn::MlpPlan, projected::OnProjections};
use std::ops::Range;

impl OnProjections for NtXent {
    const NAME: &'static str = "nt-xent";

    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
            .hidden_norm(self.projector_norm)
    }

    fn offers(&self) -> LossDescription {
        Similarities::offered()
    }

    fn loss(&self, z_bd: [&Tensor; 2], _: &Facts, rows: Range<i64>) -> Result<Terms> {
        let similarities = Similarities::new(z_bd, &rows, self.temperature);
        Ok(similarities.terms(&(similarities.log_sum_of_others() - similarities.partners())))
    }
}
