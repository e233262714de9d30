//! Loss scaling for f16, whose smallest number is 6e-8: losses are multiplied by a scale before the backward pass, the
//! gradients divided by it after. A gradient that overflows halves the scale; many steps without one double it.
//!
//! # Source
//! Micikevicius et al. 2018, arXiv:1710.03740, section 3.2; the rule is that of PyTorch's `GradScaler`, with a floor.

use super::Model;
use crate::{
    config::LossScale,
    error::{Error, Result},
    native::precision,
    optimizer::Optimizer,
};
use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

/// Beyond what any f16 gradient bears; products of a loss with it stay far within f32.
const LARGEST: f64 = (1u64 << 40) as f64;

/// What a resumed run needs to go on alike.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalerState {
    /// By which the next step's loss is multiplied.
    pub scale: f64,
    /// Steps without an overflow since the scale last changed.
    pub good_steps: u64,
}

/// A scale and its rule.
#[derive(Clone, Debug)]
pub struct LossScaler {
    rule: LossScale,
    state: ScalerState,
}

impl LossScaler {
    /// A scaler at its initial scale.
    pub fn new(rule: LossScale) -> Self {
        Self { state: ScalerState { scale: rule.initial.max(rule.floor), good_steps: 0 }, rule }
    }

    /// By which this step's loss is multiplied.
    pub fn scale(&self) -> f64 {
        self.state.scale
    }

    /// Whether the scale can't fall any more.
    pub fn is_at_floor(&self) -> bool {
        self.state.scale <= self.rule.floor
    }

    /// For a checkpoint.
    pub fn state(&self) -> ScalerState {
        self.state
    }

    /// Out of a checkpoint.
    pub fn load(&mut self, state: ScalerState) {
        self.state = state;
    }

    /// Divides the gradients of encoder and loss by the scale, in place, and says whether one had overflowed. The
    /// classifiers' loss is never scaled. Waits for a GPU.
    ///
    /// # Errors
    /// libtorch's message.
    fn unscale(&self, optimizer: &Optimizer) -> Result<bool> {
        let scaled = optimizer.trained().iter().filter(|trained| !trained.name.starts_with("evaluator."));
        let gradients: Vec<Tensor> = scaled.map(|trained| trained.tensor.grad()).filter(Tensor::defined).collect();
        precision::unscale(&gradients, self.state.scale).map_err(Error::native("unscale gradients"))
    }

    /// After a step whose gradients were looked at.
    pub fn update(&mut self, overflowed: bool) {
        let ScalerState { scale, good_steps } = &mut self.state;
        if overflowed {
            *scale = (*scale * self.rule.backoff).max(self.rule.floor);
            *good_steps = 0;
            return;
        }
        *good_steps += 1;
        if *good_steps >= self.rule.growth_every_steps {
            *scale = (*scale * self.rule.growth).min(LARGEST.max(*scale));
            *good_steps = 0;
        }
    }
}

/// A loss or a gradient of its, multiplied by the scale; as it is without one.
///
/// # Errors
/// libtorch's.
pub fn scaled(tensor: &Tensor, scale: Option<f64>) -> Result<Tensor, TchError> {
    match scale {
        // In f32, or the product would overflow where the scale is for.
        Some(scale) if tensor.kind() != Kind::Double => tensor.f_to_kind(Kind::Float)?.f_multiply_scalar(scale),
        Some(scale) => tensor.f_multiply_scalar(scale),
        None => Ok(tensor.shallow_clone()),
    }
}

/// Unscales a model's gradients after the backward pass and moves the scale; adds the scale that was used to a step's
/// values, which are its terms so far. Says whether a gradient overflowed at a scale that could still fall.
///
/// A term that is not finite is no fault of the scale, which acts on the backward pass alone, and does not move it.
///
/// # Errors
/// libtorch's message.
pub fn unscale(model: &mut Model, values: &mut Vec<(String, f64)>) -> Result<bool> {
    let Some(scaler) = &mut model.scaler else { return Ok(false) };
    let overflowed = scaler.unscale(&model.optimizer)?;
    let terms_are_finite = values.iter().all(|(_, value)| value.is_finite());
    values.push(("loss_scale".to_owned(), scaler.scale()));
    let could_fall = !scaler.is_at_floor();
    if terms_are_finite {
        scaler.update(overflowed);
    }
    Ok(overflowed && terms_are_finite && could_fall)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaler(initial: f64, growth_every_steps: u64) -> LossScaler {
        LossScaler::new(LossScale { initial, growth_every_steps, ..LossScale::default() })
    }

    #[test]
    fn one_overflow_halves_and_the_count_begins_again() {
        let mut scaler = scaler(1024.0, 3);
        let mut scales = Vec::new();
        for overflowed in [false, false, true, false, false, false, false] {
            scaler.update(overflowed);
            scales.push(scaler.scale());
        }
        assert_eq!(scales, [1024.0, 1024.0, 512.0, 512.0, 512.0, 1024.0, 1024.0]);
        assert_eq!(scaler.state(), ScalerState { scale: 1024.0, good_steps: 1 });
    }

    #[test]
    fn alternating_overflows_never_grow() {
        let mut scaler = scaler(65536.0, 2);
        (0..20).for_each(|step| scaler.update(step % 2 == 0));
        assert_eq!(scaler.scale(), 65536.0 / 1024.0);
    }

    #[test]
    fn permanent_overflow_stops_at_the_floor() {
        let mut scaler = scaler(65536.0, 2000);
        for halvings in 0..16 {
            assert!(!scaler.is_at_floor(), "after {halvings} halvings");
            scaler.update(true);
        }
        assert!(scaler.is_at_floor());
        scaler.update(true);
        assert_eq!(scaler.scale(), 1.0);
    }

    #[test]
    fn growth_has_an_end() {
        let mut scaler = scaler(LARGEST / 2.0, 1);
        (0..10).for_each(|_| scaler.update(false));
        assert_eq!(scaler.scale(), LARGEST);
    }
}
