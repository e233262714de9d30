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
    mlp::{Mlp, MlpPlan},
    precision::{in_f32, mean_cosine, spread},
    projection::Projection,
};
use infomax_sdk::{Facts, Features, Loss, LossDescription, LossInput, NamedTensor, Result, Tags, Terms};
use std::ops::Range;
use tch::Device;

/// SimSiam's loss.
pub struct SimSiamLoss {
    projection: Projection,
    predictor: Mlp,
    predictor_lr_fixed: bool,
}

fn projector(config: &SimSiam) -> impl Fn(i64) -> MlpPlan {
    |channels| MlpPlan {
        output_norm: true,
        bias_before_norm: false,
        ..MlpPlan::new(channels, config.projector_hidden, config.projector_dim, config.projector_layers)
    }
}

fn predictor(config: &SimSiam) -> MlpPlan {
    let plan = MlpPlan::predictor(i64::from(config.projector_dim), config.predictor_hidden, config.predictor_layers);
    MlpPlan { bias_before_norm: false, ..plan }
}

impl Loss for SimSiamLoss {
    type Config = SimSiam;

    fn describe(config: &SimSiam, input: &LossInput) -> Result<LossDescription> {
        let description = Projection::describe("simsiam", input, projector(config))?;
        Ok(LossDescription {
            terms: vec!["spread".to_owned()],
            parameter_count: description.parameter_count + predictor(config).parameter_count(),
            ..description
        })
    }

    fn create(config: &SimSiam, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        Ok(Self {
            projection: Projection::new(input, projector(config), device)?,
            predictor: Mlp::new(&predictor(config), device)?,
            predictor_lr_fixed: config.predictor_lr_fixed,
        })
    }

    fn forward(&self, features: &Features, _: &Facts, _: Range<i64>) -> Result<Terms> {
        let [z0_bd, z1_bd] = self.projection.of(features)?;
        let (p0_bd, p1_bd) = (self.predictor.forward(&z0_bd)?, self.predictor.forward(&z1_bd)?);
        in_f32(|| {
            let cosines = mean_cosine(&p0_bd, &z1_bd.f_detach()?)?.f_add(&mean_cosine(&p1_bd, &z0_bd.f_detach()?)?)?;
            let terms = vec![("spread".to_owned(), spread(&z0_bd)?)];
            Ok(Terms { total: cosines.f_multiply_scalar(-0.5)?, terms })
        })
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        let tags = Tags { lr_fixed: self.predictor_lr_fixed, ..Tags::default() };
        let tagged = |named| NamedTensor { tags: tags.clone(), ..named };
        let mut list = self.projection.tensors();
        list.extend(self.predictor.parameters("predictor").into_iter().map(tagged));
        list
    }
}
