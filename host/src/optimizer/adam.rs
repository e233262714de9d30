//! Adam and AdamW, one fused call per group.
//!
//! # Source
//! Kingma and Ba 2015, algorithm 1, with weight decay added to the gradient (L2), as in the published AMDIM code;
//! Loshchilov and Hutter 2019, algorithm 2, with weight decay taken off the parameter.

use super::state::Group;
use crate::{
    config::{Optimizer, OptimizerName},
    native::{self, AdamSettings, AdamTensors, NativeResult, Withheld},
};

/// One update of a group whose state is mean, square, step.
pub(super) fn update(group: &Group, settings: &Optimizer, withheld: Withheld<'_>) -> NativeResult<()> {
    let tensors = AdamTensors {
        parameters: &group.parameters,
        gradients: &group.gradients,
        means: &group.state[0],
        squares: &group.state[1],
        steps: &group.state[2],
    };
    let settings = AdamSettings {
        lr: group.lr,
        betas: settings.betas,
        weight_decay: group.weight_decay,
        eps: settings.eps,
        decoupled: settings.name == OptimizerName::Adamw,
    };
    native::adam(&tensors, settings, withheld)
}
