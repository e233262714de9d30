//! Pooling with what residual networks put behind it.

use crate::{
    Tensor,
    tensor::{Argument, Operator},
};

/// Average pooling of `x`, added to `y` in place: the shortcut of a residual layer that makes maps smaller. Channels that `x` lacks
/// count as zeros. On a CPU, of f32 or bf16 maps that lie channels-last, it is one pass over memory.
///
/// # Shapes
/// y N × O × H' × W', x N × C × H × W with C ≤ O, H' = ⌊(H − width) / stride⌋ + 1 and W' alike; out, y.
#[track_caller]
pub fn add_average_pooled(y_nohw: Tensor, x_nchw: &Tensor, width: i64, stride: i64) -> Tensor {
    static OPERATOR: Operator = Operator::new("infomax::add_average_pooled_", "");
    OPERATOR.one(&[y_nohw.value(), x_nchw.value(), width.value(), stride.value()])
}
