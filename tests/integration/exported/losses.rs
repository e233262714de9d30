//! Exported losses against PyTorch: values, gradients, what they keep.

use super::recorded::{Case, cases, each, largest};
use crate::support::workspace::component;
use infomax::{
    loss::ForeignLoss,
    plugin::Kind,
    tensor::{Facts, Feature, Features},
};
use infomax_sdk::{FeatureMap, Key, LossInput, Role, Source, View, requests::Request};
use serde_json::json;
use tch::Tensor;

/// Of a value, and of the largest gradient.
const TOLERANCE: f64 = 1e-5;

/// An input of a recorded loss: view, encoder, map; none for labels.
fn place(name: &str) -> Option<(usize, Source, &str)> {
    let (place, map) = name.split_once('.')?;
    let view = |prefix: &str| place.strip_prefix(prefix).and_then(|view| view.parse().ok());
    match (view("view"), view("momentum")) {
        (Some(view), _) => Some((view, Source::Encoder, map)),
        (_, Some(view)) => Some((view, Source::MomentumEncoder, map)),
        _ => panic!("`{name}` is no input"),
    }
}

fn loss(case: &Case) -> ForeignLoss {
    let mut maps: Vec<FeatureMap> = Vec::new();
    for (name, tensor) in case.under("input.") {
        let Some((_, _, map)) = place(&name) else { continue };
        let side = |dim: usize| tensor.size().get(dim).map_or(1, |&n| n as u32);
        if !maps.iter().any(|other| other.name == map) {
            maps.push(FeatureMap { name: map.into(), channels: side(1), height: side(2), width: side(3) });
        }
    }
    let view = |i: usize| View { name: format!("view{i}"), height: 32, width: 32, group: 0 };
    let representation = maps[0].name.clone();
    let input = LossInput { views: (0..3).map(view).collect(), maps, representation, class_count: Some(4) };
    let request =
        Request { config: json!({ "file": case.file }), loss: input, device: "cpu".into(), ..Request::default() };
    ForeignLoss::create(&component(Kind::Loss, "exported"), &request)
        .unwrap_or_else(|error| panic!("{}: {}", case.name, error.fault()))
}

fn features(case: &Case, loss: &ForeignLoss) -> Features {
    let mut items = Vec::new();
    for need in &loss.description().needs {
        for map in &need.maps {
            let is_trained = need.source == Source::Encoder;
            let key = format!("input.{}{}.{map}", if is_trained { "view" } else { "momentum" }, need.view);
            let tensor = case.get(&key);
            let tensor = if tensor.dim() == 2 { tensor.unsqueeze(-1).unsqueeze(-1) } else { tensor };
            let tensor = tensor.detach().copy().set_requires_grad(is_trained);
            items.push(Feature { view: need.view, source: need.source, map: map.clone(), tensor });
        }
    }
    Features::new(items)
}

fn facts(case: &Case) -> Facts {
    Facts {
        step: 0,
        total_steps: 10,
        epoch: 0,
        key: Key::new(1),
        world_size: 1,
        dtype: infomax_sdk::Kind::F32,
        labels: case.find("input.labels"),
        indices: None,
    }
}

fn agrees(case: &Case) {
    let mut own = loss(case);
    let (features, facts) = (features(case, &own), facts(case));
    let batch = features.items()[0].tensor.size()[0];
    let terms =
        own.forward(&features, &facts, 0..batch).unwrap_or_else(|error| panic!("{}: {}", case.name, error.fault()));
    let compare = |terms: &infomax::tensor::Terms, prefix: &str| {
        let recorded = case.under(&format!("{prefix}."));
        let mut worst = 0.0_f64;
        for (name, recorded) in &recorded {
            let term = terms.terms.iter().find(|(other, _)| other == name).map_or(&terms.total, |(_, term)| term);
            let key = format!("{prefix}.{name}");
            worst =
                worst.max(case.compare(&key, &term.reshape(recorded.size()), largest(recorded).max(1e-3), TOLERANCE));
        }
        worst
    };
    let values = compare(&terms, "output");
    terms.total.backward();
    let scale = case.largest_gradient();
    let mut gradients = 0.0_f64;
    for feature in features.items().iter().filter(|feature| feature.source == Source::Encoder) {
        let key = format!("grad_input.view{}.{}", feature.view, feature.map);
        let gradient = feature.tensor.grad().reshape(case.get(&key).size());
        gradients = gradients.max(case.compare(&key, &gradient, scale, TOLERANCE));
    }
    let tensors = own.tensors().unwrap();
    for named in tensors.iter().filter(|named| named.role == Role::Parameter) {
        let gradient = named.tensor.grad();
        let gradient = if gradient.defined() { gradient } else { named.tensor.zeros_like() };
        gradients = gradients.max(case.compare(&format!("grad.{}", named.name), &gradient, scale, TOLERANCE));
    }
    let before: Vec<Tensor> = tensors.iter().map(|named| named.tensor.detach().copy()).collect();
    own.after_update(&features, &facts).unwrap();
    for (named, before) in tensors.iter().zip(before) {
        match case.find(&format!("after.{}", named.name)) {
            Some(recorded) => {
                let _ = case.compare(&format!("after.{}", named.name), &named.tensor, largest(&recorded), TOLERANCE);
            }
            None => assert!(named.tensor.equal(&before), "{} changed `{}`", case.name, named.name),
        }
    }
    if !case.under("output2.").is_empty() {
        compare(&own.forward(&features, &facts, 0..batch).unwrap(), "output2");
    }
    println!("{}: values {values:.1e}, gradients {gradients:.1e}", case.name);
}

#[test]
fn exported_losses_agree_with_pytorch() {
    each(&cases(false), agrees);
}
