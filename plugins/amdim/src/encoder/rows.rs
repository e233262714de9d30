//! Pooling, and an image's pixels as rows. Activations are N × C × H × W with the channels last in memory, whose rows N·H·W × C
//! are a view. Nothing is computed in place on a view: autograd would copy the whole of it, forward and backward. Matrix
//! products for the 1×1 convolutions were measured too: on an AMD processor libtorch's f32 product (MKL) is half as fast as its
//! convolution (oneDNN), so convolutions they stay.
//!
//! Shapes: N views times images · H, W sides · C channels.

use infomax_sdk::{Tensor, nn};

/// Adds the average-pooled input to a layer's output, whose further channels stay as they are.
pub fn add_average_pooled(y_nohw: Tensor, x_nchw: &Tensor, width: i64, stride: i64) -> Tensor {
    let [_, channels, height, across] = x_nchw.dims();
    let shortcut = if width == 1 && stride == 1 {
        x_nchw.clone()
    } else if width == height && width == across {
        x_nchw.mean_dim([2, 3], true)
    } else {
        return nn::add_average_pooled(y_nohw, x_nchw, width, stride);
    };
    let missing = y_nohw.size_of(1) - channels;
    y_nohw.add_(if missing == 0 { shortcut } else { shortcut.constant_pad([0, 0, 0, 0, 0, missing], 0.0) })
}

/// Runs a function of N·H·W × C on an image's pixels.
pub fn on_rows(x_nchw: &Tensor, function: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    let [n, c, h, w] = x_nchw.dims();
    let rows = x_nchw.permute([0, 2, 3, 1]).reshape([n * h * w, c]);
    function(&rows).view([n, h, w, c]).permute([0, 3, 1, 2])
}
