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
    cosine::{crossed_cosines, spread},
};
use infomax_sdk::{
    Device, Facts, LossDescription, Module, NamedTensor, Result, Tags, Tensor, Terms,
    nn::{Mlp, MlpPlan},
    projected::terms,
    targets::{OnTargets, Online, Target},
};
use std::ops::Range;

impl OnTargets for SimSiam {
    const NAME: &'static str = "simsiam";
    /// The predictor.
    type Heads = Mlp;

    fn projector(&self, channels: i64) -> MlpPlan {
        let plan = MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers);
        MlpPlan { output_norm: true, bias_before_norm: false, ..plan }
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
        let loss = crossed_cosines(views, targets) * -0.5;
        Ok(Terms::new(loss).with("spread", spread(&views[0].projection)))
    }

    fn tensors(&self, predictor: &Mlp) -> Vec<NamedTensor> {
        let tags = Tags { lr_fixed: self.predictor_lr_fixed, ..Tags::default() };
        let tensors = predictor.tensors_below("predictor").into_iter();
        tensors.map(|named| NamedTensor { tags: tags.clone(), ..named }).collect()
    }
}

impl SimSiam {
    fn predictor(&self, dim: i64) -> MlpPlan {
        let plan = MlpPlan::predictor(dim, self.predictor_hidden, self.predictor_layers);
        MlpPlan { bias_before_norm: false, ..plan }
    }
}
