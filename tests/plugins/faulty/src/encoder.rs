//! The mean colour of a view through one linear layer: one map `r1` of 4 × 1 × 1.

use crate::{
    config::{Callback, Fault, FaultyConfig},
    left::{self, undefined},
};
use infomax_sdk::{
    Device, Encoder, EncoderDescription, EncoderInput, FeatureMap, Kind, Mode, Module, NamedTensor, Parameter, Result,
    Tensor, named, nn, tensor::call,
};
use serde_json::{Value, json};

const CHANNELS: i64 = 4;

/// The encoder.
pub struct FaultyEncoder {
    config: FaultyConfig,
    weight: Parameter,
    calls: u64,
}

named!(FaultyEncoder { weight });

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
        let weight = Parameter::new(Tensor::randn([CHANNELS, 3], Kind::F32, device));
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
            left::no_grad();
        }
        if has(Fault::ThreadsLeft) {
            left::threads();
        }
        if has(Fault::AutocastLeft) {
            left::autocast_on();
        }
        if has(Fault::Replaced) {
            self.weight = Parameter::new(self.weight.alias_copy());
        }
        if has(Fault::ChangesInput) {
            views[0].mul_(2.0);
        }
        let mut maps = Vec::with_capacity(views.len());
        for view in views {
            let colour_bc = view.to_kind(Kind::F32).mean_dim([2, 3], false);
            let map = colour_bc.matmul(&self.weight.t()).view([-1, CHANNELS, 1, 1]);
            maps.push(match self.config.fault {
                _ if self.config.callback != Callback::Forward => vec![map],
                Fault::ByPlace => {
                    let place = Tensor::arange(1, map.size_of(0) + 1, Kind::F32, map.device());
                    vec![map * place.view([-1, 1, 1, 1])]
                }
                Fault::Shape => vec![map.expand([-1, -1, 2, 2])],
                Fault::Rank => vec![map.flatten(1, -1)],
                Fault::Kind => vec![map.to_kind(Kind::I64)],
                Fault::Undefined => vec![undefined()],
                Fault::Missing => Vec::new(),
                Fault::NoDerivative => vec![call("aten::nextafter", &[&map, &map.ones_like()]).tensor()],
                Fault::Detached => vec![map.detach()],
                Fault::NotANumber if due => vec![map * f64::NAN],
                Fault::OwnStatistics if mode != Mode::Evaluate => {
                    let centred = &map - map.mean_dim([0], true);
                    vec![&centred / (centred.square().mean_dim([0], true) + 1e-5).sqrt()]
                }
                Fault::SharedStatistics if mode != Mode::Evaluate => vec![nn::batch_norm(&map, None)],
                Fault::Branches if mode != Mode::Evaluate && is_bright(view) => vec![nn::batch_norm(&map, None)],
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
        let mut list = self.tensors_below("");
        if self.config.has(Callback::Tensors, Fault::Undefined) {
            list[0].tensor = undefined();
        }
        list
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

fn is_bright(view: &Tensor) -> bool {
    view.narrow(0, 0, 1).mean().item() > 0.0
}

impl Drop for FaultyEncoder {
    fn drop(&mut self) {
        self.config.trip_hard(Callback::Drop);
    }
}
