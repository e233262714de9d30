//! Stochastic gradient descent with momentum, and LARS, one call per group.
//!
//! # Source
//! PyTorch's SGD; You, Gitman, Ginsburg 2017 (arXiv:1708.03888), algorithm 1, with solo-learn's bound on the factor.

use super::state::Group;
use crate::{
    config::{Optimizer, OptimizerName},
    native::{self, MomentumRule, MomentumSettings, NativeResult, Withheld},
};

/// One update of a group whose state is the momentum.
pub(super) fn update(group: &Group, settings: &Optimizer, withheld: Withheld<'_>) -> NativeResult<()> {
    let rule = if settings.name == OptimizerName::Lars && group.adapts {
        MomentumRule::Lars { trust: settings.trust_coefficient, clip: settings.clip_lr }
    } else {
        MomentumRule::Sgd { nesterov: settings.nesterov }
    };
    let momentum =
        MomentumSettings { lr: group.lr, momentum: settings.momentum, weight_decay: group.weight_decay, rule };
    native::descend(&group.parameters, &group.gradients, &group.state[0], momentum, withheld)
}
