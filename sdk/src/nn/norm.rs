//! Normalisations.

use super::{Conv2d, as_wide, init, tracked::count};
use crate::{
    Buffer, Device, Kind, Mode, Parameter, Tensor, named,
    tensor::{Argument, Operator, Value},
};

const MOMENTUM: f64 = 0.1; // PyTorch's default for BatchNorm
const EPS: f64 = 1e-5; // PyTorch's default for BatchNorm and LayerNorm

/// BatchNorm with scale, shift and running statistics, in all of an encoder's modes.
///
/// Between processes its statistics are shared where the run says so (`distributed.sync_batch_norm`): that is the host's
/// doing, behind libtorch's `batch_norm`.
#[derive(Debug)]
pub struct BatchNorm {
    /// C.
    pub weight: Parameter,
    /// C.
    pub bias: Parameter,
    running_mean: Buffer,
    running_var: Buffer,
    num_batches_tracked: Buffer,
    centred: bool,
}

impl BatchNorm {
    /// Scale 1 and shift 0.
    #[track_caller]
    pub fn new(channels: i64, device: Device) -> Self {
        Self::scaled(channels, 1.0, device)
    }

    /// The same with another scale: 0 where a residual branch starts closed.
    #[track_caller]
    pub fn scaled(channels: i64, scale: f64, device: Device) -> Self {
        let buffer = |value| Buffer::new(init::constant(&[channels], value, device));
        Self {
            weight: Parameter::new(init::constant(&[channels], scale, device)),
            bias: Parameter::new(init::constant(&[channels], 0.0, device)),
            running_mean: buffer(0.0),
            running_var: buffer(1.0),
            num_batches_tracked: Buffer::new(Tensor::zeros([0i64; 0], Kind::I64, device)),
            centred: false,
        }
    }

    /// Takes the mean off first, outside the gradient, which changes nothing but the rounding: where the mean is far from 0
    /// the backward pass would lose digits. For N × C only.
    #[must_use]
    pub fn centred(self) -> Self {
        Self { centred: true, ..self }
    }

