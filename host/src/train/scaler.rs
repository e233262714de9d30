//! Loss scaling for f16, whose smallest number is 6e-8: losses are multiplied by a scale before the backward pass, the
//! gradients divided by it after. A gradient that overflows halves the scale; many steps without one double it.
//!
//! # Source
//! Micikevicius et al. 2018, arXiv:1710.03740, section 3.2; the rule is that of PyTorch's `GradScaler`, with a floor.

use crate::{
    config::LossScale,
    error::{Error, Result},
    native::precision::{self, ScaleRule},
    optimizer::Optimizer,
};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

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

impl ScalerState {
    /// What a scaler's tensor says. Waits for its device.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn of(tensor: &Tensor) -> Result<Self> {
        let read = || Vec::<f64>::try_from(tensor.f_to_device(Device::Cpu)?);
        let numbers = read().map_err(Error::torch("read the loss scale"))?;
        Ok(Self { scale: numbers[0], good_steps: numbers[1] as u64 })
    }
}

/// A scale and its rule. The scale lies on the device, which moves it by itself: nobody waits to know it.
#[derive(Debug)]
pub struct LossScaler {
    rule: LossScale,
    /// f64: the scale, and the steps without an overflow since it last changed.
    state: Tensor,
}

impl LossScaler {
    /// A scaler at its initial scale.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn new(rule: LossScale, device: Device) -> Result<Self> {
        let state = Tensor::f_from_slice(&[rule.initial.max(rule.floor), 0.0]);
        let state = state.and_then(|state| state.f_to_device(device)).map_err(Error::torch("make the loss scale"))?;
        Ok(Self { rule, state })
    }

    /// By which this step's loss is multiplied: an f64 scalar on the device, which the next move does not change.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn scale(&self) -> Result<Tensor> {
        self.state.f_select(0, 0).and_then(|scale| scale.f_alias_copy()).map_err(Error::torch("read the loss scale"))
    }

    /// The least scale.
    pub fn floor(&self) -> f64 {
        self.rule.floor
    }

    /// For a checkpoint: what [`ScalerState::of`] reads.
    pub fn tensor(&self) -> Tensor {
        self.state.shallow_clone()
    }

    /// Out of a checkpoint.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn load(&mut self, state: ScalerState) -> Result<()> {
        let saved = Tensor::f_from_slice(&[state.scale, state.good_steps as f64]);
        let load = |saved: Tensor| self.state.f_copy_(&saved).map(drop);
        saved.and_then(load).map_err(Error::torch("load the loss scale"))
    }

    /// Divides the gradients of encoder and loss by the scale, in place; an f32 scalar on the device, 1 where one had
    /// overflowed. The classifiers' loss is never scaled.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn unscale(&self, optimizer: &Optimizer, scale: &Tensor) -> Result<Tensor> {
        let scaled = optimizer.trained().iter().filter(|trained| !trained.name.starts_with("evaluator."));
        let gradients: Vec<Tensor> = scaled.map(|trained| trained.tensor.grad()).filter(Tensor::defined).collect();
        precision::unscale(&gradients, scale).map_err(Error::native("unscale gradients"))
    }

    /// After a step whose gradients were looked at; both are numbers on the device. A step that does not count moves nothing:
    /// a term that is not finite is no fault of the scale, which acts on the backward pass alone.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn update(&mut self, overflowed: &Tensor, counts: &Tensor) -> Result<()> {
        let LossScale { backoff, growth, floor, growth_every_steps, .. } = self.rule;
        let rule = ScaleRule { backoff, growth, floor, largest: LARGEST, every: growth_every_steps as f64 };
        precision::move_scale(&self.state, overflowed, counts, rule).map_err(Error::native("move the loss scale"))
    }
}

/// A loss or a gradient of its, multiplied by the scale; as it is without one.
///
/// # Errors
/// libtorch's.
pub fn scaled(tensor: &Tensor, scale: Option<&Tensor>) -> Result<Tensor, TchError> {
    match scale {
        // In f32, or the product would overflow where the scale is for.
        Some(scale) if tensor.kind() != Kind::Double => tensor.f_to_kind(Kind::Float)?.f_multiply(scale),
        Some(scale) => tensor.f_multiply(scale),
        None => Ok(tensor.shallow_clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaler(initial: f64, growth_every_steps: u64) -> LossScaler {
        LossScaler::new(LossScale { initial, growth_every_steps, ..LossScale::default() }, Device::Cpu).unwrap()
    }

    impl LossScaler {
        /// Moves, and gives the scale.
        fn after(&mut self, overflowed: bool) -> f64 {
            self.update(&Tensor::from(f32::from(u8::from(overflowed))), &Tensor::from(1.0f32)).unwrap();
            ScalerState::of(&self.state).unwrap().scale
        }
    }

    #[test]
    fn one_overflow_halves_and_the_count_begins_again() {
        let mut scaler = scaler(1024.0, 3);
        let steps = [false, false, true, false, false, false, false];
        let scales: Vec<f64> = steps.into_iter().map(|overflowed| scaler.after(overflowed)).collect();
        assert_eq!(scales, [1024.0, 1024.0, 512.0, 512.0, 512.0, 1024.0, 1024.0]);
        assert_eq!(ScalerState::of(&scaler.tensor()).unwrap(), ScalerState { scale: 1024.0, good_steps: 1 });
    }

    #[test]
    fn a_step_that_does_not_count_moves_nothing() {
        let mut scaler = scaler(1024.0, 3);
        let before = ScalerState::of(&scaler.tensor()).unwrap();
        for overflowed in [0.0f32, 1.0] {
            scaler.update(&Tensor::from(overflowed), &Tensor::from(0.0f32)).unwrap();
            assert_eq!(ScalerState::of(&scaler.tensor()).unwrap(), before);
        }
    }

    #[test]
    fn the_scale_of_a_step_stays_when_it_moves() {
        let mut scaler = scaler(1024.0, 3);
        let of_step = scaler.scale().unwrap();
        assert_eq!(scaler.after(true), 512.0);
        assert_eq!(of_step.double_value(&[]), 1024.0);
    }

    #[test]
    fn alternating_overflows_never_grow() {
        let mut scaler = scaler(65536.0, 2);
        let last = (0..20).map(|step| scaler.after(step % 2 == 0)).last();
        assert_eq!(last, Some(65536.0 / 1024.0));
    }

    #[test]
    fn permanent_overflow_stops_at_the_floor() {
        let mut scaler = scaler(65536.0, 2000);
        let scales: Vec<f64> = (0..18).map(|_| scaler.after(true)).collect();
        assert_eq!(scales[14..], [2.0, 1.0, 1.0, 1.0]);
        assert_eq!(scaler.floor(), 1.0);
    }

    #[test]
    fn growth_has_an_end() {
        let mut scaler = scaler(LARGEST / 2.0, 1);
        let last = (0..10).map(|_| scaler.after(false)).last();
        assert_eq!(last, Some(LARGEST));
    }
}
