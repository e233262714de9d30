//! `mmcr`: the centroids of images span as much as they can, which needs views that agree and images that differ.
//!
//! −‖C‖_* + λ·mean_b ‖Z_b‖_*, with C the centroids of each image's normalised views, Z_b an image's normalised views and ‖·‖_*
//! the sum of singular values. The second term is left out where λ is 0, as published for most data.
//!
//! # Source
//! Yerxa, Kuang, Simoncelli, Chung 2023, arXiv:2303.03307, section 2.2.
//!
//! # Shapes
//! B images · D numbers of the projection.

use crate::config::Mmcr;
use infomax_sdk::{
    Facts, Kind, LossDescription, Result, Tensor, Terms, nn::MlpPlan, no_grad, projected::OnProjections,
};
use std::{f64::consts::FRAC_1_SQRT_2, ops::Range};

impl OnProjections for Mmcr {
    const NAME: &'static str = "mmcr";

    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
    }

    fn offers(&self) -> LossDescription {
        if self.image_weight > 0.0 {
            LossDescription::of_terms(["centroids", "images"])
        } else {
            LossDescription::of_terms(["centroids"])
        }
    }

    fn loss(&self, views_bd: [&Tensor; 2], _: &Facts, _: Range<i64>) -> Result<Terms> {
        let [one_bd, two_bd] = views_bd.map(|z_bd| z_bd.normalize(-1));
        let (sum_bd, difference_bd) = (&one_bd + &two_bd, one_bd - two_bd);
        let centroids = nuclear_norm(&(&sum_bd * 0.5));
        if self.image_weight == 0.0 {
            return Ok(Terms::sum([("centroids", -1.0, centroids)]));
        }
        // Two unit vectors a and b, as rows, have the singular values |a + b| / √2 and |a − b| / √2.
        let length = |x_bd: &Tensor| x_bd.linalg_norm(2.0, 1, false);
        let images = (length(&sum_bd) + length(&difference_bd)).mean() * FRAC_1_SQRT_2;
        Ok(Terms::sum([("centroids", -1.0, centroids), ("images", self.image_weight, images)]))
    }
}

/// The sum of singular values: ⟨U, X⟩ with U the nearest matrix with orthonormal columns, which is its gradient too.
fn nuclear_norm(x_bd: &Tensor) -> Tensor {
    let polar_bd = no_grad(|| polar_factor(&x_bd.to_kind(Kind::F64))).to_kind(x_bd.kind());
    (x_bd * polar_bd).sum()
}

/// The orthonormal factor of X = U·H, by the iteration of Nakatsukasa, Bai, Gygi 2010 (QDWH): a few products and factors of
/// I + c·XᵀX, for which a GPU is not waited, where a decomposition into singular values would be. Singular values below
/// [`LEAST`] of the whole are left out in part, which changes the sum by less than they are.
fn polar_factor(x_bd: &Tensor) -> Tensor {
    let [b, d] = x_bd.dims();
    if b < d {
        return polar_factor(&x_bd.t()).t();
    }
    const LEAST: f64 = 1e-6;
    let identity_dd = Tensor::eye(d, d, Kind::F64, x_bd.device());
    let mut x_bd = x_bd / x_bd.square().sum().sqrt().clamp_min(f64::MIN_POSITIVE);
    let mut least = LEAST;
    while least < 1.0 - 1e-12 {
        let square = least * least;
        let gamma = (4.0 * (1.0 - square) / (square * square)).cbrt();
        let root = (1.0 + gamma).sqrt();
        let a = root + 0.5 * (8.0 - 4.0 * gamma + 8.0 * (2.0 - square) / (square * root)).sqrt();
        let b = (a - 1.0).powi(2) / 4.0;
        let c = a + b - 1.0;
        let [factor_dd, _] = (x_bd.t().mm(&x_bd) * c + &identity_dd).linalg_cholesky_ex();
        let half_db = factor_dd.linalg_solve_triangular(&x_bd.t(), false);
        let solved_db = factor_dd.t().linalg_solve_triangular(&half_db, true);
        x_bd = x_bd * (b / c) + solved_db.t() * (a - b / c);
        least = (least * (a + b * square) / (1.0 + c * square)).min(1.0);
    }
    x_bd
}
