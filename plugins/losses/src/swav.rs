//! `swav`: a view predicts which prototypes another view of its image is assigned to.
//!
//! ℓ(z, q) = −Σ_k q_k·log softmax_k(z·c / T), q the code of another view. The views in the group of view 0 give codes and
//! every other view predicts each of them (multi-crop); the loss is the mean over codes, predictions and the batch.
//! The queue of projections that the paper adds for small batches is left out.
//!
//! # Source
//! Caron et al. 2020, arXiv:2006.09882, sections 3.1 and 3.2; prototypes are unit vectors and are frozen at first, as in the
//! published code.
//!
//! # Shapes
//! B images · D numbers of the projection · K prototypes.

use crate::{
    config::SwAv,
    prototypes::{Prototypes, codes, cross_entropy, prototypes_used},
};
use infomax_sdk::{
    Device, Facts, LossDescription, LossInput, Result, Tensor, Terms,
    nn::MlpPlan,
    targets::{OnTargets, Online, Sides, Target},
};
use std::ops::Range;

impl OnTargets for SwAv {
    const NAME: &'static str = "swav";
    type Heads = Prototypes;

    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
    }

    fn sides(&self, input: &LossInput) -> Result<Sides> {
        Sides::multi_crop(Self::NAME, input)
    }

    fn offers(&self, dim: i64) -> LossDescription {
        let parameter_count = u64::from(self.prototypes) * dim as u64;
        LossDescription { parameter_count, ..LossDescription::of_terms(["prototypes_used"]) }
    }

    fn heads(&self, dim: i64, device: Device) -> Prototypes {
        Prototypes::new(i64::from(self.prototypes), dim, device)
    }

    fn before_step(&self, prototypes: &mut Prototypes) {
        prototypes.normalise();
    }

    fn loss(&self, c: &Prototypes, views: &[Online], others: &[Target], facts: &Facts, _: Range<i64>) -> Result<Terms> {
        let frozen = facts.step < self.freeze_prototypes_steps;
        let predict = |z: &Online| (c.scores(&z.projection, frozen) / self.temperature).log_softmax(1);
        let predicted_bk: Vec<Tensor> = views.iter().map(predict).collect();
        let code =
            |other: &Target| codes(&c.scores(&other.projection, true), self.sinkhorn_epsilon, self.sinkhorn_iterations);
        let codes_bk: Vec<Tensor> = others.iter().map(code).collect();
        let used = prototypes_used(&predicted_bk[0].detach().exp());
        Ok(Terms::new(cross_entropy(views, &predicted_bk, others, &codes_bk)).with("prototypes_used", used))
    }
}
