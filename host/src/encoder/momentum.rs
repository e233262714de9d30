//! The slow copy of the encoder that some losses compare with: made, run and averaged by the host, so that a loss only
//! says that it needs one.
//!
//! It runs in training mode with batch statistics of its own, and follows the encoder's parameters after each update;
//! its running statistics come from its own passes.

use super::ForeignEncoder;
use crate::{
    error::{Error, Result},
    native::{self, Withheld},
    plugin::{Component, PluginError},
    tensor::NamedTensor,
};
use infomax_sdk::{Mode, Momentum, Role, requests::Request};
use tch::Tensor;

/// A momentum encoder with its schedule.
pub struct MomentumEncoder {
    encoder: ForeignEncoder,
    momentum: Momentum,
    /// Its parameters, and position by position those that they follow.
    slow: Vec<Tensor>,
    fast: Vec<Tensor>,
}

impl MomentumEncoder {
    /// A copy of an encoder as it is now.
    ///
    /// # Errors
    /// What the plugin or libtorch says.
    pub fn of(encoder: &ForeignEncoder, component: &Component, request: &Request, momentum: Momentum) -> Result<Self> {
        let copy = ForeignEncoder::create(component, request)?.computing_in(encoder.arithmetic());
        let (own, theirs) = (copy.tensors()?, encoder.tensors()?);
        if own.len() != theirs.len() || own.iter().zip(&theirs).any(|(own, theirs)| own.name != theirs.name) {
            let message = "two encoders of one config have different tensors".to_owned();
            return Err(encoder.breach("tensors", message, "always give the same ones, in the same order").into());
        }
        let (mut slow, mut fast) = (Vec::new(), Vec::new());
        for (mut own, theirs) in own.into_iter().zip(theirs) {
            tch::no_grad(|| own.tensor.f_copy_(&theirs.tensor)).map_err(Error::torch("copy the encoder"))?;
            if own.role == Role::Parameter {
                slow.push(own.tensor);
                fast.push(theirs.tensor);
            }
        }
        Ok(Self { encoder: copy, momentum, slow, fast })
    }

    /// The maps of some views, without gradients.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn forward(&mut self, views: &[Tensor]) -> Result<Vec<Vec<Tensor>>, PluginError> {
        tch::no_grad(|| self.encoder.forward(views, Mode::Train))
    }

    /// How it follows the encoder.
    pub fn schedule(&self) -> &Momentum {
        &self.momentum
    }

    /// Follows the encoder after the update that came after `step` updates; the share of itself that it kept.
    /// Nothing changes where the update was withheld on the device.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn follow(&self, step: u64, total_steps: u64, withheld: Withheld<'_>) -> Result<f64> {
        let momentum = self.momentum.at(step, total_steps);
        let averaged = native::average(&self.slow, &self.fast, momentum, withheld);
        averaged.map_err(Error::native("average the momentum encoder"))?;
        Ok(momentum)
    }

    /// Parameters and buffers; none of them is trained.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn tensors(&self) -> Result<Vec<NamedTensor>, PluginError> {
        let untrained = |named: NamedTensor| NamedTensor { role: Role::Buffer, ..named };
        Ok(self.encoder.tensors()?.into_iter().map(untrained).collect())
    }
}