    /// Normalises one view by its own statistics, or by the running ones where the mode is [`Mode::Evaluate`].
    ///
    /// # Shapes
    /// N × C, or N × C × H × W; out, the same.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let keep = match mode {
            Mode::Evaluate => return self.normalise(x, Some((&self.running_mean, &self.running_var)), false),
            Mode::TrainFrozenStatistics => false,
            Mode::Train | Mode::RefreshStatistics => true,
        };
        if self.centred {
            return self.views_forward(x, 1, keep);
        }
        let y = self.normalise(x, keep.then_some((&*self.running_mean, &*self.running_var)), true);
        if keep {
            count(&self.num_batches_tracked);
        }
        y
    }

    /// Normalises several views that lie one after the other, each by its own statistics; running statistics are updated in
    /// the order of the views.
    ///
    /// # Shapes
    /// views·N × …; out, the same.
    #[track_caller]
    pub fn forward_views(&self, x: &Tensor, views: i64, mode: Mode) -> Tensor {
        if mode == Mode::Evaluate || views == 1 {
            return self.forward(x, mode);
        }
        self.views_forward(x, views, mode != Mode::TrainFrozenStatistics)
    }

    /// The ReLU of [`forward_views`](Self::forward_views), in one operator where the statistics are the views' own.
    #[track_caller]
    pub fn forward_relu(&self, x: &Tensor, views: i64, mode: Mode) -> Tensor {
        if self.is_plain(mode) {
            self.relu_of(x, None, views, mode)
        } else {
            self.forward_views(x, views, mode).relu_()
        }
    }

    /// The ReLU of [`forward_views`](Self::forward_views) and a shortcut's sum: how a residual block ends.
    ///
    /// # Shapes
    /// Both views·N × C × H × W; out, the same.
    #[track_caller]
    pub fn forward_add_relu(&self, x: &Tensor, shortcut: &Tensor, views: i64, mode: Mode) -> Tensor {
        if self.is_plain(mode) {
            self.relu_of(x, Some(shortcut), views, mode)
        } else {
            self.forward_views(x, views, mode).add_(shortcut).relu_()
        }
    }

    /// A convolution of [`forward_relu`](Self::forward_relu)'s map. On a CPU the map is made again for the backward pass instead
    /// of kept, which takes a third to a half off the memory of a deep network's activations.
    ///
    /// # Shapes
    /// views·N × C × H × W to views·N × O × H' × W'.
    #[track_caller]
    pub fn forward_relu_conv(&self, x: &Tensor, conv: &Conv2d, views: i64, mode: Mode) -> Tensor {
        static OPERATOR: Operator = Operator::new("infomax::batch_norm_relu_conv2d", "");
        if !self.is_plain(mode) || conv.bias.is_some() {
            return conv.forward(&self.forward_relu(x, views, mode));
        }
        let last = [conv.weight.value(), conv.stride.value(), conv.padding.value()];
        self.by_views(&OPERATOR, &[x.value()], &last, views, mode != Mode::TrainFrozenStatistics)
    }

    /// Whether one operator can do it: by the batch's own statistics.
    fn is_plain(&self, mode: Mode) -> bool {
        mode != Mode::Evaluate && !self.centred
    }

    #[track_caller]
    fn relu_of(&self, x: &Tensor, shortcut: Option<&Tensor>, views: i64, mode: Mode) -> Tensor {
        static OPERATOR: Operator = Operator::new("infomax::batch_norm_relu", "");
        self.by_views(&OPERATOR, &[x.value(), shortcut.value()], &[], views, mode != Mode::TrainFrozenStatistics)
    }

    /// By the host's own operator, which neither cuts nor joins.
    #[track_caller]
    fn views_forward(&self, x: &Tensor, views: i64, keep: bool) -> Tensor {
        static OPERATOR: Operator = Operator::new("infomax::batch_norm_views", "");
        self.by_views(&OPERATOR, &[x.value()], &[self.centred.value()], views, keep)
    }

    /// Calls one of the host's operators on views, which take what a normalisation is made of between what is their own.
    #[track_caller]
    fn by_views(&self, operator: &Operator, first: &[Value<'_>], last: &[Value<'_>], views: i64, keep: bool) -> Tensor {
        let own = [
            self.weight.value(),
            self.bias.value(),
            self.running_mean.value(),
            self.running_var.value(),
            views.value(),
            keep.value(),
            MOMENTUM.value(),
            EPS.value(),
        ];
        let y = operator.one(&[first, &own, last].concat());
        if keep {
            (0..views).for_each(|_| count(&self.num_batches_tracked));
        }
        y
    }

    #[track_caller]
    fn normalise(&self, x: &Tensor, running: Option<(&Tensor, &Tensor)>, by_batch: bool) -> Tensor {
        let (mean, var) = running.unzip();
        x.batch_norm(Some(&self.weight), Some(&self.bias), mean, var, by_batch, MOMENTUM, EPS)
    }
}

named!(BatchNorm { weight, bias, running_mean, running_var, num_batches_tracked });

/// BatchNorm by the statistics of these rows, which are not kept; in f32 at least.
///
/// # Shapes
/// N × C, scale and shift C; out, N × C.
#[track_caller]
pub fn batch_norm(x_nc: &Tensor, affine: Option<(&Tensor, &Tensor)>) -> Tensor {
    let x = x_nc.at_least_f32();
    let (scale, shift) = affine.map(|(scale, shift)| (as_wide(scale, &x), as_wide(shift, &x))).unzip();
    x.batch_norm(scale.as_ref(), shift.as_ref(), None, None, true, 0.0, EPS)
}

/// Normalises each vector of the last dimension.
#[derive(Debug)]
pub struct LayerNorm {
    /// C.
    pub weight: Parameter,
    /// C.
    pub bias: Parameter,
    eps: f64,
}

impl LayerNorm {
    /// Scale 1 and shift 0.
    #[track_caller]
    pub fn new(channels: i64, device: Device) -> Self {
        let parameter = |value| Parameter::new(init::constant(&[channels], value, device));
        Self { weight: parameter(1.0), bias: parameter(0.0), eps: EPS }
    }

    /// With another ε than PyTorch's 1e-5.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// … × C to the same, in f64 where x is.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(self.weight.size(), Some(&as_wide(&self.weight, x)), Some(&as_wide(&self.bias, x)), self.eps)
    }
}

named!(LayerNorm { weight, bias });
