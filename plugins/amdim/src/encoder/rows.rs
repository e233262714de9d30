//! Convolution and pooling on activations kept as N × H × W × C, which libtorch's convolutions take as channels-last
//! images without a copy. Matrix products for the 1×1 ones were measured too: on an AMD processor libtorch's f32 product
//! (MKL) is half as fast as its convolution (oneDNN), so convolutions they stay.
//!
//! Shapes: N views times images · H, W sides · C, O channels in and out · K width of a convolution.

use tch::{TchError, Tensor};

/// Convolution without padding and bias; `weight` is O × C × K × K, channels-last in memory.
pub fn convolution(x_nhwc: &Tensor, weight_ockk: &Tensor, stride: i64) -> Result<Tensor, TchError> {
    let y_nchw = as_image(x_nhwc)?.f_conv2d(weight_ockk, None::<&Tensor>, stride, 0, 1, 1)?;
    as_rows(&y_nchw)
}

/// Average pooling without padding.
pub fn average_pool(x_nhwc: &Tensor, width: i64, stride: i64) -> Result<Tensor, TchError> {
    let size = x_nhwc.size();
    if width == 1 && stride == 1 {
        Ok(x_nhwc.shallow_clone())
    } else if width == size[1] && width == size[2] {
        x_nhwc.f_mean_dim(&[1i64, 2][..], true, None)
    } else {
        as_rows(&as_image(x_nhwc)?.f_avg_pool2d(width, stride, 0, false, true, None)?)
    }
}

/// N × C × H × W, channels-last in memory: a view.
pub fn as_image(x_nhwc: &Tensor) -> Result<Tensor, TchError> {
    x_nhwc.f_permute([0, 3, 1, 2])
}

/// N × H × W × C: a view where the image is channels-last in memory.
pub fn as_rows(x_nchw: &Tensor) -> Result<Tensor, TchError> {
    x_nchw.f_permute([0, 2, 3, 1])?.f_contiguous()
}
