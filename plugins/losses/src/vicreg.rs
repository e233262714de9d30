//! `vicreg`: views agree, every channel keeps its variance, no two channels say the same.
//!
//! λ·mean (z − z′)² + μ·½ Σ_views mean_d max(0, γ − √(Var z_d + ε)) + ν·Σ_views Σ_{i ≠ j} Cov(z)²_ij / D, variances and
//! covariances over the batch with n − 1.
//!
//! # Source
//! Bardes, Ponce, LeCun 2022, arXiv:2105.04906, algorithm 1 (which halves the variance term; equation 6 does not).
//!
//! # Shapes
//! B images · D numbers of the projection.

use crate::{config::VicReg, correlation::off_diagonal_squares};
use infomax_sdk::{Facts, LossDescription, Result, Tensor, Terms, nn::MlpPlan, projected::OnProjections};
use std::ops::Range;

const EPS: f64 = 1e-4; // VICReg, section 4.1 and algorithm 1

impl OnProjections for VicReg {
    const NAME: &'static str = "vicreg";

    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
    }

    fn offers(&self) -> LossDescription {
        LossDescription::of_terms(["invariance", "variance", "covariance"])
    }

    fn loss(&self, [one_bd, two_bd]: [&Tensor; 2], _: &Facts, _: Range<i64>) -> Result<Terms> {
        let invariance = (one_bd - two_bd).square().mean();
        let [(variance_one, covariance_one), (variance_two, covariance_two)] =
            [one_bd, two_bd].map(|z_bd| regularity(z_bd, self.target_deviation));
        let terms = Terms::sum([
            ("invariance", self.invariance_weight, invariance),
            ("variance", self.variance_weight, (variance_one + variance_two) / 2.0),
            ("covariance", self.covariance_weight, covariance_one + covariance_two),
        ]);
        Ok(terms.scaled(self.loss_scale))
    }
}

/// The hinge on the standard deviation and the squared covariances of one view.
fn regularity(z_bd: &Tensor, target_deviation: f64) -> (Tensor, Tensor) {
    let [b, d] = z_bd.dims();
    let centred_bd = z_bd - z_bd.mean_dim(0, true);
    let variance_d = centred_bd.square().sum_dim(0, false) / (b - 1) as f64;
    let missing_d = (-(variance_d + EPS).sqrt() + target_deviation).relu();
    let covariance_dd = centred_bd.t().mm(&centred_bd) / (b - 1) as f64;
    (missing_d.mean(), off_diagonal_squares(&covariance_dd) / d as f64)
}
