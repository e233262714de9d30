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
    Device, Facts, Key, KeyedRng, Kind, LossDescription, Result, Tensor, Terms,
    nn::{MlpPlan, as_wide},
    projected::{OnProjections, terms},
};
use std::{f64::consts::TAU, ops::Range};

impl OnProjections for LeJepa {
    const NAME: &'static str = "lejepa";

    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
    }

    fn offers(&self) -> LossDescription {
        terms(["invariance", "sigreg"])
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
        let (device, b) = (x_vbs.device(), x_vbs.size_of(1) as f64);
        let last = self.frequencies - 1;
        let spacing = self.frequency_limit / f64::from(last);
        let at = |place: u32| f64::from(place) * spacing;
        let gaussian = |place| (-at(place).powi(2) / 2.0).exp();
        // The integrand is even: the positive half counts twice.
        let weight = |place| gaussian(place) * spacing * if place == 0 || place == last { 1.0 } else { 2.0 };
        let row = |value: &dyn Fn(u32) -> f64| {
            let numbers: Vec<f64> = (0..self.frequencies).map(value).collect();
            Tensor::from_slice(&numbers, [numbers.len() as i64], device).to_kind(x_vbs.kind())
        };
        let angles_vbst = x_vbs.unsqueeze(-1) * row(&at);
        let real_vst = angles_vbst.cos().mean_dim(1, false) - row(&gaussian);
        let imaginary_vst = angles_vbst.sin().mean_dim(1, false);
        let distance_vst = real_vst.square() + imaginary_vst.square();
        (distance_vst * row(&weight)).sum_dim(-1, false).mean() * b
    }
}

/// Unit vectors, uniform on the sphere, as wide as `like` and where it lies.
///
/// # Shapes
/// S × D.
fn directions(key: Key, count: i64, like: &Tensor) -> Tensor {
    let d = like.size_of(-1);
    let mut rng = key.purpose("directions").rng();
    let pairs = std::iter::repeat_with(|| normal_pair(&mut rng));
    let numbers: Vec<f64> = pairs.flatten().take((count * d) as usize).collect();
    let directions_sd = Tensor::from_slice(&numbers, [count, d], Device::Cpu).normalize(-1);
    as_wide(&directions_sd.to_kind(Kind::F32).to_device(like.device()), like)
}

/// Two normal numbers, by Box and Muller.
fn normal_pair(rng: &mut KeyedRng) -> [f64; 2] {
    let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
    let (sine, cosine) = (TAU * rng.unit()).sin_cos();
    [radius * cosine, radius * sine]
}
