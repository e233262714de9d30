//! A bias apart from the layer before it.

use crate::{
    Tensor,
    tensor::{Argument, Operator},
};

/// A number for each channel, added to `y` in place. On a CPU, of f32 or bf16 maps that lie channels-last, it is one pass over
/// memory, and the bias's gradient is summed in f64: that of a convolution's own bias is several times less exact.
///
/// # Shapes
/// y N × C × H × W, bias C; out, y.
#[track_caller]
pub fn add_bias(y_nchw: Tensor, bias_c: &Tensor) -> Tensor {
    biased(y_nchw, bias_c, false)
}

/// The same with the ReLU behind it, in the same pass.
///
/// # Shapes
/// Those of [`add_bias`].
#[track_caller]
pub fn add_bias_relu(y_nchw: Tensor, bias_c: &Tensor) -> Tensor {
    biased(y_nchw, bias_c, true)
}

#[track_caller]
fn biased(y_nchw: Tensor, bias_c: &Tensor, relu: bool) -> Tensor {
    static OPERATOR: Operator = Operator::new("infomax::add_bias_", "");
    OPERATOR.one(&[y_nchw.value(), bias_c.value(), relu.value()])
}
