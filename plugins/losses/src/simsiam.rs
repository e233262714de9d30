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
    Device, Facts, LossDescription, Result, Tags, Terms,
    nn::MlpPlan,
    targets::{OnTargets, Online, Target},
};
use std::ops::Range;

impl OnTargets for SimSiam {
    const NAME: &'static str = "simsiam";
    type Heads = ();

    fn projector(&self, channels: i64) -> MlpPlan {
        let plan = MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers);
        MlpPlan { output_norm: true, bias_before_norm: false, ..plan }
    }

    fn predictor(&self, dim: i64) -> Option<MlpPlan> {
        let plan = MlpPlan::predictor(dim, self.predictor_hidden, self.predictor_layers);
        Some(MlpPlan { bias_before_norm: false, ..plan })
    }

    fn predictor_tags(&self) -> Tags {
        Tags { lr_fixed: self.predictor_lr_fixed, ..Tags::default() }
    }

    fn offers(&self, _: i64) -> LossDescription {
        LossDescription::of_terms(["spread"])
    }

    fn heads(&self, _: i64, _: Device) {}

    fn loss(&self, (): &(), views: &[Online], targets: &[Target], _: &Facts, _: Range<i64>) -> Result<Terms> {
        let loss = crossed_cosines(views, targets) * -0.5;
        Ok(Terms::new(loss).with("spread", spread(&views[0].projection)))
    }
}
