//! The distance between two views' representations, and their size times a trained scale.

// B images · D channels

use crate::{
    config::{Callback, Fault, FaultyConfig},
    trip::leave_autocast_on,
};
use infomax_sdk::{
    Facts, Features, Gradients, Loss, LossDescription, LossInput, NamedTensor, Need, Result, Source, Terms,
    tch::{Device, Kind, Tensor},
};
use serde_json::{Value, json};
use std::ops::Range;

/// The loss.
pub struct FaultyLoss {
    config: FaultyConfig,
    map: String,
    scale: Tensor,
    updates: u64,
}

impl Loss for FaultyLoss {
    type Config = FaultyConfig;

    fn describe(config: &FaultyConfig, input: &LossInput) -> Result<LossDescription> {
        config.trip(Callback::Describe)?;
        let view = if config.has(Callback::Describe, Fault::ViewTooFew) { 2 } else { 1 };
        let need = |view| Need { view, source: Source::Encoder, maps: vec![input.representation.clone()] };
        let missing = config.has(Callback::Describe, Fault::Missing);
        Ok(LossDescription {
            needs: if missing { Vec::new() } else { vec![need(0), need(view)] },
            terms: vec!["distance".to_owned(), "size".to_owned()],
            forward_backward: config.by_hand,
            parameter_count: 1,
            min_batch_size: 1,
            ..LossDescription::default()
        })
    }

    fn create(config: &FaultyConfig, input: &LossInput, device: Device) -> Result<Self> {
        config.trip(Callback::Create)?;
        let scale = Tensor::f_ones([1], (Kind::Float, device))?.f_set_requires_grad(true)?;
        Ok(Self { config: config.clone(), map: input.representation.clone(), scale, updates: 0 })
    }

    fn forward(&self, features: &Features, facts: &Facts, _rows: Range<i64>) -> Result<Terms> {
        self.config.trip(Callback::Forward)?;
        if self.config.has(Callback::Forward, Fault::ChangesInput) {
            let _ = features.get(0, &self.map)?.f_detach()?.f_mul_scalar_(2.0)?;
        }
        self.faulty(Callback::Forward, self.terms(features)?, facts.step)
    }

    fn forward_backward(&self, features: &Features, facts: &Facts, _rows: Range<i64>) -> Result<Gradients> {
        self.config.trip(Callback::ForwardBackward)?;
        let (one_bd, two_bd) = (features.get(0, &self.map)?, features.get(1, &self.map)?);
        let per_number = 2.0 / one_bd.numel() as f64;
        let apart = one_bd.f_sub(two_bd)?.f_mul_scalar(per_number)?.f_detach()?;
        let size = one_bd.f_mul(&self.scale)?.f_mul_scalar(per_number)?.f_detach()?;
        let mut gradients = vec![Some(apart.f_add(&size)?), Some(apart.f_neg()?)];
        if self.config.overflow_steps.contains(&facts.step) {
            gradients[0] = Some(apart.f_full_like(f64::INFINITY)?);
        }
        let terms = self.faulty(Callback::ForwardBackward, self.terms(features)?, facts.step)?;
        match self.config.fault {
            Fault::GradientShape => gradients[1] = Some(apart.f_flatten(0, -1)?),
            Fault::GradientMissing => gradients.truncate(1),
            _ => {}
        }
        let scale = one_bd.f_square()?.f_mean(Kind::Float)?.f_detach()?.f_reshape([1])?;
        Ok(Gradients { terms, features: gradients, parameters: vec![("scale".to_owned(), scale)] })
    }

    fn before_step(&mut self, _facts: &Facts) -> Result<()> {
        self.config.trip(Callback::BeforeStep)
    }

    fn after_update(&mut self, features: &Features, facts: &Facts) -> Result<()> {
        self.config.trip(Callback::AfterUpdate)?;
        if self.config.has(Callback::AfterUpdate, Fault::ChangesInput) {
            let _ = features.get(1, &self.map)?.f_detach()?.f_mul_scalar_(2.0)?;
        }
        let flips = self.config.has(Callback::AfterUpdate, Fault::FlipBit) && self.config.is_this_rank();
        if flips && facts.step == self.config.step {
            let bits = self.scale.f_detach()?.f_view_dtype(Kind::Int)?;
            let _ = bits.shallow_clone().f_bitwise_xor_tensor_(&bits.f_ones_like()?)?;
        }
        self.updates += 1;
        Ok(())
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.config.trip_hard(Callback::Tensors);
        vec![NamedTensor::parameter("scale", &self.scale)]
    }

    fn save(&self) -> Value {
        self.config.trip_hard(Callback::Save);
        json!({ "updates": self.updates })
    }

    fn load(&mut self, state: Value) -> Result<()> {
        self.config.trip(Callback::Load)?;
        self.updates = state["updates"].as_u64().unwrap_or_default();
        Ok(())
    }
}

impl FaultyLoss {
    fn terms(&self, features: &Features) -> Result<Terms> {
        let (one_bd, two_bd) = (features.get(0, &self.map)?, features.get(1, &self.map)?);
        let distance = one_bd.f_sub(two_bd)?.f_square()?.f_mean(Kind::Float)?;
        let size = one_bd.f_square()?.f_mul(&self.scale)?.f_mean(Kind::Float)?;
        let total = distance.f_add(&size)?;
        Ok(Terms { total, terms: vec![("distance".to_owned(), distance), ("size".to_owned(), size)] })
    }

    fn faulty(&self, callback: Callback, mut terms: Terms, step: u64) -> Result<Terms> {
        if self.config.callback != callback || !self.config.is_this_rank() {
            return Ok(terms);
        }
        let (total, size) = (&terms.total, &terms.terms[1].1);
        let nan = |tensor: &Tensor| tensor.f_mul_scalar(f64::NAN);
        let due = step >= self.config.step;
        match self.config.fault {
            Fault::Shape => terms.total = total.f_expand([2], false)?,
            Fault::Rank => terms.total = total.f_reshape([1, 1])?,
            Fault::Kind => terms.total = total.f_to_kind(Kind::Half)?,
            Fault::Undefined => terms.total = Tensor::new(),
            Fault::Detached => terms.total = total.f_detach()?,
            Fault::NotANumber if due => {
                (terms.total, terms.terms[1].1) = (nan(total)?, nan(size)?);
            }
            Fault::Kill if due => self.config.kill(),
            Fault::Exit | Fault::Abort | Fault::Segfault | Fault::Hang if due => self.config.end(),
            Fault::Leak => std::mem::forget(vec![1_u8; 1 << 20]),
            Fault::TermShape => terms.terms[1].1 = size.f_expand([3], false)?,
            Fault::TermKind => terms.terms[1].1 = size.f_to_kind(Kind::Int64)?,
            Fault::TermUndefined => terms.terms[1].1 = Tensor::new(),
            Fault::TermNotANumber if due => terms.terms[1].1 = nan(size)?,
            Fault::NoGradLeft => std::mem::forget(infomax_sdk::tch::no_grad_guard()),
            Fault::AutocastLeft => leave_autocast_on(),
            Fault::ThreadsLeft => infomax_sdk::tch::set_num_threads(infomax_sdk::tch::get_num_threads() + 1),
            _ => {}
        }
        Ok(terms)
    }
}

impl Drop for FaultyLoss {
    fn drop(&mut self) {
        self.config.trip_hard(Callback::Drop);
    }
}
