//! An image's pixels as rows. Activations are N × C × H × W with the channels last in memory, whose rows N·H·W × C
//! are a view. Nothing is computed in place on a view: autograd would copy the whole of it, forward and backward. Matrix
//! products for the 1×1 convolutions were measured too: on an AMD processor libtorch's f32 product (MKL) is half as fast as its
//! convolution (oneDNN), so convolutions they stay.
//!
//! Shapes: N views times images · H, W sides · C channels.

use infomax_sdk::Tensor;

/// Runs a function of N·H·W × C on an image's pixels.
pub fn on_rows(x_nchw: &Tensor, function: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    let [n, c, h, w] = x_nchw.dims();
    let rows = x_nchw.permute([0, 2, 3, 1]).reshape([n * h * w, c]);
    function(&rows).view([n, h, w, c]).permute([0, 3, 1, 2])
}
