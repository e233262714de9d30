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
    mlp::{Mlp, MlpPlan},
    precision::in_f32,
    prototypes::{Prototypes, codes},
    representation::Representation,
};
use infomax_sdk::{Error, Facts, Features, Loss, LossDescription, LossInput, NamedTensor, Result, Source, Terms};
use std::ops::Range;
use tch::{Device, Tensor};

/// SwAV's loss.
pub struct SwAvLoss {
    config: SwAv,
    representation: Representation,
    projector: Mlp,
    prototypes: Prototypes,
    /// Whether each view gives codes.
    gives_codes: Vec<bool>,
}

fn projector(config: &SwAv, channels: i64) -> MlpPlan {
    MlpPlan::new(channels, config.projector_hidden, config.projector_dim, config.projector_layers)
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
        let plan = projector(config, representation.channels());
        Ok(LossDescription {
            needs: (0..views).map(|view| representation.need(view, Source::Encoder)).collect(),
            terms: vec!["prototypes_used".to_owned()],
            parameter_count: plan.parameter_count() + u64::from(config.prototypes) * plan.output as u64,
            min_batch_size: 2,
            ..LossDescription::default()
        })
    }

    fn create(config: &SwAv, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        let representation = Representation::new(input)?;
        let plan = projector(config, representation.channels());
        Ok(Self {
            projector: Mlp::new(&plan, device)?,
            prototypes: Prototypes::new(i64::from(config.prototypes), plan.output, device)?,
            gives_codes: input.views.iter().map(|view| view.group == input.views[0].group).collect(),
            config: config.clone(),
            representation,
        })
    }

    fn forward(&self, features: &Features, facts: &Facts, _: Range<i64>) -> Result<Terms> {
        let project = |view| self.projector.forward(&self.representation.of(features, view)?);
        let projections_bd: Vec<Tensor> = (0..self.gives_codes.len()).map(project).collect::<Result<_>>()?;
        let frozen = facts.step < self.config.freeze_prototypes_steps;
        in_f32(|| {
            let scores_bk: Vec<Tensor> =
                projections_bd.iter().map(|z_bd| self.prototypes.scores(z_bd, frozen)).collect::<Result<_>>()?;
            let log_shares =
                |scores_bk: &Tensor| scores_bk.f_divide_scalar(self.config.temperature)?.f_log_softmax(1, None);
            let predicted_bk: Vec<Tensor> = scores_bk.iter().map(log_shares).collect::<Result<_, _>>()?;
            let mut losses = Vec::new();
            for (view, scores_bk) in scores_bk.iter().enumerate().filter(|(view, _)| self.gives_codes[*view]) {
                let code_bk = codes(scores_bk, self.config.sinkhorn_epsilon, self.config.sinkhorn_iterations)?;
                for (_, predicted_bk) in predicted_bk.iter().enumerate().filter(|(other, _)| *other != view) {
                    let agreement_b = code_bk.f_mul(predicted_bk)?.f_sum_dim_intlist(&[1i64][..], false, None)?;
                    losses.push(agreement_b.f_mean(None)?.f_neg()?);
                }
            }
            let terms = vec![("prototypes_used".to_owned(), prototypes_used(&predicted_bk[0])?)];
            Ok(Terms { total: Tensor::f_stack(&losses, 0)?.f_mean(None)?, terms })
        })
    }

    fn before_step(&mut self, _: &Facts) -> Result<()> {
        self.prototypes.normalise()
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        let mut list = self.projector.parameters("projector");
        list.extend(self.prototypes.tensors());
        list
    }
}

/// e to the entropy of the mean assignment: K where all prototypes are used alike, 1 where one takes all.
fn prototypes_used(predicted_bk: &Tensor) -> Result<Tensor> {
    let mean_k = predicted_bk.f_detach()?.f_exp()?.f_mean_dim(&[0i64][..], false, None)?;
    Ok(mean_k.f_special_entr()?.f_sum(None)?.f_exp()?)
}
