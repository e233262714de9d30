//! The distance between two views' representations, and their size times a trained scale.

// B images · D channels

use crate::{
    config::{Callback, Fault, FaultyConfig},
    left::{self, undefined},
};
use infomax_sdk::{
    Device, Facts, Features, Gradients, Key, Kind, Loss, LossDescription, LossInput, Module, NamedTensor, Need,
    Parameter, Result, Source, Tensor, Terms, named, tensor::call,
};
use serde_json::{Value, json};
use std::ops::Range;

/// The loss.
pub struct FaultyLoss {
    config: FaultyConfig,
    map: String,
    scale: Parameter,
    updates: u64,
}

named!(FaultyLoss { scale });

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
        let scale = Parameter::new(Tensor::ones(1, Kind::F32, device));
        Ok(Self { config: config.clone(), map: input.representation.clone(), scale, updates: 0 })
    }

    fn forward(&self, features: &Features, facts: &Facts, _rows: Range<i64>) -> Result<Terms> {
        self.config.trip(Callback::Forward)?;
        if self.config.has(Callback::Forward, Fault::ChangesInput) {
            features.get(0, &self.map)?.detach().mul_(2.0);
        }
        self.faulty(Callback::Forward, features, facts.step)
    }

    fn forward_backward(&self, features: &Features, facts: &Facts, _rows: Range<i64>) -> Result<Gradients> {
        self.config.trip(Callback::ForwardBackward)?;
        let (one_bd, two_bd) = (features.get(0, &self.map)?, features.get(1, &self.map)?);
        let per_number = 2.0 / one_bd.numel() as f64;
        let apart = ((one_bd - two_bd) * per_number).detach();
        let size = (one_bd * &*self.scale * per_number).detach();
        let mut gradients = vec![Some(&apart + &size), Some(-&apart)];
        if self.config.overflow_steps.contains(&facts.step) {
            gradients[0] = Some(apart.full_like(f64::INFINITY));
        }
        let terms = self.faulty(Callback::ForwardBackward, features, facts.step)?;
        match self.config.fault {
            Fault::GradientShape => gradients[1] = Some(apart.flatten(0, -1)),
            Fault::GradientMissing => gradients.truncate(1),
            Fault::GradientWrong => gradients[0] = Some((apart + size) * 3.0),
            _ => {}
        }
        let scale = one_bd.to_kind(Kind::F32).square().mean().detach().reshape(1);
        Ok(Gradients { terms, features: gradients, parameters: vec![("scale".to_owned(), scale)] })
    }

    fn before_step(&mut self, _facts: &Facts) -> Result<()> {
        self.config.trip(Callback::BeforeStep)
    }

    fn after_update(&mut self, features: &Features, facts: &Facts) -> Result<()> {
        self.config.trip(Callback::AfterUpdate)?;
        if self.config.has(Callback::AfterUpdate, Fault::ChangesInput) {
            features.get(1, &self.map)?.detach().mul_(2.0);
        }
        let flips = self.config.has(Callback::AfterUpdate, Fault::FlipBit) && self.config.is_this_rank();
        if flips && facts.step == self.config.step {
            let bits = self.scale.detach().view_kind(Kind::I32);
            bits.bitwise_xor_(&bits.ones_like());
        }
        self.updates += 1;
        Ok(())
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.config.trip_hard(Callback::Tensors);
        self.tensors_below("")
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
        let distance = (one_bd - two_bd).square().to_kind(Kind::F32).mean();
        let size = (one_bd.square() * &*self.scale).to_kind(Kind::F32).mean();
        Ok(Terms::sum([("distance", 1.0, distance), ("size", 1.0, size)]))
    }

    fn faulty(&self, callback: Callback, features: &Features, step: u64) -> Result<Terms> {
        let mut terms = self.terms(features)?;
        if self.config.callback != callback || !self.config.is_this_rank() {
            return Ok(terms);
        }
        let (total, size) = (&terms.total, &terms.terms[1].1);
        let nan = |tensor: &Tensor| tensor * f64::NAN;
        let due = step >= self.config.step;
        match self.config.fault {
            Fault::Shape => terms.total = total.expand(2),
            Fault::Rank => terms.total = total.reshape([1, 1]),
            Fault::Kind => terms.total = total.to_kind(Kind::F16),
            Fault::Undefined => terms.total = undefined(),
            Fault::NoDerivative => terms.total = call("aten::nextafter", &[total, size]).tensor(),
            Fault::Detached => terms.total = total.detach(),
            Fault::NotANumber if due => {
                (terms.total, terms.terms[1].1) = (nan(total), nan(size));
            }
            Fault::Kill if due => self.config.kill(),
            Fault::Exit | Fault::Abort | Fault::Segfault | Fault::Hang if due => self.config.end(),
            Fault::Leak => std::mem::forget(vec![1_u8; 1 << 20]),
            Fault::ByPlace => {
                let one_bd = features.get(0, &self.map)?.to_kind(Kind::F32).flatten(1, -1);
                let place_b1 = Tensor::arange(0, one_bd.size_of(0), Kind::F32, one_bd.device()).unsqueeze(1);
                terms.total = total + (one_bd * place_b1).mean();
            }
            Fault::Draws => terms.total = total + Tensor::rand([0i64; 0], Kind::F32, total.device()),
            Fault::Waits => terms.total = total * if total.item() > 1e9 { 0.5 } else { 1.0 },
            Fault::OwnKey => terms.total = total + Key::new(step).uniform([0i64; 0], total.device()),
            Fault::HostNumber => terms.total = total + Tensor::from_slice(&[step as f32], [], total.device()),
            Fault::Rhythm if due && step % 3 == 0 => terms.total = total * 2.0,
            Fault::OverflowsInHalf => {
                let one_bd = features.get(0, &self.map)?;
                let kept = (one_bd * 3e5 * 1e-5).to_kind(Kind::F32).mean();
                terms.total = total + kept;
            }
            Fault::TermShape => terms.terms[1].1 = size.expand(3),
            Fault::TermKind => terms.terms[1].1 = size.to_kind(Kind::I64),
            Fault::TermUndefined => terms.terms[1].1 = undefined(),
            Fault::TermNotANumber if due => terms.terms[1].1 = nan(size),
            Fault::NoGradLeft => left::no_grad(),
            Fault::AutocastLeft => left::autocast_on(),
            Fault::ThreadsLeft => left::threads(),
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
