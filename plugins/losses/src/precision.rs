//! Where numbers must not be rounded below f32, whatever precision the host runs in.

use infomax_sdk::{Result, without_autocast};
use tch::{Kind, Tensor};

/// The smallest norm that is divided by (`torch.nn.functional.normalize`).
const SMALLEST_NORM: f64 = 1e-12;

/// The same numbers in f32, or in f64 where they are that already.
pub fn at_least_f32(x: &Tensor) -> Result<Tensor> {
    let kind = if x.kind() == Kind::Double { Kind::Double } else { Kind::Float };
    Ok(x.f_to_kind(kind)?)
}

/// Runs `objective` without autocast, so that products of f32 tensors stay in f32. Heads are left under autocast.
pub fn in_f32<T>(objective: impl FnOnce() -> Result<T>) -> Result<T> {
    without_autocast(objective)
}

/// Each row divided by its 2-norm; a row of zeros stays one, with a finite gradient.
pub fn normalised(x_nd: &Tensor) -> Result<Tensor> {
    let norm_n1 = x_nd.f_norm_scalaropt_dim(2.0, &[-1i64][..], true)?.f_clamp_min(SMALLEST_NORM)?;
    Ok(x_nd.f_div(&norm_n1)?)
}

/// The mean cosine of two lists of vectors, row by row.
///
/// # Shapes
/// Both B × D; out, a scalar.
pub fn mean_cosine(a_bd: &Tensor, b_bd: &Tensor) -> Result<Tensor> {
    let products = normalised(a_bd)?.f_mul(&normalised(b_bd)?)?;
    Ok(products.f_sum_dim_intlist(&[1i64][..], false, None)?.f_mean(None)?)
}

/// Standard deviation over the batch of the normalised vectors, the mean over channels: 1/√D where they fill the sphere
/// evenly, 0 where they have collapsed.
///
/// # Source
/// Chen and He 2021, section 4.1.
pub fn spread(x_bd: &Tensor) -> Result<Tensor> {
    let x_bd = normalised(&x_bd.f_detach()?)?;
    Ok(x_bd.f_var_dim(&[0i64][..], false, false)?.f_sqrt()?.f_mean(None)?)
}
