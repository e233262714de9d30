//! `lejepa`: views agree, and projections are distributed as an isotropic Gaussian (SIGReg).
//!
//! (1 − λ)·mean (z − z̄)² + λ·SIGReg, z̄ the mean of an image's views. SIGReg is the Epps–Pulley statistic of random directions a,
//! B·∫ |φ̂(t) − e^(−t²/2)|² e^(−t²/2) dt over ±`frequency_limit`, φ̂ the characteristic function of a·z over the batch; the mean
//! is over directions and views, the integral by trapezoids. Directions are drawn anew in each step, by its key. Two views are
//! compared; the local crops of the paper's recipe are left out.
//!
//! # Source
//! Balestriero, LeCun 2025, arXiv:2511.08544, sections 4 and 5, algorithms 1 and 2.
//!
//! # Shapes
//! V views · B images · D numbers of the projection · S directions · T frequencies.

use crate::config::LeJepa;
use infomax_sdk::{
    Facts, Key, Kind, LossDescription, Result, Tensor, Terms,
    nn::{MlpPlan, as_wide},
    projected::OnProjections,
};
use std::ops::Range;

impl OnProjections for LeJepa {
    const NAME: &'static str = "lejepa";

    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
    }

    fn offers(&self) -> LossDescription {
        LossDescription::of_terms(["invariance", "sigreg"])
    }

    fn loss(&self, views_bd: [&Tensor; 2], facts: &Facts, _: Range<i64>) -> Result<Terms> {
        let views_vbd = Tensor::stack(&views_bd, 0);
        let invariance = (&views_vbd - views_vbd.mean_dim(0, true)).square().mean();
        let directions_sd = directions(facts.key, i64::from(self.directions), &views_vbd);
        let sigreg = self.epps_pulley(&views_vbd.matmul(&directions_sd.t()));
        let weight = self.sigreg_weight;
        Ok(Terms::sum([("invariance", 1.0 - weight, invariance), ("sigreg", weight, sigreg)]))
    }
}

impl LeJepa {
    /// The mean statistic of projections V × B × S.
    fn epps_pulley(&self, x_vbs: &Tensor) -> Tensor {
        let b = x_vbs.size_of(1) as f64;
        let last = i64::from(self.frequencies - 1);
        let spacing = self.frequency_limit / last as f64;
        let place_t = Tensor::arange(0, last + 1, Kind::F64, x_vbs.device());
        let at_t = &place_t * spacing;
        let gaussian_t = (at_t.square() * -0.5).exp();
        // The integrand is even: the positive half counts twice, and both ends of it half.
        let ends_t = place_t.eq(0) + place_t.eq(last);
        let weight_t = &gaussian_t * spacing * (2.0 - ends_t.to_kind(Kind::F64));
        let row = |numbers_t: &Tensor| numbers_t.to_kind(x_vbs.kind());
        let angles_vbst = x_vbs.unsqueeze(-1) * row(&at_t);
        let real_vst = angles_vbst.cos().mean_dim(1, false) - row(&gaussian_t);
        let imaginary_vst = angles_vbst.sin().mean_dim(1, false);
        let distance_vst = real_vst.square() + imaginary_vst.square();
        (distance_vst * row(&weight_t)).sum_dim(-1, false).mean() * b
    }
}

/// Unit vectors, uniform on the sphere, as wide as `like` and where it lies.
///
/// # Shapes
/// S × D.
fn directions(key: Key, count: i64, like: &Tensor) -> Tensor {
    let numbers_sd = key.purpose("directions").normal([count, like.size_of(-1)], like.device());
    as_wide(&numbers_sd, like).normalize(-1)
}
