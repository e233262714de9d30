//! `align-uniform`: views of an image lie close together, all images spread evenly over the sphere.
//!
//! mean ‖x − y‖^α and, as the mean of both views, log of the mean over pairs i < j of exp(−t·‖x_i − x_j‖²), for normalised
//! projections x and y; the loss is their weighted sum. A logarithm of a mean does not split into rows.
//!
//! # Source
//! Wang and Isola 2020, arXiv:2005.10242, section 4.1 and figure 5, whose code averages the views.
//!
//! # Shapes
//! B images · D numbers of the projection.

use crate::{
    config::AlignUniform,
    mlp::MlpPlan,
    precision::{in_f32, normalised},
    projection::Projection,
};
use infomax_sdk::{Facts, Features, Loss, LossDescription, LossInput, NamedTensor, Result, Terms};
use std::ops::Range;
use tch::{Device, Kind, Tensor};

const TERMS: [&str; 2] = ["alignment", "uniformity"];

/// Alignment and uniformity.
pub struct AlignUniformLoss {
    config: AlignUniform,
    projection: Projection,
}

fn plan(config: &AlignUniform) -> impl Fn(i64) -> MlpPlan {
    |channels| MlpPlan {
        hidden_norm: config.projector_norm,
        ..MlpPlan::new(channels, config.projector_hidden, config.projector_dim, config.projector_layers)
    }
}

impl Loss for AlignUniformLoss {
    type Config = AlignUniform;

    fn describe(config: &AlignUniform, input: &LossInput) -> Result<LossDescription> {
        let terms = TERMS.map(str::to_owned).to_vec();
        Ok(LossDescription { terms, ..Projection::describe("align-uniform", input, plan(config))? })
    }

    fn create(config: &AlignUniform, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        Ok(Self { config: config.clone(), projection: Projection::new(input, plan(config), device)? })
    }

    fn forward(&self, features: &Features, _: &Facts, _: Range<i64>) -> Result<Terms> {
        let [one_bd, two_bd] = self.projection.of(features)?;
        in_f32(|| {
            let (one_bd, two_bd) = (normalised(&one_bd)?, normalised(&two_bd)?);
            let distance_b = one_bd.f_sub(&two_bd)?.f_norm_scalaropt_dim(2.0, &[1i64][..], false)?;
            let alignment = distance_b.f_pow_tensor_scalar(self.config.align_power)?.f_mean(None)?;
            let uniformity = self.uniformity(&one_bd)?.f_add(&self.uniformity(&two_bd)?)?.f_divide_scalar(2.0)?;
            let total = alignment
                .f_multiply_scalar(self.config.align_weight)?
                .f_add(&uniformity.f_multiply_scalar(self.config.uniform_weight)?)?;
            Ok(Terms { total, terms: TERMS.map(str::to_owned).into_iter().zip([alignment, uniformity]).collect() })
        })
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.projection.tensors()
    }
}

impl AlignUniformLoss {
    /// The logarithm of the mean Gaussian potential over pairs of one view.
    fn uniformity(&self, x_bd: &Tensor) -> Result<Tensor> {
        let b = x_bd.size()[0];
        let norm_b1 = x_bd.f_square()?.f_sum_dim_intlist(&[1i64][..], true, None)?;
        let products_bb = x_bd.f_mm(&x_bd.f_transpose(0, 1)?)?;
        let distance_bb = norm_b1.f_add(&norm_b1.f_transpose(0, 1)?)?.f_sub(&products_bb.f_multiply_scalar(2.0)?)?;
        let repeated_bb = Tensor::f_ones([b, b], (Kind::Bool, x_bd.device()))?.f_tril(0)?;
        let potential_bb = distance_bb
            .f_multiply_scalar(-self.config.uniform_sharpness)?
            .f_masked_fill(&repeated_bb, f64::NEG_INFINITY)?;
        let pairs = (b * (b - 1) / 2) as f64;
        Ok(potential_bb.f_logsumexp(&[0i64, 1][..], false)?.f_sub_scalar(pairs.ln())?)
    }
}
