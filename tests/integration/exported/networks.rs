//! Exported networks against PyTorch: training, gradients, running statistics, evaluation, Adam.

use super::recorded::{Case, cases, each, largest};
use crate::support::{golden_file::largest_difference, workspace::component};
use infomax::{encoder::ForeignEncoder, plugin::Kind, tensor::NamedTensor};
use infomax_sdk::{EncoderInput, Mode, Role, View, requests::Request};
use serde_json::json;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};
use tch::Tensor;

/// Of the largest number of an output.
const VALUES: f64 = 1e-5;
/// Of the largest gradient.
const GRADIENTS: f64 = 1e-4;
/// How far three updates may lie apart in the mean of a tensor, in steps of the learning rate: Adam divides each gradient by its own
/// size, so that rounding of the smallest moves a weight as far as any other.
const ADAM: f64 = 0.02;
/// Of the largest gradient: smaller ones are none but for rounding, as of a bias before a normalisation.
const NOISE: f64 = 1e-4;
const RATE: f64 = 1e-3;

/// Outputs without a gradient, which an encoder may not give.
const LEFT_OUT: [(&str, &[&str]); 2] = [("again", &["out0", "out1", "_"]), ("indices", &["out0", "_", "_"])];

fn request(case: &Case) -> Request {
    let size = case.get("input.images").size();
    let (height, width) = (size[2] as u32, size[3] as u32);
    let view = View { name: "view".into(), height, width, group: 0 };
    let encoder = EncoderInput { views: vec![view], eval_size: [height, width], ..EncoderInput::default() };
    let outputs = LEFT_OUT.iter().find(|(name, _)| *name == case.name).map_or(&[][..], |(_, outputs)| outputs);
    let config = json!({ "file": case.file, "channels_last": false, "outputs": outputs });
    Request { config, encoder, device: "cpu".into(), ..Request::default() }
}

fn encoder(case: &Case) -> ForeignEncoder {
    ForeignEncoder::create(&component(Kind::Encoder, "exported"), &request(case))
        .unwrap_or_else(|error| panic!("{}: {}", case.name, error.fault()))
}

fn tensors(encoder: &ForeignEncoder) -> BTreeMap<String, NamedTensor> {
    encoder.tensors().unwrap().into_iter().map(|named| (named.name.clone(), named)).collect()
}

fn maps(encoder: &mut ForeignEncoder, case: &Case, mode: Mode) -> Vec<(String, Tensor)> {
    let images = case.get("input.images");
    let given = encoder.forward(&[images], mode).unwrap_or_else(|error| panic!("{}: {}", case.name, error.fault()));
    // The recording script names outputs by their order where they have no names of their own.
    let named = |(at, map): (usize, &infomax_sdk::FeatureMap)| match case.find(&format!("output.{}", map.name)) {
        Some(_) => map.name.clone(),
        None => format!("out{at}"),
    };
    let names: Vec<String> = encoder.description().maps.iter().enumerate().map(named).collect();
    names.into_iter().zip(given.into_iter().next().unwrap()).collect()
}

/// The maps as PyTorch shapes them.
fn shaped(map: &Tensor, like: &Tensor) -> Tensor {
    map.reshape(like.size())
}

fn backward(encoder: &mut ForeignEncoder, case: &Case) -> Vec<(String, Tensor)> {
    let maps = maps(encoder, case, Mode::Train);
    let weighed = maps.iter().map(|(name, map)| {
        let weight = case.get(&format!("weight.{name}"));
        (shaped(map, &weight) * weight).sum(tch::Kind::Float)
    });
    weighed.reduce(|sum, part| sum + part).unwrap().backward();
    maps
}

fn agrees(case: &Case) {
    let mut encoder = encoder(case);
    let own = tensors(&encoder);
    for (name, recorded) in case.under("state.") {
        if let Some(named) = own.get(&name) {
            case.compare(&format!("state.{name}"), &named.tensor, largest(&recorded), 0.0);
        }
    }
    let missing: Vec<String> =
        case.under("state.").into_iter().map(|(name, _)| name).filter(|name| !own.contains_key(name)).collect();
    assert!(missing.is_empty(), "{}: PyTorch's state has {missing:?} too", case.name);
    if let Some(seed) = case.find("seed") {
        tch::manual_seed(seed.int64_value(&[0]));
    }
    let mut worst = [0.0_f64; 4];
    for (name, map) in backward(&mut encoder, case) {
        let key = format!("output.{name}");
        let recorded = case.get(&key);
        worst[0] = worst[0].max(case.compare(&key, &shaped(&map, &recorded), largest(&recorded), VALUES));
    }
    let scale = case.largest_gradient();
    for (name, named) in own.iter().filter(|(_, named)| named.role == Role::Parameter) {
        let gradient = named.tensor.grad();
        let gradient = if gradient.defined() { gradient } else { named.tensor.zeros_like() };
        let key = format!("grad.{name}");
        worst[1] = worst[1].max(case.compare(&key, &gradient, scale, GRADIENTS));
    }
    for (name, recorded) in case.under("after.") {
        let Some(named) = own.get(&name) else { continue };
        case.compare(&format!("after.{name}"), &named.tensor, largest(&recorded), VALUES);
    }
    if !case.under("eval.").is_empty() {
        for (name, map) in tch::no_grad(|| maps(&mut encoder, case, Mode::Evaluate)) {
            let key = format!("eval.{name}");
            let recorded = case.get(&key);
            worst[2] = worst[2].max(case.compare(&key, &shaped(&map, &recorded), largest(&recorded), VALUES));
        }
    }
    if !case.under("adam3.").is_empty() {
        worst[3] = adam(case);
    }
    println!(
        "{}: outputs {:.1e}, gradients {:.1e}, evaluation {:.1e}, Adam {:.1e} steps",
        case.name, worst[0], worst[1], worst[2], worst[3]
    );
}

