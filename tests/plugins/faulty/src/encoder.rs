//! The mean colour of a view through one linear layer: one map `r1` of 4 × 1 × 1.

use crate::{
    config::{Callback, Fault, FaultyConfig},
    trip::leave_autocast_on,
};
use infomax_sdk::{
    Encoder, EncoderDescription, EncoderInput, FeatureMap, Mode, NamedTensor, Result,
    tch::{self, Device, Kind, Tensor},
};
use serde_json::{Value, json};

const CHANNELS: i64 = 4;

/// The encoder.
pub struct FaultyEncoder {
    config: FaultyConfig,
    weight: Tensor,
    calls: u64,
}

impl Encoder for FaultyEncoder {
    type Config = FaultyConfig;

    fn describe(config: &FaultyConfig, _input: &EncoderInput) -> Result<EncoderDescription> {
        config.trip(Callback::Describe)?;
        let missing = config.has(Callback::Describe, Fault::Missing);
        Ok(EncoderDescription {
            maps: vec![FeatureMap { name: "r1".to_owned(), channels: CHANNELS as u32, height: 1, width: 1 }],
            representation: if missing { "r9" } else { "r1" }.to_owned(),
            parameter_count: 3 * CHANNELS as u64,
            activation_bytes: 0,
        })
    }

    fn create(config: &FaultyConfig, _input: &EncoderInput, device: Device) -> Result<Self> {
        config.trip(Callback::Create)?;
        let weight = Tensor::f_randn([CHANNELS, 3], (Kind::Float, device))?.f_set_requires_grad(true)?;
        Ok(Self { config: config.clone(), weight, calls: 0 })
    }

    fn forward(&mut self, views: &[Tensor], mode: Mode) -> Result<Vec<Vec<Tensor>>> {
        self.config.trip(Callback::Forward)?;
        let has = |fault| self.config.has(Callback::Forward, fault);
        let due = self.calls >= self.config.step;
        self.calls += u64::from(mode == Mode::Train);
        if has(Fault::Hang) && due {
            self.config.end();
        }
        if has(Fault::NoGradLeft) {
            std::mem::forget(tch::no_grad_guard());
        }
        if has(Fault::ThreadsLeft) {
            tch::set_num_threads(tch::get_num_threads() + 1);
        }
        if has(Fault::AutocastLeft) {
            leave_autocast_on();
        }
        if has(Fault::Replaced) {
            self.weight = self.weight.f_alias_copy()?.f_detach()?.f_set_requires_grad(true)?;
        }
        if has(Fault::ChangesInput) {
            let _ = views[0].shallow_clone().f_mul_scalar_(2.0)?;
        }
        let mut maps = Vec::with_capacity(views.len());
        for view in views {
            let colour_bc = view.f_mean_dim(&[2i64, 3][..], false, Kind::Float)?;
            let map = colour_bc.f_matmul(&self.weight.f_transpose(0, 1)?)?.f_view([-1, CHANNELS, 1, 1])?;
            maps.push(match self.config.fault {
                _ if self.config.callback != Callback::Forward => vec![map],
                Fault::Shape => vec![map.f_expand([-1, -1, 2, 2], false)?],
                Fault::Rank => vec![map.f_flatten(1, -1)?],
                Fault::Kind => vec![map.f_to_kind(Kind::Int64)?],
                Fault::Undefined => vec![Tensor::new()],
                Fault::Missing => Vec::new(),
                Fault::Detached => vec![map.f_detach()?],
                Fault::NotANumber if due => vec![map.f_mul_scalar(f64::NAN)?],
                _ => vec![map],
            });
        }
        if has(Fault::ViewTooFew) {
            maps.pop();
        }
        Ok(maps)
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.config.trip_hard(Callback::Tensors);
        let undefined = self.config.has(Callback::Tensors, Fault::Undefined).then(Tensor::new);
        vec![NamedTensor::parameter("weight", undefined.as_ref().unwrap_or(&self.weight))]
    }

    fn save(&self) -> Value {
        self.config.trip_hard(Callback::Save);
        json!({ "calls": self.calls })
    }

    fn load(&mut self, state: Value) -> Result<()> {
        self.config.trip(Callback::Load)?;
        self.calls = state["calls"].as_u64().unwrap_or_default();
        Ok(())
    }
}

impl Drop for FaultyEncoder {
    fn drop(&mut self) {
        self.config.trip_hard(Callback::Drop);
    }
}
