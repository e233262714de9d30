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

use crate::{config::Dcl, similarity::Similarities};
use infomax_sdk::{Facts, LossDescription, Result, Tensor, Terms, nn::MlpPlan, projected::OnProjections};
use std::ops::Range;

impl OnProjections for Dcl {
    const NAME: &'static str = "dcl";

    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
            .hidden_norm(self.projector_norm)
    }

    fn offers(&self) -> LossDescription {
        Similarities::offered()
    }

    fn loss(&self, z_bd: [&Tensor; 2], _: &Facts, rows: Range<i64>) -> Result<Terms> {
        let similarities = Similarities::new(z_bd, &rows, self.temperature);
        let mut positives_s = similarities.partners();
        if self.weighted {
            positives_s = positives_s * weights(z_bd, &rows, self.sigma);
        }
        Ok(similarities.terms(&(similarities.log_sum_of_other_images() - positives_s)))
    }
}

/// The weight of each source's positive, S; a mean over the whole batch is in it.
fn weights([one_bd, two_bd]: [&Tensor; 2], rows: &Range<i64>, sigma: f64) -> Tensor {
    let cosines_b = (one_bd.normalize(-1) * two_bd.normalize(-1)).sum_dim(1, false);
    let shares_b = (cosines_b / sigma).softmax(0);
    let weights_b = &shares_b * -(shares_b.size_of(0) as f64) + 2.0;
    weights_b.narrow(0, rows.start, rows.end - rows.start).repeat(2)
}
