//! `barlow-twins`: the cross-correlation of the views' channels becomes the identity.
//!
//! C = ẑᵀẑ′ / B with ẑ normalised over the batch; loss Σ_i (1 − C_ii)² + λ·Σ_{i ≠ j} C_ij².
//!
//! # Source
//! Zbontar, Jing, Misra, LeCun, Deny 2021, arXiv:2103.03230, equations 1 and 2; the normalisation is a BatchNorm without
//! scale and shift, as in the published code.
//!
//! # Shapes
//! B images · D numbers of the projection.

use crate::{
    config::BarlowTwins,
    correlation::off_diagonal_squares,
    mlp::{MlpPlan, batch_norm},
    precision::in_f32,
    projection::Projection,
};
use infomax_sdk::{Facts, Features, Loss, LossDescription, LossInput, NamedTensor, Result, Terms};
use std::ops::Range;
use tch::Device;

const TERMS: [&str; 2] = ["invariance", "redundancy"];

/// Barlow Twins' loss.
pub struct BarlowTwinsLoss {
    config: BarlowTwins,
    projection: Projection,
}

fn plan(config: &BarlowTwins) -> impl Fn(i64) -> MlpPlan {
    |channels| MlpPlan::new(channels, config.projector_hidden, config.projector_dim, config.projector_layers)
}

impl Loss for BarlowTwinsLoss {
    type Config = BarlowTwins;

    fn describe(config: &BarlowTwins, input: &LossInput) -> Result<LossDescription> {
        let terms = TERMS.map(str::to_owned).to_vec();
        Ok(LossDescription { terms, ..Projection::describe("barlow-twins", input, plan(config))? })
    }

    fn create(config: &BarlowTwins, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        Ok(Self { config: config.clone(), projection: Projection::new(input, plan(config), device)? })
    }

    fn forward(&self, features: &Features, _: &Facts, _: Range<i64>) -> Result<Terms> {
        let [one_bd, two_bd] = self.projection.of(features)?;
        in_f32(|| {
            let b = one_bd.size()[0];
            let (one_bd, two_bd) = (batch_norm(&one_bd, None)?, batch_norm(&two_bd, None)?);
            let correlation_dd = one_bd.f_transpose(0, 1)?.f_mm(&two_bd)?.f_divide_scalar(b as f64)?;
            let own_d = correlation_dd.f_diagonal(0, 0, 1)?;
            let invariance = own_d.f_sub_scalar(1.0)?.f_square()?.f_sum(None)?;
            let redundancy = off_diagonal_squares(&correlation_dd)?;
            let total = invariance.f_add(&redundancy.f_multiply_scalar(self.config.redundancy_weight)?)?;
            let terms = TERMS.map(str::to_owned).into_iter().zip([invariance, redundancy]).collect();
            Ok(Terms { total: total.f_multiply_scalar(self.config.loss_scale)?, terms })
        })
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.projection.tensors()
    }
}
