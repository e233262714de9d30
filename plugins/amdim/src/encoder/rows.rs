//! Convolution and pooling on activations kept as N × H × W × C, which libtorch's convolutions take as channels-last
//! images without a copy. Matrix products for the 1×1 ones were measured too: on an AMD processor libtorch's f32 product
//! (MKL) is half as fast as its convolution (oneDNN), so convolutions they stay.
//!
//! Shapes: N views times images · H, W sides · C, O channels in and out · K width of a convolution.

use infomax_sdk::{Tensor, nn::Conv2d};

/// A convolution without padding.
pub fn convolution(x_nhwc: &Tensor, convolution: &Conv2d) -> Tensor {
    as_rows(&convolution.forward(&as_image(x_nhwc)))
}

/// Average pooling without padding.
pub fn average_pool(x_nhwc: &Tensor, width: i64, stride: i64) -> Tensor {
    if width == 1 && stride == 1 {
        return x_nhwc.clone();
    }
    let [_, height, across, _] = x_nhwc.dims();
    if width == height && width == across {
        return x_nhwc.mean_dim([1, 2], true);
    }
    as_rows(&as_image(x_nhwc).avg_pool2d(width, stride))
}

/// N × C × H × W, channels-last in memory: a view.
pub fn as_image(x_nhwc: &Tensor) -> Tensor {
    x_nhwc.permute([0, 3, 1, 2])
}

/// N × H × W × C: a view where the image is channels-last in memory.
pub fn as_rows(x_nchw: &Tensor) -> Tensor {
    x_nchw.permute([0, 2, 3, 1]).contiguous()
}
