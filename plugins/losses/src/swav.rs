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
    prototypes::{Prototypes, codes},
};
use infomax_sdk::{
    Device, Error, Facts, Features, Loss, LossDescription, LossInput, Module, NamedTensor, Representation, Result,
    Tensor, Terms, named,
    nn::{Mlp, MlpPlan},
    projected::terms,
    without_autocast,
};
use std::ops::Range;

/// SwAV's loss.
pub struct SwAvLoss {
    config: SwAv,
    representation: Representation,
    projector: Mlp,
    prototypes: Prototypes,
    /// Whether each view gives codes.
    gives_codes: Vec<bool>,
}

named!(SwAvLoss { projector, prototypes });

impl SwAv {
    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
    }
}

impl Loss for SwAvLoss {
    type Config = SwAv;

    fn describe(config: &SwAv, input: &LossInput) -> Result<LossDescription> {
        let views = input.views.len();
        if views < 2 {
            return Err(Error::config(format!(
                "loss `swav` compares at least 2 views, the augmentation makes {views}"
            ))
            .hint("choose another `augmentation.name` or `augmentation.config`"));
        }
        let representation = Representation::new(input)?;
        let plan = config.projector(representation.channels());
        Ok(LossDescription {
            needs: representation.needs(views),
            parameter_count: plan.parameter_count() + u64::from(config.prototypes) * plan.output as u64,
            min_batch_size: 2,
            ..terms(["prototypes_used"])
        })
    }

    fn create(config: &SwAv, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        let representation = Representation::new(input)?;
        let plan = config.projector(representation.channels());
        Ok(Self {
            projector: Mlp::new(&plan, device),
            prototypes: Prototypes::new(i64::from(config.prototypes), plan.output, device),
            gives_codes: input.views.iter().map(|view| view.group == input.views[0].group).collect(),
            config: config.clone(),
            representation,
        })
    }

    fn forward(&self, features: &Features, facts: &Facts, _: Range<i64>) -> Result<Terms> {
        let project = |view| Ok(self.projector.forward(&self.representation.of(features, view)?));
        let projections_bd: Vec<Tensor> = (0..self.gives_codes.len()).map(project).collect::<Result<_>>()?;
        let frozen = facts.step < self.config.freeze_prototypes_steps;
        without_autocast(|| {
            let mut scores_bk = Vec::new();
            for z_bd in &projections_bd {
                scores_bk.push(self.prototypes.scores(z_bd, frozen));
            }
            let predicted_bk: Vec<Tensor> =
                scores_bk.iter().map(|scores_bk| (scores_bk / self.config.temperature).log_softmax(1)).collect();
            let mut losses = Vec::new();
            for (view, scores_bk) in scores_bk.iter().enumerate().filter(|(view, _)| self.gives_codes[*view]) {
                let code_bk = codes(scores_bk, self.config.sinkhorn_epsilon, self.config.sinkhorn_iterations);
                for (_, predicted_bk) in predicted_bk.iter().enumerate().filter(|(other, _)| *other != view) {
                    losses.push(-(&code_bk * predicted_bk).sum_dim(1, false).mean());
                }
            }
            let total = Tensor::stack(&losses, 0).mean();
            Ok(Terms::new(total).with("prototypes_used", prototypes_used(&predicted_bk[0])))
        })
    }

    fn before_step(&mut self, _: &Facts) -> Result<()> {
        self.prototypes.normalise();
        Ok(())
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.tensors_below("")
    }
}

/// e to the entropy of the mean assignment: K where all prototypes are used alike, 1 where one takes all.
fn prototypes_used(predicted_bk: &Tensor) -> Tensor {
    predicted_bk.detach().exp().mean_dim(0, false).special_entr().sum().exp()
}
