//! Convolution and pooling on activations kept as N × H × W × C, so that most of AMDIM's convolutions are one matrix
//! product: 1×1 ones, those whose stride equals their width, and those that cover their whole input.
//!
//! Shapes: N views times images · H, W sides · C, O channels in and out · K width of a convolution.

use tch::{TchError, Tensor};

/// Convolution without padding and bias; `weight` is O × C × K × K, channels-last in memory.
pub fn convolution(x_nhwc: &Tensor, weight_ockk: &Tensor, width: i64, stride: i64) -> Result<Tensor, TchError> {
    let [n, h, w, c] = sides(x_nhwc)?;
    let o = weight_ockk.size()[0];
    let patches = if width == 1 && stride == 1 {
        x_nhwc.f_view([n, h, w, c])?
    } else if width == h && width == w {
        x_nhwc.f_reshape([n, 1, 1, width * width * c])?
    } else if width == stride {
        patches(x_nhwc, width)?.f_permute([0, 1, 3, 2, 4, 5])?.f_reshape([
            n,
            h / width,
            w / width,
            width * width * c,
        ])?
    } else {
        let no_bias = None::<Tensor>;
        let y = x_nhwc.f_permute([0, 3, 1, 2])?.f_conv2d(weight_ockk, no_bias, stride, 0, 1, 1)?;
        return y.f_permute([0, 2, 3, 1])?.f_contiguous();
    };
    patches.f_matmul(&rows_of(weight_ockk, o)?.f_transpose(0, 1)?)
}

/// A convolution's weight as O × (K·K·C): a view, since the weight is channels-last in memory.
pub fn rows_of(weight_ockk: &Tensor, o: i64) -> Result<Tensor, TchError> {
    weight_ockk.f_permute([0, 2, 3, 1])?.f_reshape([o, -1])
}

/// Average pooling without padding.
pub fn average_pool(x_nhwc: &Tensor, width: i64, stride: i64) -> Result<Tensor, TchError> {
    let [n, h, w, c] = sides(x_nhwc)?;
    if width == 1 && stride == 1 {
        Ok(x_nhwc.shallow_clone())
    } else if width == h && width == w {
        x_nhwc.f_mean_dim(&[1i64, 2][..], true, None)
    } else if width == stride {
        patches(x_nhwc, width)?.f_mean_dim(&[2i64, 4][..], false, None)?.f_view([n, h / width, w / width, c])
    } else {
        let y = x_nhwc.f_permute([0, 3, 1, 2])?.f_avg_pool2d(width, stride, 0, false, true, None)?;
        y.f_permute([0, 2, 3, 1])?.f_contiguous()
    }
}

/// N × H/K × K × W/K × K × C, leaving the rest at the lower and right edge out.
fn patches(x_nhwc: &Tensor, width: i64) -> Result<Tensor, TchError> {
    let [n, h, w, c] = sides(x_nhwc)?;
    let (rows, columns) = (h / width, w / width);
    let x = x_nhwc.f_narrow(1, 0, rows * width)?.f_narrow(2, 0, columns * width)?;
    x.f_reshape([n, rows, width, columns, width, c])
}

fn sides(x_nhwc: &Tensor) -> Result<[i64; 4], TchError> {
    let size = x_nhwc.size4()?;
    Ok([size.0, size.1, size.2, size.3])
}
