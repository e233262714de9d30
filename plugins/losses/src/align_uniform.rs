//! `align-uniform`: views of an image lie close together, all images spread evenly over the sphere.
//!
//! mean ‖x − y‖^α and, as the mean of both views, log of the mean over pairs i < j of exp(−t·‖x_i − x_j‖²), for normalised
//! projections x and y; the loss is their weighted sum. A logarithm of a mean does not split into rows.
//!
//! # Source
//! Wang and Isola 2020, arXiv:2005.10242, section 4.1 and figure 5, whose code averages the views.
//!
//! # Shapes
//! B images · D numbers of the projection.

use crate::config::AlignUniform;
use infomax_sdk::{Facts, Kind, LossDescription, Result, Tensor, Terms, nn::MlpPlan, projected::OnProjections};
use std::ops::Range;

impl OnProjections for AlignUniform {
    const NAME: &'static str = "align-uniform";

    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
            .hidden_norm(self.projector_norm)
    }

    fn offers(&self) -> LossDescription {
        LossDescription::of_terms(["alignment", "uniformity"])
    }

    fn loss(&self, z_bd: [&Tensor; 2], _: &Facts, _: Range<i64>) -> Result<Terms> {
        let [one_bd, two_bd] = z_bd.map(|z_bd| z_bd.normalize(-1));
        let alignment = (&one_bd - &two_bd).norm(2.0, 1, false).pow(self.align_power).mean();
        let [one, two] = [&one_bd, &two_bd].map(|x_bd| uniformity(x_bd, self.uniform_sharpness));
        let terms =
            [("alignment", self.align_weight, alignment), ("uniformity", self.uniform_weight, (one + two) / 2.0)];
        Ok(Terms::sum(terms))
    }
}

/// The logarithm of the mean Gaussian potential over pairs of one view.
fn uniformity(x_bd: &Tensor, sharpness: f64) -> Tensor {
    let b = x_bd.size_of(0);
    let norm_b1 = x_bd.square().sum_dim(1, true);
    let distance_bb = &norm_b1 + norm_b1.t() - x_bd.mm(&x_bd.t()) * 2.0;
    let repeated_bb = Tensor::ones([b, b], Kind::Bool, x_bd.device()).tril(0);
    let potential_bb = (distance_bb * -sharpness).masked_fill(&repeated_bb, f64::NEG_INFINITY);
    let pairs = (b * (b - 1) / 2) as f64;
    potential_bb.logsumexp([0, 1], false) - pairs.ln()
}
