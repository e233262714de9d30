//! `barlow-twins`: the cross-correlation of the views' channels becomes the identity.
//!
//! C = ẑᵀẑ′ / B with ẑ normalised over the batch; loss Σ_i (1 − C_ii)² + λ·Σ_{i ≠ j} C_ij².
//!
//! # Source
//! Zbontar, Jing, Misra, LeCun, Deny 2021, arXiv:2103.03230, equations 1 and 2; the normalisation is a BatchNorm without
//! scale and shift, as in the published code.
//!
//! # Shapes
//! B images · D numbers of the projection.

use crate::{config::BarlowTwins, correlation::off_diagonal_squares};
use infomax_sdk::{Facts, LossDescription, Result, Tensor, Terms, nn, projected::OnProjections};
use std::ops::Range;

impl OnProjections for BarlowTwins {
    const NAME: &'static str = "barlow-twins";

    fn projector(&self, channels: i64) -> nn::MlpPlan {
        nn::MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
    }

    fn offers(&self) -> LossDescription {
        LossDescription::of_terms(["invariance", "redundancy"])
    }

    fn loss(&self, [one_bd, two_bd]: [&Tensor; 2], _: &Facts, _: Range<i64>) -> Result<Terms> {
        let b = one_bd.size_of(0);
        let correlation_dd = nn::batch_norm(one_bd, None).t().mm(&nn::batch_norm(two_bd, None)) / b as f64;
        let invariance = (correlation_dd.diagonal(0, 0, 1) - 1.0).square().sum();
        let redundancy = off_diagonal_squares(&correlation_dd);
        let terms = [("invariance", 1.0, invariance), ("redundancy", self.redundancy_weight, redundancy)];
        Ok(Terms::sum(terms).scaled(self.loss_scale))
    }
}
