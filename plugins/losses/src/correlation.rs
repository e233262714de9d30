//! What VICReg and Barlow Twins ask of a matrix of channels.

use infomax_sdk::Result;
use tch::{Kind, Tensor};

/// The sum of the squares beside the diagonal, not as a difference: at the end of training the diagonal is far larger.
///
/// # Shapes
/// From D × D to a scalar.
pub fn off_diagonal_squares(matrix_dd: &Tensor) -> Result<Tensor> {
    let diagonal_dd = Tensor::f_eye(matrix_dd.size()[0], (Kind::Bool, matrix_dd.device()))?;
    Ok(matrix_dd.f_masked_fill(&diagonal_dd, 0.0)?.f_square()?.f_sum(None)?)
}
