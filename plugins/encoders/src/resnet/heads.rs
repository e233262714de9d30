//! The maps r1, r5 and r7, so that multiscale losses can train a ResNet: a stage's output, averaged down to the map's
//! side, through a 1×1 network with a linear shortcut that starts near the identity, normalised at the end.
//!
//! Shapes: C channels of the stage · D rkhs.

use super::plan::Plan;
use crate::{
    initial::{constant, trained, uniform},
    layers::Norm,
};
use infomax_sdk::{Error, Mode, Names, Result};
use tch::{Device, Kind, TchError, Tensor};

/// Names and sides of the maps.
pub const MAPS: [(&str, i64); 3] = [("r1", 1), ("r5", 5), ("r7", 7)];

/// The stage that each map comes from: the deepest whose output is large enough in every view.
///
/// # Errors
/// No stage is: averaging can't make a map larger.
pub fn stages(plan: &Plan, views: &[[i64; 2]]) -> Result<[usize; 3]> {
    let sizes: Vec<Vec<[i64; 2]>> = views.iter().map(|&view| plan.stage_sizes(view)).collect();
    let mut chosen = [0; 3];
    for (at, (name, side)) in chosen.iter_mut().zip(MAPS) {
        let fits = |stage: &usize| sizes.iter().all(|sizes| sizes[*stage].iter().all(|&have| have >= side));
        let Some(stage) = (0..plan.stages.len()).rev().find(fits) else {
            let smallest = views.iter().min_by_key(|view| view.iter().min()).copied().unwrap_or_default();
            let sides = plan.stage_sizes(smallest).iter().map(|[h, w]| format!("{h}×{w}")).collect::<Vec<_>>();
            return Err(Error::config(format!(
                "a view of {}×{} is too small for the map `{name}` of {side}×{side}: the stages give {}",
                smallest[0],
                smallest[1],
                sides.join(", "),
            ))
            .hint(if plan.max_pool {
                "use larger views or `encoder.config.stem = \"small\"`, or leave `encoder.config.n_rkhs` out"
            } else {
                "use larger views, or leave `encoder.config.n_rkhs` out"
            }));
        };
        *at = stage;
    }
    Ok(chosen)
}

/// Trained numbers of a head from C to D channels.
pub fn parameters(c: i64, d: i64, use_bn: bool) -> i64 {
    2 * c * d + d * d + d + 2 * d + if use_bn { 2 * d } else { 0 }
}

/// The heads of all maps.
pub struct Heads(Vec<(usize, Head)>);

impl Heads {
    pub fn new(plan: &Plan, stages: [usize; 3], d: i64, use_bn: bool, device: Device) -> Result<Self, TchError> {
        let head = |stage| Ok((stage, Head::new(plan.channels(stage), d, use_bn, device)?));
        Ok(Self(stages.into_iter().map(head).collect::<Result<_, TchError>>()?))
    }

    /// r1, r5 and r7 of the stages' outputs.
    pub fn forward(&self, stages: &[Tensor], mode: Mode) -> Result<Vec<Tensor>, TchError> {
        let map = |(&(stage, ref head), (_, side)): (&(usize, Head), (&str, i64))| {
            let x = &stages[stage];
            let small =
                if x.size()[2..] == [side; 2] { x.shallow_clone() } else { x.f_adaptive_avg_pool2d([side; 2])? };
            head.forward(&small, mode)
        };
        self.0.iter().zip(MAPS).map(map).collect()
    }

    pub fn name(&self, mut names: Names<'_>) {
        for ((_, head), (name, _)) in self.0.iter().zip(MAPS) {
            head.name(names.below(name));
        }
    }
}

/// One map's network, as AMDIM's: conv → \[norm\] → ReLU → conv beside a linear shortcut, then norm.
struct Head {
    conv1: Tensor,
    conv2: Tensor,
    shortcut: Tensor,
    shortcut_bias: Tensor,
    bn_hid: Option<Norm>,
    bn_out: Norm,
}

impl Head {
    fn new(c: i64, d: i64, use_bn: bool, device: Device) -> Result<Self, TchError> {
        let bound = 1.0 / (c as f64).sqrt(); // PyTorch's default for a convolution's weight and bias
        let shortcut = if d >= c {
            let weight = Tensor::f_zeros([d, c, 1, 1], (Kind::Float, device))?.f_uniform_(-0.01, 0.01)?; // AMDIM's code
            let _ = weight.f_view([d, c])?.f_diagonal(0, 0, 1)?.f_fill_(1.0)?;
            trained(weight)?
        } else {
            uniform(&[d, c, 1, 1], bound, device)?
        };
        Ok(Self {
            conv1: uniform(&[d, c, 1, 1], bound, device)?,
            conv2: constant(&[d, d, 1, 1], 0.0, device)?,
            shortcut,
            shortcut_bias: uniform(&[d], bound, device)?,
            bn_hid: use_bn.then(|| Norm::new(d, device)).transpose()?,
            bn_out: Norm::new(d, device)?,
        })
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let conv = |x: &Tensor, weight, bias: Option<&Tensor>| x.f_conv2d(weight, bias, 1, 0, 1, 1);
        let mut hidden = conv(x, &self.conv1, None)?;
        if let Some(norm) = &self.bn_hid {
            hidden = norm.forward(&hidden, mode)?;
        }
        let hidden = hidden.f_relu_()?;
        let y = conv(x, &self.shortcut, Some(&self.shortcut_bias))?.f_add_(&conv(&hidden, &self.conv2, None)?)?;
        self.bn_out.forward(&y, mode)
    }

    fn name(&self, mut names: Names<'_>) {
        names.parameter("conv1.weight", &self.conv1);
        names.parameter("conv2.weight", &self.conv2);
        names.parameter("shortcut.weight", &self.shortcut);
        names.parameter("shortcut.bias", &self.shortcut_bias);
        if let Some(norm) = &self.bn_hid {
            norm.name(names.below("bn_hid"));
        }
        self.bn_out.name(names.below("bn_out"));
    }
}
