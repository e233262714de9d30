//! The layers: normalisation, stem, residual convolution, stack, and the head of a local map.
//!
//! Shapes: N views times images · H, W sides · C channels · D rkhs.

use super::{
    rows::{as_image, as_rows, average_pool, convolution},
    weights::{convolution_bias, convolution_weight, trained, uniform_weight, zero_weight},
};
use infomax_sdk::{Mode, Names};
use tch::{Device, Kind, TchError, Tensor};

const MOMENTUM: f64 = 0.1; // PyTorch's default for BatchNorm
const EPS: f64 = 1e-5; // PyTorch's default for BatchNorm

/// BatchNorm that may be switched off; its parameters exist either way, as in the published checkpoints.
pub struct Norm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    batches: Tensor,
    active: bool,
}

impl Norm {
    pub fn new(channels: i64, active: bool, device: Device) -> Result<Self, TchError> {
        let float = (Kind::Float, device);
        Ok(Self {
            weight: trained(Tensor::f_ones([channels], float)?)?,
            bias: trained(Tensor::f_zeros([channels], float)?)?,
            running_mean: Tensor::f_zeros([channels], float)?,
            running_var: Tensor::f_ones([channels], float)?,
            batches: Tensor::f_zeros([0i64; 0], (Kind::Int64, device))?,
            active,
        })
    }

    /// Normalises each view with its own statistics, in order; x is N × H × W × C with the views one after the other.
    pub fn forward(&self, x_nhwc: Tensor, views: i64, mode: Mode) -> Result<Tensor, TchError> {
        if !self.active {
            return Ok(x_nhwc);
        }
        if mode == Mode::Evaluate || views == 1 {
            return self.normalise(&x_nhwc, mode);
        }
        let parts = x_nhwc.f_chunk(views, 0)?;
        let parts: Result<Vec<_>, _> = parts.iter().map(|part| self.normalise(part, mode)).collect();
        Tensor::f_cat(&parts?, 0)
    }

    fn normalise(&self, x_nhwc: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let size = x_nhwc.size();
        let x_rows = x_nhwc.f_view([-1, size[3]])?;
        let y_rows = if mode == Mode::Evaluate {
            self.batch_norm(&x_rows, Some((&self.running_mean, &self.running_var)), false)?
        } else {
            self.normalise_by_batch(&x_rows, mode != Mode::TrainFrozenStatistics)?
        };
        y_rows.f_view(&size[..])
    }

    /// Normalises by the batch's own statistics. The mean is taken off first, outside the gradient, which changes
    /// nothing but the rounding: where the mean is far from 0 the backward pass would lose digits. The running mean is
    /// shifted alike, also where the result is not kept: processes that share statistics know the shift from it.
    fn normalise_by_batch(&self, x_rows: &Tensor, keep: bool) -> Result<Tensor, TchError> {
        let shift = tch::no_grad(|| x_rows.f_mean_dim(&[0i64][..], false, None))?;
        let centred = x_rows.f_sub(&shift)?;
        let moved = self.running_mean.f_sub(&shift)?;
        if !keep {
            return self.batch_norm(&centred, Some((&moved, &self.running_var.copy())), true);
        }
        let y = self.batch_norm(&centred, Some((&moved, &self.running_var)), true)?;
        tch::no_grad(|| self.running_mean.shallow_clone().f_copy_(&moved.f_add(&shift)?))?;
        let _ = self.batches.shallow_clone().f_add_scalar_(1)?;
        Ok(y)
    }

    fn batch_norm(&self, x: &Tensor, running: Option<(&Tensor, &Tensor)>, train: bool) -> Result<Tensor, TchError> {
        let (mean, var) = running.unzip();
        x.f_batch_norm(Some(&self.weight), Some(&self.bias), mean, var, train, MOMENTUM, EPS, true)
    }

    pub fn name(&self, mut names: Names<'_>) {
        let mut names = names.below("bn");
        names.parameter("weight", &self.weight);
        names.parameter("bias", &self.bias);
        names.buffer("running_mean", &self.running_mean);
        names.buffer("running_var", &self.running_var);
        names.buffer("num_batches_tracked", &self.batches);
    }
}

/// Reflect-pad, convolution with bias, ReLU.
pub struct Stem {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    pad: i64,
}

impl Stem {
    pub fn new(c: i64, o: i64, width: i64, stride: i64, pad: i64, device: Device) -> Result<Self, TchError> {
        let weight = convolution_weight(o, c, width, device)?;
        Ok(Self { weight, bias: convolution_bias(o, c, width, device)?, stride, pad })
    }

    pub fn forward(&self, x_nhwc: &Tensor) -> Result<Tensor, TchError> {
        let mut x_nchw = as_image(x_nhwc)?;
        if self.pad > 0 {
            x_nchw = x_nchw.f_reflection_pad2d([self.pad; 4])?;
        }
        let y_nchw = x_nchw.f_conv2d(&self.weight, None::<&Tensor>, self.stride, 0, 1, 1)?;
        // Apart from the convolution, whose own sum for the bias's gradient is several times less exact.
        as_rows(&y_nchw)?.f_add_(&self.bias)?.f_relu_()
    }

