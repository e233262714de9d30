//! `w-mse`: views agree in a whitened space, which leaves no room to collapse.
//!
//! 2 − 2·mean cos(w, w′), with w = L⁻¹·(z − mean z) and L·Lᵀ = (1 − ε)·Cov(z) + ε·1 over a part of the batch, covariances with
//! n − 1. Images are dealt out to parts by the step's key, the same parts for both views, several times over where asked; what
//! does not fill a part of its own makes the others larger. Whitening is in f64: it divides by what varies least.
//!
//! # Source
//! Ermolov, Siarohin, Sangineto, Sebe 2021, arXiv:2007.06346, equations 3 to 6 and section 3.2; ε is 0 there.
//!
//! # Shapes
//! B images · N images of a part · D numbers of the projection.

use crate::{
    config::WMse,
    cosine::{mean_cosine, spread},
};
use infomax_sdk::{
    Device, Error, Facts, Kind, LossDescription, Result, Tensor, Terms, nn::MlpPlan, projected::OnProjections,
};
use std::ops::Range;

impl OnProjections for WMse {
    const NAME: &'static str = "w-mse";

    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
    }

    /// A batch below a part is refused: by fewer images than twice the channels it is noise that is whitened.
    fn offers(&self) -> LossDescription {
        LossDescription { min_batch_size: u64::from(self.whitening_batch), ..LossDescription::of_terms(["spread"]) }
    }

    fn check(&self, d: i64) -> Result<()> {
        let n = i64::from(self.whitening_batch);
        if n < 2 * d {
            return Err(Error::config(format!(
                "loss `w-mse` whitens {d} channels by `whitening_batch` = {n} images, which must be twice as many"
            ))
            .hint(format!("set `whitening_batch` to at least {}, or a smaller `projector_dim`", 2 * d)));
        }
        Ok(())
    }

    fn loss(&self, views_bd: [&Tensor; 2], facts: &Facts, _: Range<i64>) -> Result<Terms> {
        let b = views_bd[0].size_of(0);
        let wide_bd = views_bd.map(|z_bd| z_bd.to_kind(Kind::F64));
        let mut cosines = Vec::new();
        for part_n in self.parts(b, facts, views_bd[0].device()) {
            let share = part_n.size_of(0) as f64 / b as f64;
            let [one_nd, two_nd] =
                [0, 1].map(|view| whitened(&wide_bd[view].index_select(0, &part_n), self.whitening_epsilon));
            cosines.push(mean_cosine(&one_nd, &two_nd) * share);
        }
        let rounds = self.rounds(b) as f64;
        let total = Tensor::stack(&cosines, 0).sum() * (-2.0 / rounds) + 2.0;
        Ok(Terms::new(total.to_kind(views_bd[0].kind())).with("spread", spread(views_bd[0])))
    }
}

impl WMse {
    /// How many parts a batch gives; one of a smaller batch, which training has not, is that batch.
    fn parts_of(&self, b: i64) -> i64 {
        (b / i64::from(self.whitening_batch)).max(1)
    }

    /// How often images are dealt out; a single part is the same each time.
    fn rounds(&self, b: i64) -> u32 {
        if self.parts_of(b) == 1 { 1 } else { self.whitening_rounds }
    }

    /// The images of each part of each round.
    fn parts(&self, b: i64, facts: &Facts, device: Device) -> Vec<Tensor> {
        let count = self.parts_of(b);
        let mut parts = Vec::new();
        for round in 0..self.rounds(b) {
            let order_b = match count {
                1 => Tensor::arange(0, b, Kind::I64, device),
                _ => facts.key.purpose("whitening").fold(u64::from(round)).permutation(b, device),
            };
            let border = |part: i64| part * b / count;
            parts.extend((0..count).map(|part| order_b.narrow(0, border(part), border(part + 1) - border(part))));
        }
        parts
    }
}

/// Vectors whose mean is 0 and whose covariance is the identity, as far as ε lets it.
///
/// # Shapes
/// From N × D to N × D.
#[track_caller]
fn whitened(z_nd: &Tensor, epsilon: f64) -> Tensor {
    let [n, d] = z_nd.dims();
    let centred_nd = z_nd - z_nd.mean_dim(0, true);
    let covariance_dd = centred_nd.t().mm(&centred_nd) / (n - 1) as f64;
    let shrunk_dd = covariance_dd * (1.0 - epsilon) + Tensor::eye(d, d, z_nd.kind(), z_nd.device()) * epsilon;
    let [factor_dd, failed] = shrunk_dd.linalg_cholesky_ex();
    // No factor, no number: the step is skipped, and nobody waits for a GPU to know.
    let factor_dd = factor_dd.masked_fill(&failed.ne(0), f64::NAN);
    factor_dd.linalg_solve_triangular(&centred_nd.t(), false).t()
}
