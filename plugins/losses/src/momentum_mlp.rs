//! A perceptron with a slow copy: the copy belongs to the momentum encoder and is averaged after each update.

use crate::mlp::{Mlp, MlpPlan};
use infomax_sdk::{Facts, Momentum, NamedTensor, Result};
use tch::{Device, Tensor};

/// A trained projector and its momentum copy.
pub struct MomentumProjector {
    own: Mlp,
    slow: Mlp,
    momentum: Momentum,
}

impl MomentumProjector {
    /// Fresh weights; the copy starts with the same ones.
    pub fn new(plan: &MlpPlan, momentum: Momentum, device: Device) -> Result<Self> {
        let own = Mlp::new(plan, device)?;
        let slow = own.detached_copy()?;
        Ok(Self { own, slow, momentum })
    }

    /// The trained projection.
    ///
    /// # Shapes
    /// From B × C to B × D.
    pub fn forward(&self, x_bc: &Tensor) -> Result<Tensor> {
        self.own.forward(x_bc)
    }

    /// The slow copy's projection, without gradient.
    ///
    /// # Shapes
    /// From B × C to B × D.
    pub fn slow_forward(&self, x_bc: &Tensor) -> Result<Tensor> {
        tch::no_grad(|| self.slow.forward(x_bc))
    }

    /// Moves the copy towards the trained weights: m·copy + (1 − m)·own.
    pub fn average(&mut self, facts: &Facts) -> Result<()> {
        let weight = 1.0 - self.momentum.at(facts.step, facts.total_steps);
        tch::no_grad(|| {
            for (slow, own) in self.slow.parameters("").into_iter().zip(self.own.parameters("")) {
                let mut slow = slow.tensor;
                let _ = slow.f_lerp_(&own.tensor, weight)?;
            }
            Ok(())
        })
    }

    /// `projector.…`, trained, and `momentum_projector.…`, saved only.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        let mut list = self.own.parameters("projector");
        list.extend(self.slow.named("momentum_projector", NamedTensor::buffer));
        list
    }
}
