//! The two directions in which features vary most (PCA).
//!
//! Shapes: N images · D channels.

use tch::{Kind, TchError, Tensor};

/// N × 2, and the share of the variance that each direction holds.
///
/// # Errors
/// libtorch's.
pub fn plane(x_nd: &Tensor) -> Result<(Tensor, [f64; 2]), TchError> {
    let x = x_nd.f_to_kind(Kind::Double)?;
    let centred = x.f_sub(&x.f_mean_dim(&[0i64][..], true, Kind::Double)?)?;
    let (energies, directions) = centred.f_transpose(0, 1)?.f_matmul(&centred)?.f_linalg_eigh("L")?;
    let d = energies.size()[0];
    let total = energies.f_clamp_min(0.0)?.f_sum(Kind::Double)?.f_double_value(&[])?.max(f64::MIN_POSITIVE);
    let mut columns = Vec::new();
    let mut shares = [0.0; 2];
    for (i, share) in shares.iter_mut().enumerate() {
        let at = (d - 1 - i as i64).max(0);
        let direction = directions.f_select(1, at)?;
        // A direction and its opposite are the same to PCA: the larger part points upwards.
        let largest = direction.f_abs()?.f_argmax(None, false)?.f_int64_value(&[])?;
        let sign = if direction.f_double_value(&[largest])? < 0.0 { -1.0 } else { 1.0 };
        columns.push(centred.f_matmul(&direction)?.f_multiply_scalar(sign)?);
        *share = energies.f_double_value(&[at])?.max(0.0) / total;
    }
    Ok((Tensor::f_stack(&columns, 1)?, shares))
}