    pub fn name(&self, mut names: Names<'_>) {
        let mut names = names.below("conv");
        names.parameter("weight", &self.weight);
        names.parameter("bias", &self.bias);
    }
}

/// conv K×K → [BN] → ReLU → conv 1×1, plus the average-pooled input, zero-padded in channels.
pub struct ResidualConv {
    conv1: Tensor,
    conv2: Tensor,
    bn1: Norm,
    width: i64,
    stride: i64,
}

impl ResidualConv {
    pub fn new(c: i64, o: i64, width: i64, stride: i64, use_bn: bool, device: Device) -> Result<Self, TchError> {
        Ok(Self {
            conv1: convolution_weight(o, c, width, device)?,
            conv2: zero_weight(o, o, device)?,
            bn1: Norm::new(o, use_bn, device)?,
            width,
            stride,
        })
    }

    pub fn forward(&self, x_nhwc: &Tensor, views: i64, mode: Mode) -> Result<Tensor, TchError> {
        let hidden = convolution(x_nhwc, &self.conv1, self.stride)?;
        let hidden = self.bn1.forward(hidden, views, mode)?.f_relu_()?;
        let skip = average_pool(x_nhwc, self.width, self.stride)?;
        let mut y_nhwc = convolution(&hidden, &self.conv2, 1)?;
        let c = skip.size()[3];
        if c == y_nhwc.size()[3] {
            return y_nhwc.f_add_(&skip);
        }
        let _ = y_nhwc.f_narrow(3, 0, c)?.f_add_(&skip)?;
        Ok(y_nhwc)
    }

    pub fn name(&self, mut names: Names<'_>) {
        names.parameter("conv1.weight", &self.conv1);
        names.parameter("conv2.weight", &self.conv2);
        self.bn1.name(names.below("bn1"));
    }
}

/// One residual convolution, then depth − 1 of width 1.
pub struct Stack(Vec<ResidualConv>);

impl Stack {
    pub fn new(c: i64, o: i64, width: i64, stride: i64, depth: i64, bn: bool, on: Device) -> Result<Self, TchError> {
        let mut layers = vec![ResidualConv::new(c, o, width, stride, bn, on)?];
        for _ in 1..depth {
            layers.push(ResidualConv::new(o, o, 1, 1, bn, on)?);
        }
        Ok(Self(layers))
    }

    pub fn forward(&self, x_nhwc: &Tensor, views: i64, mode: Mode) -> Result<Tensor, TchError> {
        self.0.iter().try_fold(x_nhwc.shallow_clone(), |x, layer| layer.forward(&x, views, mode))
    }

    pub fn name(&self, mut names: Names<'_>) {
        let mut names = names.below("layer_list");
        for (i, layer) in self.0.iter().enumerate() {
            layer.name(names.below(i));
        }
    }
}

/// The head of a local map: a 1×1 network with a linear shortcut that starts near the identity; normalised output.
pub struct RkhsHead {
    conv1: Tensor,
    conv2: Tensor,
    shortcut: Tensor,
    shortcut_bias: Tensor,
    bn_hid: Norm,
    bn_out: Norm,
}

impl RkhsHead {
    pub fn new(c: i64, d: i64, use_bn: bool, device: Device) -> Result<Self, TchError> {
        let shortcut = if d >= c {
            let weight = uniform_weight(d, c, 1, 0.01, device)?;
            let _ = tch::no_grad(|| weight.f_view([d, c])?.f_diagonal(0, 0, 1)?.f_fill_(1.0))?;
            weight
        } else {
            convolution_weight(d, c, 1, device)?
        };
        Ok(Self {
            conv1: convolution_weight(d, c, 1, device)?,
            conv2: zero_weight(d, d, device)?,
            shortcut,
            shortcut_bias: convolution_bias(d, c, 1, device)?,
            bn_hid: Norm::new(d, use_bn, device)?,
            bn_out: Norm::new(d, true, device)?,
        })
    }

    pub fn forward(&self, x_nhwc: &Tensor, views: i64, mode: Mode) -> Result<Tensor, TchError> {
        let hidden = self.bn_hid.forward(convolution(x_nhwc, &self.conv1, 1)?, views, mode)?.f_relu_()?;
        let mut y_nhwc = convolution(x_nhwc, &self.shortcut, 1)?.f_add_(&self.shortcut_bias)?;
        y_nhwc = y_nhwc.f_add_(&convolution(&hidden, &self.conv2, 1)?)?;
        self.bn_out.forward(y_nhwc, views, mode)
    }

    pub fn name(&self, mut names: Names<'_>) {
        names.parameter("conv1.weight", &self.conv1);
        names.parameter("conv2.weight", &self.conv2);
        names.parameter("shortcut.weight", &self.shortcut);
        names.parameter("shortcut.bias", &self.shortcut_bias);
        self.bn_hid.name(names.below("bn_hid"));
        self.bn_out.name(names.below("bn_out"));
    }
}
