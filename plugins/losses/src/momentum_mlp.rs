//! A perceptron with a slow copy: the copy belongs to the momentum encoder and is averaged after each update.

use infomax_sdk::{
    Buffer, Device, Facts, Momentum, Tensor, named,
    nn::{Mlp, MlpPlan},
    no_grad,
};

/// A trained projector and its momentum copy.
pub struct MomentumProjector {
    own: Mlp,
    slow: Mlp<Buffer>,
    momentum: Momentum,
}

named!(MomentumProjector { own as "projector", slow as "momentum_projector" });

impl MomentumProjector {
    /// Fresh weights; the copy starts with the same ones.
    pub fn new(plan: &MlpPlan, momentum: Momentum, device: Device) -> Self {
        let own = Mlp::new(plan, device);
        Self { slow: own.slow_copy(), own, momentum }
    }

    /// The trained projection.
    ///
    /// # Shapes
    /// From B × C to B × D.
    #[track_caller]
    pub fn forward(&self, x_bc: &Tensor) -> Tensor {
        self.own.forward(x_bc)
    }

    /// The slow copy's projection, without gradient.
    ///
    /// # Shapes
    /// From B × C to B × D.
    #[track_caller]
    pub fn slow_forward(&self, x_bc: &Tensor) -> Tensor {
        no_grad(|| self.slow.forward(x_bc))
    }

    /// Moves the copy towards the trained weights: m·copy + (1 − m)·own.
    pub fn average(&mut self, facts: &Facts) {
        let weight = 1.0 - self.momentum.at(facts.step, facts.total_steps);
        no_grad(|| {
            for (slow, own) in self.slow.tensors().into_iter().zip(self.own.tensors()) {
                slow.lerp_(own, weight);
            }
        });
    }
}