/// Three updates by PyTorch's own rule. Gives the largest distance of a weight, in steps.
fn adam(case: &Case) -> f64 {
    let mut encoder = encoder(case);
    let own = tensors(&encoder);
    let trained: Vec<&NamedTensor> = own.values().filter(|named| named.role == Role::Parameter).collect();
    let mut moments: Vec<[Tensor; 2]> =
        trained.iter().map(|named| [named.tensor.zeros_like(), named.tensor.zeros_like()]).collect();
    for step in 1..=3 {
        backward(&mut encoder, case);
        for (named, [first, second]) in trained.iter().zip(&mut moments) {
            let mut tensor = named.tensor.shallow_clone();
            let gradient = tensor.grad();
            if !gradient.defined() {
                continue;
            }
            tch::no_grad(|| {
                *first = &*first + (&gradient - &*first) * (1.0 - 0.9);
                *second = &*second * 0.999 + &gradient * (1.0 - 0.999) * &gradient;
                let (b1, b2) = (1.0 - 0.9_f64.powi(step), 1.0 - 0.999_f64.powi(step));
                let update = &*first * (RATE / b1) / (second.sqrt() / b2.sqrt() + 1e-8);
                let _ = tensor.f_sub_(&update).unwrap();
                tensor.zero_grad();
            });
        }
    }
    let mut worst = 0.0_f64;
    let scale = case.largest_gradient();
    for (name, recorded) in case.under("adam3.") {
        let distance = (own[&name].tensor.detach() - recorded).abs();
        // Where a gradient is only rounding, so is the direction: of a query's bias, say, not of the key's beside it.
        let moved = case.get(&format!("grad.{name}")).abs().ge(NOISE * scale);
        let distance = distance.masked_select(&moved);
        if distance.numel() > 0 {
            let mean = distance.mean(tch::Kind::Double).double_value(&[]) / RATE;
            assert!(mean <= ADAM, "{} adam3.{name}: off by {mean:.2e} steps", case.name);
            worst = worst.max(mean);
        }
    }
    worst
}

#[test]
fn exported_networks_agree_with_pytorch() {
    let mut all = cases(true);
    all.retain(|case| case.get("input.images").size()[1] == 3);
    // Libtorch's generator is the whole process's: another test may draw meanwhile.
    let (drawing, all): (Vec<_>, Vec<_>) = all.into_iter().partition(|case| case.find("seed").is_some());
    each(&all, agrees);
    each(&drawing, |case| {
        let agreed = (0..10).any(|_| catch_unwind(AssertUnwindSafe(|| agrees(case))).is_ok());
        assert!(agreed, "{}", case.name);
    });
}

/// Several views in one pass, where a program looks at each image alone, are the views one by one: maps, gradients, and running
/// statistics in the order of the views.
#[test]
fn views_in_one_pass_are_the_views_one_by_one() {
    let mut all = cases(true);
    all.retain(|case| case.get("input.images").size()[1] == 3 && case.find("seed").is_none());
    let look = |case: &Case| {
        let run = |together: bool| {
            let mut request = request(case);
            request.config["channels_last"] = json!(true);
            let mut encoder = ForeignEncoder::create(&component(Kind::Encoder, "exported"), &request).unwrap();
            let images = case.get("input.images");
            let views = [images.shallow_clone(), (&images * 0.5 + 0.25).to_kind(tch::Kind::Float)];
            let maps: Vec<Vec<Tensor>> = if together {
                encoder.forward(&views, Mode::Train).unwrap()
            } else {
                views
                    .iter()
                    .flat_map(|view| encoder.forward(std::slice::from_ref(view), Mode::Train).unwrap())
                    .collect()
            };
            let weighed = maps
                .iter()
                .flatten()
                .enumerate()
                .map(|(i, map)| (map * (map.detach() + 0.1 * i as f64).cos()).sum(tch::Kind::Float));
            weighed.reduce(|sum, part| sum + part).unwrap().backward();
            (maps, tensors(&encoder))
        };
        let ((one, one_state), (two, two_state)) = (run(false), run(true));
        for (one, two) in one.iter().flatten().zip(two.iter().flatten()) {
            let off = largest_difference(two, &one.detach()) / largest(&one.detach()).max(1e-6);
            assert!(off < 1e-4, "{}: maps are off by {off:.1e}", case.name);
        }
        let gradient = |named: &NamedTensor| {
            let gradient = named.tensor.grad();
            if gradient.defined() { gradient } else { named.tensor.zeros_like() }
        };
        let scale = one_state
            .values()
            .filter(|n| n.role == Role::Parameter)
            .map(|n| largest(&gradient(n)))
            .fold(1e-6, f64::max);
        for (name, one) in &one_state {
            let two = &two_state[name];
            if one.tensor.numel() == 0 {
                continue;
            }
            let off = match one.role {
                Role::Parameter => largest_difference(&gradient(two), &gradient(one)) / scale,
                Role::Buffer => largest_difference(&two.tensor, &one.tensor) / largest(&one.tensor).max(1e-2),
            };
            assert!(off < 1e-3, "{} {name}: off by {off:.1e}", case.name);
        }
    };
    each(&all, look);
}
