//! What the losses that predict share: cosines, and how far apart vectors lie.

use infomax_sdk::{
    Tensor,
    targets::{Online, Target},
};

/// The mean cosine of two lists of vectors, row by row.
///
/// # Shapes
/// Both B × D; out, a scalar.
#[track_caller]
pub fn mean_cosine(a_bd: &Tensor, b_bd: &Tensor) -> Tensor {
    (a_bd.normalize(-1) * b_bd.normalize(-1)).sum_dim(1, false).mean()
}

/// cos(p, z′) + cos(p′, z): what is predicted from each of two views with the other's target, the means over the batch.
#[track_caller]
pub fn crossed_cosines(views: &[Online], targets: &[Target]) -> Tensor {
    let cosine = |from: usize, to: usize| mean_cosine(&views[from].prediction, &targets[to].projection);
    cosine(0, 1) + cosine(1, 0)
}

/// Standard deviation over the batch of the normalised vectors, the mean over channels: 1/√D where they fill the sphere
/// evenly, 0 where they have collapsed.
///
/// # Source
/// Chen and He 2021, section 4.1.
#[track_caller]
pub fn spread(x_bd: &Tensor) -> Tensor {
    x_bd.detach().normalize(-1).var_dim(0, false, false).sqrt().mean()
}
