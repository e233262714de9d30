//! `byol`: from one view, predict what the momentum encoder's projector makes of the other.
//!
//! ‖p̄ − z̄′‖² = 2 − 2·cos(p, z′) with p the prediction of the trained branch and z′ the momentum branch's projection,
//! which has no gradient; both directions are added, the mean is over the batch.
//!
//! # Source
//! Grill et al. 2020, arXiv:2006.07733, equation 2 and section 3.1; the momentum goes to its end by a cosine.
//!
//! # Shapes
//! B images · D numbers of the projection.

use crate::{
    config::Byol,
    cosine::{crossed_cosines, spread},
};
use infomax_sdk::{
    Device, Facts, LossDescription, Module, Momentum, NamedTensor, Result, Tensor, Terms,
    nn::{Mlp, MlpPlan},
    projected::terms,
    targets::{OnTargets, Online, Target},
};
use std::ops::Range;

impl OnTargets for Byol {
    const NAME: &'static str = "byol";
    /// The predictor.
    type Heads = Mlp;

    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
    }

    fn momentum(&self) -> Option<Momentum> {
        Some(Momentum { start: self.momentum_start, end: self.momentum_end })
    }

    fn offers(&self, dim: i64) -> LossDescription {
        LossDescription { parameter_count: self.predictor(dim).parameter_count(), ..terms(["spread"]) }
    }

    fn heads(&self, dim: i64, device: Device) -> Mlp {
        Mlp::new(&self.predictor(dim), device)
    }

    fn predict(&self, predictor: &Mlp, z_bd: &Tensor) -> Tensor {
        predictor.forward(z_bd)
    }

    fn loss(&self, _: &Mlp, views: &[Online], targets: &[Target], _: &Facts, _: Range<i64>) -> Result<Terms> {
        let loss = crossed_cosines(views, targets) * -2.0 + 4.0;
        Ok(Terms::new(loss).with("spread", spread(&views[0].projection)))
    }

    fn tensors(&self, predictor: &Mlp) -> Vec<NamedTensor> {
        predictor.tensors_below("predictor")
    }
}

impl Byol {
    fn predictor(&self, dim: i64) -> MlpPlan {
        MlpPlan::predictor(dim, self.predictor_hidden, self.predictor_layers)
    }
}
