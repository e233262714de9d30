//! `vicreg`: views agree, every channel keeps its variance, no two channels say the same.
//!
//! λ·mean (z − z′)² + μ·½ Σ_views mean_d max(0, γ − √(Var z_d + ε)) + ν·Σ_views Σ_{i ≠ j} Cov(z)²_ij / D, variances and
//! covariances over the batch with n − 1.
//!
//! # Source
//! Bardes, Ponce, LeCun 2022, arXiv:2105.04906, algorithm 1 (which halves the variance term; equation 6 does not).
//!
//! # Shapes
//! B images · D numbers of the projection.

use crate::{
    config::VicReg, correlation::off_diagonal_squares, mlp::MlpPlan, precision::in_f32, projection::Projection,
};
use infomax_sdk::{Facts, Features, Loss, LossDescription, LossInput, NamedTensor, Result, Terms};
use std::ops::Range;
use tch::{Device, Tensor};

const EPS: f64 = 1e-4; // VICReg, section 4.1 and algorithm 1

const TERMS: [&str; 3] = ["invariance", "variance", "covariance"];

/// VICReg's loss.
pub struct VicRegLoss {
    config: VicReg,
    projection: Projection,
}

fn plan(config: &VicReg) -> impl Fn(i64) -> MlpPlan {
    |channels| MlpPlan::new(channels, config.projector_hidden, config.projector_dim, config.projector_layers)
}

impl Loss for VicRegLoss {
    type Config = VicReg;

    fn describe(config: &VicReg, input: &LossInput) -> Result<LossDescription> {
        let terms = TERMS.map(str::to_owned).to_vec();
        Ok(LossDescription { terms, ..Projection::describe("vicreg", input, plan(config))? })
    }

    fn create(config: &VicReg, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        Ok(Self { config: config.clone(), projection: Projection::new(input, plan(config), device)? })
    }

    fn forward(&self, features: &Features, _: &Facts, _: Range<i64>) -> Result<Terms> {
        let [one_bd, two_bd] = self.projection.of(features)?;
        in_f32(|| {
            let invariance = one_bd.f_sub(&two_bd)?.f_square()?.f_mean(None)?;
            let (variance_one, covariance_one) = self.regularity(&one_bd)?;
            let (variance_two, covariance_two) = self.regularity(&two_bd)?;
            let variance = variance_one.f_add(&variance_two)?.f_divide_scalar(2.0)?;
            let covariance = covariance_one.f_add(&covariance_two)?;
            let weights = [self.config.invariance_weight, self.config.variance_weight, self.config.covariance_weight];
            let values = [invariance, variance, covariance];
            let mut total = values[0].f_multiply_scalar(weights[0])?;
            for (value, weight) in values.iter().zip(weights).skip(1) {
                total = total.f_add(&value.f_multiply_scalar(weight)?)?;
            }
            let terms = TERMS.iter().zip(values).map(|(name, value)| ((*name).to_owned(), value)).collect();
            Ok(Terms { total: total.f_multiply_scalar(self.config.loss_scale)?, terms })
        })
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.projection.tensors()
    }
}

impl VicRegLoss {
    /// The hinge on the standard deviation and the squared covariances of one view.
    fn regularity(&self, z_bd: &Tensor) -> Result<(Tensor, Tensor)> {
        let (b, d) = z_bd.size2()?;
        let centred_bd = z_bd.f_sub(&z_bd.f_mean_dim(&[0i64][..], true, None)?)?;
        let variance_d =
            centred_bd.f_square()?.f_sum_dim_intlist(&[0i64][..], false, None)?.f_divide_scalar((b - 1) as f64)?;
        let deviation_d = variance_d.f_add_scalar(EPS)?.f_sqrt()?;
        let missing_d = deviation_d.f_neg()?.f_add_scalar(self.config.target_deviation)?.f_relu()?;
        let covariance_dd = centred_bd.f_transpose(0, 1)?.f_mm(&centred_bd)?.f_divide_scalar((b - 1) as f64)?;
        Ok((missing_d.f_mean(None)?, off_diagonal_squares(&covariance_dd)?.f_divide_scalar(d as f64)?))
    }
}
