//! What VICReg and Barlow Twins ask of a matrix of channels.

use infomax_sdk::{Kind, Tensor};

/// The sum of the squares beside the diagonal, not as a difference: at the end of training the diagonal is far larger.
///
/// # Shapes
/// From D × D to a scalar.
#[track_caller]
pub fn off_diagonal_squares(matrix_dd: &Tensor) -> Tensor {
    let d = matrix_dd.size_of(0);
    matrix_dd.masked_fill(&Tensor::eye(d, d, Kind::Bool, matrix_dd.device()), 0.0).square().sum()
}
