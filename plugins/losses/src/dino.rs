//! `dino`: a view predicts how the momentum encoder assigns another view of its image to prototypes.
//!
//! −Σ_k P_k·log softmax_k(s / τ), P = softmax((t − c) / τ′): s and t are the trained and the slow branch's scores, products of
//! normalised projections and normalised prototypes. Targets are the views in the group of view 0, and every other view
//! predicts each of them (multi-crop); the mean is over targets, predictions and the batch. After an update the centre c moves
//! towards the mean t that the step's loss saw, then slow copies are averaged. Against collapse c keeps one prototype from
//! taking all, τ′ < τ the assignment from being even.
//!
//! # Source
//! Caron et al. 2021, arXiv:2104.14294, algorithm 1, equations 1 to 4; the projector has GELUs and, as in the published code,
//! prototypes of length 1 that are frozen at first. Weights start as PyTorch draws a linear layer, not from a normal of 0.02.
//!
//! # Shapes
//! B images · D numbers of the projection · K prototypes.

use crate::{
    config::Dino,
    prototypes::{cross_entropy, prototypes_used},
};
use infomax_sdk::{
    Buffer, Device, Facts, Kind, LossDescription, LossInput, Momentum, Parameter, Result, Tensor, Terms, named,
    nn::{Activation, MlpPlan, as_wide, init, linear},
    no_grad,
    targets::{OnTargets, Online, Sides, Target},
};
use std::ops::Range;

/// Prototypes of both branches and the centre.
pub struct Heads {
    /// K × D each.
    prototypes: Parameter,
    slow: Buffer,
    /// K.
    centre: Buffer,
}

named!(Heads { prototypes as "prototypes.weight", slow as "momentum_prototypes.weight", centre });

impl OnTargets for Dino {
    const NAME: &'static str = "dino";
    type Heads = Heads;

    fn projector(&self, channels: i64) -> MlpPlan {
        let plan = MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers);
        MlpPlan { activation: Activation::Gelu, hidden_norm: self.projector_norm, ..plan }
    }

    fn momentum(&self) -> Option<Momentum> {
        Some(self.averaging())
    }

    fn sides(&self, input: &LossInput) -> Result<Sides> {
        Sides::multi_crop(Self::NAME, input)
    }

    fn offers(&self, dim: i64) -> LossDescription {
        LossDescription {
            parameter_count: u64::from(self.prototypes) * dim as u64,
            min_batch_size: if self.projector_norm { 2 } else { 1 },
            ..LossDescription::of_terms(["prototypes_used", "target_entropy"])
        }
    }

    fn heads(&self, dim: i64, device: Device) -> Heads {
        let count = i64::from(self.prototypes);
        let prototypes = Parameter::new(init::default(&[count, dim], device));
        let slow = Buffer::new(prototypes.detach().alias_copy());
        Heads { prototypes, slow, centre: Buffer::new(Tensor::zeros(count, Kind::F32, device)) }
    }

    fn loss(&self, heads: &Heads, views: &[Online], targets: &[Target], facts: &Facts, _: Range<i64>) -> Result<Terms> {
        let frozen = facts.step < self.freeze_prototypes_steps;
        let prototypes_kd = if frozen { heads.prototypes.detach() } else { heads.prototypes.clone() };
        let student = |view: &Online| scores(&view.projection, &prototypes_kd) / self.student_temperature;
        let predicted_bk: Vec<Tensor> = views.iter().map(|view| student(view).log_softmax(1)).collect();
        let teacher = |target: &Target| {
            let scores_bk = heads.slow_scores(target);
            let centre_k = as_wide(&heads.centre, &scores_bk);
            ((scores_bk - centre_k) / self.teacher_temperature_at(facts.step)).softmax(1)
        };
        let assigned_bk: Vec<Tensor> = targets.iter().map(teacher).collect();
        Ok(Terms::new(cross_entropy(views, &predicted_bk, targets, &assigned_bk))
            .with("prototypes_used", prototypes_used(&assigned_bk[0]))
            .with("target_entropy", assigned_bk[0].special_entr().sum_dim(1, false).mean()))
    }

    fn after_update(
        &self,
        heads: &mut Heads,
        targets: impl FnOnce() -> Result<Vec<Target>>,
        facts: &Facts,
    ) -> Result<()> {
        let scores: Vec<Tensor> = targets()?.iter().map(|target| heads.slow_scores(target)).collect();
        let mean_k = Tensor::stack(&scores, 0).mean_dim([0, 1], false);
        no_grad(|| heads.centre.lerp_(&mean_k.to_kind(heads.centre.kind()), 1.0 - self.centre_momentum));
        self.averaging().follow(&heads.slow, &heads.prototypes, facts);
        Ok(())
    }
}

impl Dino {
    fn averaging(&self) -> Momentum {
        Momentum { start: self.momentum_start, end: self.momentum_end }
    }

    fn teacher_temperature_at(&self, step: u64) -> f64 {
        let (start, end) = (self.teacher_temperature_start, self.teacher_temperature);
        let warmup_steps = self.teacher_temperature_warmup_steps;
        if step < warmup_steps { start + (end - start) * (step as f64 / warmup_steps as f64) } else { end }
    }
}

impl Heads {
    /// B × K, without gradient.
    fn slow_scores(&self, target: &Target) -> Tensor {
        no_grad(|| scores(&target.projection, &self.slow))
    }
}

/// Cosines of projections with prototypes, B × K.
#[track_caller]
fn scores(z_bd: &Tensor, prototypes_kd: &Tensor) -> Tensor {
    linear(&z_bd.normalize(-1), &as_wide(prototypes_kd, z_bd).normalize(-1), None)
}
