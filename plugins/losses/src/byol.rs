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
    Device, Facts, LossDescription, Momentum, Result, Terms,
    nn::MlpPlan,
    targets::{OnTargets, Online, Target},
};
use std::ops::Range;

impl OnTargets for Byol {
    const NAME: &'static str = "byol";
    type Heads = ();

    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
    }

    fn predictor(&self, dim: i64) -> Option<MlpPlan> {
        Some(MlpPlan::predictor(dim, self.predictor_hidden, self.predictor_layers))
    }

    fn momentum(&self) -> Option<Momentum> {
        Some(Momentum { start: self.momentum_start, end: self.momentum_end })
    }

    fn offers(&self, _: i64) -> LossDescription {
        LossDescription::of_terms(["spread"])
    }

    fn heads(&self, _: i64, _: Device) {}

    fn loss(&self, (): &(), views: &[Online], targets: &[Target], _: &Facts, _: Range<i64>) -> Result<Terms> {
        let loss = crossed_cosines(views, targets) * -2.0 + 4.0;
        Ok(Terms::new(loss).with("spread", spread(&views[0].projection)))
    }
}
