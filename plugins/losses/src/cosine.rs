//! What the losses that predict share: cosines, and how far apart vectors lie.

use infomax_sdk::Tensor;

/// The mean cosine of two lists of vectors, row by row.
///
/// # Shapes
/// Both B × D; out, a scalar.
#[track_caller]
pub fn mean_cosine(a_bd: &Tensor, b_bd: &Tensor) -> Tensor {
    (a_bd.normalize(-1) * b_bd.normalize(-1)).sum_dim(1, false).mean()
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
