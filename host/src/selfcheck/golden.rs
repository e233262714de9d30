//! One step of a small AMDIM on the device against the embedded case, which `record_case.py` recorded.

use super::Check;
use crate::{
    checkpoint::{TensorFile, read_tensors},
    encoder::ForeignEncoder,
    error::{Error, Result},
    loss::ForeignLoss,
    native,
    plugin::{Component, Kind, LoadComponent, Registry},
    tensor::{Facts, Feature, Features, kind_of},
    train::{Arithmetic, device_name},
};
use infomax_sdk::{EncoderInput, Key, LossInput, Mode, Source, View, requests::Request};
use serde_json::json;
use tch::{Device, Tensor};

const CASE: &[u8] = include_bytes!("case.safetensors");
const MAPS: [&str; 3] = ["r1", "r5", "r7"];
/// Of the largest number of each kind: f32's rounding through the network, with room for another device's order of sums.
const BOUND: f64 = 3e-5;

/// The embedded case.
pub fn case() -> Result<TensorFile> {
    read_tensors(CASE).map_err(|reason| Error::Bug { what: format!("the embedded case can't be read: {reason}") })
}

/// What a step of the case gave.
pub struct Step {
    /// By view and map.
    pub maps: Vec<Tensor>,
    pub loss: f64,
    /// By name.
    pub gradients: Vec<(String, Tensor)>,
}

/// Computes the case's step on a device.
///
/// # Errors
/// What the plugins or libtorch say.
pub fn step(registry: &Registry, case: &TensorFile, device: Device, arithmetic: Arithmetic) -> Result<Step> {
    arithmetic.switch()?;
    let component = |kind, name: &str| -> Result<Component> {
        let (library, name) = registry.load(kind, name, None)?;
        Ok(Component::new(library, kind, name))
    };
    let view = |name: &str| View { name: name.to_owned(), height: 32, width: 32, group: 0 };
    let views = vec![view("one"), view("two")];
    let input = EncoderInput { views: views.clone(), eval_size: [32, 32], ..EncoderInput::default() };
    let request = Request { device: device_name(device), ..Request::default() };
    let config = json!({ "size": 32, "ndf": 4, "n_rkhs": 16, "depth": 1, "use_bn": true });
    let encoder_request = Request { config, encoder: input, ..request.clone() };
    let encoder = ForeignEncoder::create(&component(Kind::Encoder, "amdim")?, &encoder_request)?;
    let mut encoder = encoder.computing_in(arithmetic);
    let maps = encoder.description().maps.clone();
    let loss = LossInput { views, maps, representation: "r1".to_owned(), class_count: None };
    let loss_request = Request { config: json!({}), loss, ..request };
    let loss = ForeignLoss::create(&component(Kind::Loss, "amdim")?, &loss_request)?;
    let mut loss = loss.computing_in(arithmetic);

    let recorded = |name: &str| -> Result<Tensor> {
        let tensor = case.tensors.get(name).map(|tensor| tensor.to_device(device));
        tensor.ok_or_else(|| Error::Bug { what: format!("the embedded case has no `{name}`") })
    };
    let tensors = encoder.tensors()?;
    for named in &tensors {
        if let Ok(tensor) = recorded(&format!("init/{}", named.name)) {
            tch::no_grad(|| named.tensor.shallow_clone().f_copy_(&tensor)).map_err(Error::torch("load the case"))?;
        }
    }
    let locations = recorded("locations")?.to_kind(tch::Kind::Int64).to_device(Device::Cpu);
    let list = |view: i64| Vec::<i64>::try_from(locations.get(view)).map_err(Error::torch("load the case"));
    loss.load(&json!({ "source_locations": [list(0)?, list(1)?] }))?;

    let maps = encoder.forward(&[recorded("x1")?, recorded("x2")?], Mode::Train)?;
    let mut items = Vec::new();
    for (view, maps) in maps.iter().enumerate() {
        for (name, map) in MAPS.into_iter().zip(maps) {
            items.push(Feature { view, source: Source::Encoder, map: name.to_owned(), tensor: map.detach() });
        }
    }
    let facts = Facts {
        step: 0,
        total_steps: 0,
        epoch: 0,
        key: Key::new(1),
        world_size: 1,
        dtype: kind_of(arithmetic.dtype()),
        labels: None,
        indices: None,
    };
    let batch = maps[0][0].size()[0];
    let done = loss.forward_backward(&Features::new(items), &facts, 0..batch)?;
    let outputs: Vec<Tensor> = maps.iter().flatten().map(Tensor::shallow_clone).collect();
    let (outputs, given): (Vec<Tensor>, Vec<Tensor>) =
        outputs.into_iter().zip(done.features).filter_map(|(output, gradient)| Some((output, gradient?))).unzip();
    native::backward(&outputs, &given).map_err(Error::native("run the case backward"))?;
    let gradients = tensors.into_iter().map(|named| (named.name, named.tensor.grad()));
    Ok(Step {
        maps: maps
            .into_iter()
            .flatten()
            .map(|map| map.detach().to_kind(tch::Kind::Float).to_device(Device::Cpu))
            .collect(),
        loss: done.terms.total.double_value(&[]),
        gradients: gradients.filter(|(_, g)| g.defined()).map(|(name, g)| (name, g.to_device(Device::Cpu))).collect(),
    })
}

/// The largest difference of some tensors, relative to the largest number among the second ones.
pub fn apart(pairs: &[(Tensor, Tensor)]) -> f64 {
    let most = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
    let largest = pairs.iter().map(|(_, theirs)| most(theirs)).fold(0.0, f64::max);
    pairs.iter().map(|(ours, theirs)| most(&(ours - theirs))).fold(0.0, f64::max) / largest
}

pub fn check(registry: &Registry, device: Device) -> Result<Vec<Check>> {
    let case = case()?;
    let step = step(registry, &case, device, Arithmetic::plain(device))?;
    let get = |name: &str| case.tensors[name].shallow_clone();
    let mut maps = Vec::new();
    for view in 0..2 {
        for (i, name) in MAPS.iter().enumerate() {
            maps.push((step.maps[view * 3 + i].shallow_clone(), get(&format!("map/{view}/{name}"))));
        }
    }
    let recorded = case.tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("gradient/")?, tensor)));
    let ours = |name: &str| step.gradients.iter().find(|(own, _)| own == name).map(|(_, g)| g.shallow_clone());
    let pairs: Option<Vec<_>> = recorded.map(|(name, theirs)| Some((ours(name)?, theirs.shallow_clone()))).collect();
    let loss: f64 = case.tensors.iter().filter(|(n, _)| n.starts_with("loss/")).map(|(_, t)| t.double_value(&[])).sum();
    let gradients = pairs.map_or(f64::INFINITY, |pairs| apart(&pairs));
    Ok(vec![
        Check::below("recorded feature maps", apart(&maps), BOUND, "largest difference, of the largest number"),
        Check::below("recorded loss", (step.loss / loss - 1.0).abs(), BOUND, "relative difference"),
        Check::below("recorded gradients", gradients, BOUND, "largest difference, of the largest gradient"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_number_is_seen() {
        let case = case().unwrap();
        let theirs = case.tensors["map/0/r5"].shallow_clone();
        let mut ours = theirs.copy();
        assert_eq!(apart(&[(ours.shallow_clone(), theirs.shallow_clone())]), 0.0);
        let _ = ours.get(0).get(0).get(0).get(0).f_add_scalar_(theirs.abs().max().double_value(&[]) * 1e-4).unwrap();
        ours = ours.shallow_clone();
        assert!(apart(&[(ours, theirs)]) > BOUND);
    }
}
