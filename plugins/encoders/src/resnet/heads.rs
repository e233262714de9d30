//! The maps r1, r5 and r7, so that multiscale losses can train a ResNet: a stage's output, averaged down to the map's
//! side, through a 1×1 network with a linear shortcut that starts near the identity, normalised at the end.
//!
//! Shapes: C channels of the stage · D rkhs.

use super::{plan::Plan, pooling::Pooling};
use infomax_sdk::{
    Device, Error, Mode, Module, Names, Result, Tensor, named,
    nn::{BatchNorm, Conv2d, init},
};

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
pub struct Heads(Vec<MapHead>);

/// A map's part: from which stage, averaged how, through what.
struct MapHead {
    stage: usize,
    pooling: Pooling,
    head: Head,
}

impl Heads {
    /// Heads on stages for views of these sizes.
    pub fn new(plan: &Plan, stages: [usize; 3], views: &[[i64; 2]], d: i64, use_bn: bool, device: Device) -> Self {
        let of_map = |(stage, (_, side)): (usize, (&str, i64))| MapHead {
            stage,
            pooling: Pooling::new(side, views.iter().map(|&view| plan.stage_sizes(view)[stage]), device),
            head: Head::new(plan.channels(stage), d, use_bn, device),
        };
        Self(stages.into_iter().zip(MAPS).map(of_map).collect())
    }

    /// r1, r5 and r7 of the stages' outputs.
    pub fn forward(&self, stages: &[Tensor], views: i64, mode: Mode) -> Vec<Tensor> {
        let map = |part: &MapHead| part.head.forward(&part.pooling.forward(&stages[part.stage]), views, mode);
        self.0.iter().map(map).collect()
    }
}

impl Module for Heads {
    fn name(&self, mut names: Names<'_>) {
        for (part, (name, _)) in self.0.iter().zip(MAPS) {
            names.part(name, &part.head);
        }
    }
}

/// One map's network, as AMDIM's: conv → \[norm\] → ReLU → conv beside a linear shortcut, then norm.
struct Head {
    conv1: Conv2d,
    conv2: Conv2d,
    shortcut: Conv2d,
    bn_hid: Option<BatchNorm>,
    bn_out: BatchNorm,
}

named!(Head { conv1, conv2, shortcut, bn_hid, bn_out });

impl Head {
    fn new(c: i64, d: i64, use_bn: bool, device: Device) -> Self {
        let shortcut = if d >= c {
            let weight = init::uniform(&[d, c, 1, 1], 0.01, device); // AMDIM's code
            weight.view([d, c]).diagonal(0, 0, 1).fill_(1.0);
            weight
        } else {
            init::default(&[d, c, 1, 1], device)
        };
        let conv1 = Conv2d::new(c, d, 1, device);
        Self {
            conv1,
            conv2: Conv2d::from_tensors(init::constant(&[d, d, 1, 1], 0.0, device), None),
            shortcut: Conv2d::from_tensors(shortcut, None).with_bias(),
            bn_hid: use_bn.then(|| BatchNorm::new(d, device)),
            bn_out: BatchNorm::new(d, device),
        }
    }

    fn forward(&self, x: &Tensor, views: i64, mode: Mode) -> Tensor {
        let hidden = self.conv1.forward(x);
        let deep = match &self.bn_hid {
            Some(norm) => norm.forward_relu_conv(&hidden, &self.conv2, views, mode),
            None => self.conv2.forward(&hidden.relu_()),
        };
        let y = self.shortcut.forward(x).add_(deep);
        self.bn_out.forward_views(&y, views, mode)
    }
}
