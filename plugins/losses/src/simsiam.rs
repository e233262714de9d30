//! `simsiam`: from one view, predict the other's projection, which has no gradient.
//!
//! −½·cos(p, sg(z′)) − ½·cos(p′, sg(z)), the mean over the batch; p the prediction from z.
//!
//! # Source
//! Chen and He 2021, arXiv:2011.10566, equations 1 to 4 and section 4; layers in front of a BatchNorm have no bias, and the
//! projector ends with a BatchNorm without scale and shift, as in the published code.
//!
//! # Shapes
//! B images · D numbers of the projection.

use crate::{
    config::SimSiam,
    cosine::{mean_cosine, spread},
};
use infomax_sdk::{
    Device, Facts, Features, Loss, LossDescription, LossInput, Module, NamedTensor, Representation, Result, Tags,
    Terms,
    nn::{Mlp, MlpPlan},
    projected::{Projection, terms},
    representation::two_views,
    without_autocast,
};
use std::ops::Range;

/// SimSiam's loss.
pub struct SimSiamLoss {
    projection: Projection,
    predictor: Mlp,
    predictor_lr_fixed: bool,
}

impl SimSiam {
    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan {
            output_norm: true,
            bias_before_norm: false,
            ..MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
        }
    }

    fn predictor(&self) -> MlpPlan {
        let plan = MlpPlan::predictor(i64::from(self.projector_dim), self.predictor_hidden, self.predictor_layers);
        MlpPlan { bias_before_norm: false, ..plan }
    }
}

impl Loss for SimSiamLoss {
    type Config = SimSiam;

    fn describe(config: &SimSiam, input: &LossInput) -> Result<LossDescription> {
        two_views("simsiam", input)?;
        let representation = Representation::new(input)?;
        let projector = config.projector(representation.channels());
        Ok(LossDescription {
            needs: representation.needs(2),
            parameter_count: projector.parameter_count() + config.predictor().parameter_count(),
            min_batch_size: 2,
            ..terms(["spread"])
        })
    }

    fn create(config: &SimSiam, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        Ok(Self {
            projection: Projection::new(input, |channels| config.projector(channels), device)?,
            predictor: Mlp::new(&config.predictor(), device),
            predictor_lr_fixed: config.predictor_lr_fixed,
        })
    }

    fn forward(&self, features: &Features, _: &Facts, _: Range<i64>) -> Result<Terms> {
        let [z0_bd, z1_bd] = self.projection.of(features)?;
        let (p0_bd, p1_bd) = (self.predictor.forward(&z0_bd), self.predictor.forward(&z1_bd));
        without_autocast(|| {
            let cosines = mean_cosine(&p0_bd, &z1_bd.detach()) + mean_cosine(&p1_bd, &z0_bd.detach());
            Ok(Terms::new(cosines * -0.5).with("spread", spread(&z0_bd)))
        })
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        let tags = Tags { lr_fixed: self.predictor_lr_fixed, ..Tags::default() };
        let predictor = self.predictor.tensors_below("predictor");
        let tagged = predictor.into_iter().map(|named| NamedTensor { tags: tags.clone(), ..named });
        self.projection.tensors_below("").into_iter().chain(tagged).collect()
    }
}
