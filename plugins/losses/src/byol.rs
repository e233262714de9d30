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
    mlp::{Mlp, MlpPlan},
    momentum_mlp::MomentumProjector,
    precision::{in_f32, mean_cosine, spread},
    representation::{Representation, two_views},
};
use infomax_sdk::{Facts, Features, Loss, LossDescription, LossInput, Momentum, NamedTensor, Result, Source, Terms};
use std::ops::Range;
use tch::Device;

/// BYOL's loss.
pub struct ByolLoss {
    representation: Representation,
    projector: MomentumProjector,
    predictor: Mlp,
}

fn projector(config: &Byol, channels: i64) -> MlpPlan {
    MlpPlan::new(channels, config.projector_hidden, config.projector_dim, config.projector_layers)
}

fn predictor(config: &Byol, dim: i64) -> MlpPlan {
    MlpPlan::predictor(dim, config.predictor_hidden, config.predictor_layers)
}

fn momentum(config: &Byol) -> Momentum {
    Momentum { start: config.momentum_start, end: config.momentum_end }
}

impl Loss for ByolLoss {
    type Config = Byol;

    fn describe(config: &Byol, input: &LossInput) -> Result<LossDescription> {
        two_views("byol", input)?;
        let representation = Representation::new(input)?;
        let both = [Source::Encoder, Source::MomentumEncoder];
        let projector = projector(config, representation.channels());
        Ok(LossDescription {
            needs: both.iter().flat_map(|&source| [0, 1].map(|view| representation.need(view, source))).collect(),
            momentum: Some(momentum(config)),
            terms: vec!["spread".to_owned()],
            parameter_count: projector.parameter_count() + predictor(config, projector.output).parameter_count(),
            min_batch_size: 2,
            ..LossDescription::default()
        })
    }

    fn create(config: &Byol, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        let representation = Representation::new(input)?;
        let plan = projector(config, representation.channels());
        Ok(Self {
            projector: MomentumProjector::new(&plan, momentum(config), device)?,
            predictor: Mlp::new(&predictor(config, plan.output), device)?,
            representation,
        })
    }

    fn forward(&self, features: &Features, _: &Facts, _: Range<i64>) -> Result<Terms> {
        let predicted = |view| -> Result<_> {
            let z_bd = self.projector.forward(&self.representation.of(features, view)?)?;
            Ok((self.predictor.forward(&z_bd)?, z_bd))
        };
        let target = |view| self.projector.slow_forward(&self.representation.momentum_of(features, view)?);
        let ((p0_bd, z0_bd), (p1_bd, _)) = (predicted(0)?, predicted(1)?);
        let (t0_bd, t1_bd) = (target(0)?, target(1)?);
        in_f32(|| {
            let cosines = mean_cosine(&p0_bd, &t1_bd)?.f_add(&mean_cosine(&p1_bd, &t0_bd)?)?;
            let total = cosines.f_multiply_scalar(-2.0)?.f_add_scalar(4.0)?;
            Ok(Terms { total, terms: vec![("spread".to_owned(), spread(&z0_bd)?)] })
        })
    }

    fn after_update(&mut self, _: &Features, facts: &Facts) -> Result<()> {
        self.projector.average(facts)
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        let mut list = self.projector.tensors();
        list.extend(self.predictor.parameters("predictor"));
        list
    }
}
