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
    cosine::{mean_cosine, spread},
    momentum_mlp::MomentumProjector,
};
use infomax_sdk::{
    Device, Facts, Features, Loss, LossDescription, LossInput, Module, Momentum, NamedTensor, Representation, Result,
    Source, Terms,
    nn::{Mlp, MlpPlan},
    projected::terms,
    representation::two_views,
    without_autocast,
};
use std::ops::Range;

/// BYOL's loss.
pub struct ByolLoss {
    representation: Representation,
    projector: MomentumProjector,
    predictor: Mlp,
}

impl Byol {
    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
    }

    fn predictor(&self, dim: i64) -> MlpPlan {
        MlpPlan::predictor(dim, self.predictor_hidden, self.predictor_layers)
    }

    fn momentum(&self) -> Momentum {
        Momentum { start: self.momentum_start, end: self.momentum_end }
    }
}

impl Loss for ByolLoss {
    type Config = Byol;

    fn describe(config: &Byol, input: &LossInput) -> Result<LossDescription> {
        two_views("byol", input)?;
        let representation = Representation::new(input)?;
        let both = [Source::Encoder, Source::MomentumEncoder];
        let projector = config.projector(representation.channels());
        Ok(LossDescription {
            needs: both.iter().flat_map(|&source| [0, 1].map(|view| representation.need(view, source))).collect(),
            momentum: Some(config.momentum()),
            parameter_count: projector.parameter_count() + config.predictor(projector.output).parameter_count(),
            min_batch_size: 2,
            ..terms(["spread"])
        })
    }

    fn create(config: &Byol, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        let representation = Representation::new(input)?;
        let plan = config.projector(representation.channels());
        Ok(Self {
            projector: MomentumProjector::new(&plan, config.momentum(), device),
            predictor: Mlp::new(&config.predictor(plan.output), device),
            representation,
        })
    }

    fn forward(&self, features: &Features, _: &Facts, _: Range<i64>) -> Result<Terms> {
        let project = |view| Ok(self.projector.forward(&self.representation.of(features, view)?));
        let target = |view| Ok(self.projector.slow_forward(&self.representation.momentum_of(features, view)?));
        let (z0_bd, t0_bd, z1_bd, t1_bd) = (project(0)?, target(0)?, project(1)?, target(1)?);
        let (p0_bd, p1_bd) = (self.predictor.forward(&z0_bd), self.predictor.forward(&z1_bd));
        without_autocast(|| {
            let cosines = mean_cosine(&p0_bd, &t1_bd) + mean_cosine(&p1_bd, &t0_bd);
            Ok(Terms::new(cosines * -2.0 + 4.0).with("spread", spread(&z0_bd)))
        })
    }

    fn after_update(&mut self, _: &Features, facts: &Facts) -> Result<()> {
        self.projector.average(facts);
        Ok(())
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.projector.tensors_below("").into_iter().chain(self.predictor.tensors_below("predictor")).collect()
    }
}
