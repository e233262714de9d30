//! Features in a plane, as a picture: the two directions in which they vary most (PCA).
//!
//! Shapes: N images · D channels.

use super::Features;
use crate::{
    error::{Error, Result},
    record::Scatter,
};
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

/// The picture of features in their plane, one colour a class.
///
/// # Errors
/// libtorch's message, or a picture that can't be drawn.
pub fn to_png(features: &Features, class_names: &[String], title: &str) -> Result<Vec<u8>> {
    let (plane, shares) = plane(&features.x_nd).map_err(Error::torch("project the features"))?;
    let numbers = Vec::<f64>::try_from(plane.reshape([-1])).map_err(Error::torch("project the features"))?;
    let labels = Vec::<i64>::try_from(&features.labels_n).map_err(Error::torch("read labels"))?;
    // What has no label gets the colour behind the last class's.
    let class = |label: i64| usize::try_from(label).unwrap_or(class_names.len());
    let points = numbers.chunks_exact(2).zip(labels).map(|(point, label)| (point[0], point[1], class(label)));
    let axis = |i: usize| format!("direction {} ({:.0} % of the variance)", i + 1, 100.0 * shares[i]);
    let scatter = Scatter { title, axes: [axis(0), axis(1)], points: points.collect(), class_names };
    Ok(scatter.to_png()?)
}
