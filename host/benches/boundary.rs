//! What the boundary costs: a step's calls through the loaded libraries against the same calls of the same components made
//! directly, at the size of the small CIFAR run, and at the smallest size, where the crossing is all there is.

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use infomax::{
    encoder::ForeignEncoder,
    loss::ForeignLoss,
    native,
    plugin::{Component, Kind, LoadComponent, Registry, services},
    tensor::{self, Facts, Features, Gradients},
};
use infomax_amdim::{AmdimEncoder, AmdimLoss, EncoderConfig, LossConfig};
use infomax_sdk::{Encoder, EncoderInput, Key, Loss, LossInput, Mode, Source, View, requests::Request};
use serde_json::json;
use std::{path::PathBuf, time::Duration};
use tch::{Device, Kind as Dtype, Tensor};

fn component(kind: Kind) -> Component {
    let exe = std::env::current_exe().expect("a benchmark has an executable");
    let folder: PathBuf = exe.ancestors().nth(2).expect("benchmarks lie in target/release/deps").to_owned();
    let registry = Registry::search(vec![folder], &[], None);
    let (library, name) = registry.load(kind, "amdim", None).expect("run `cargo build --release --workspace` first");
    Component::new(library, kind, name)
}

fn facts() -> Facts {
    no_facts()
}

fn own_facts() -> infomax_sdk::Facts {
    no_facts()
}

fn no_facts<T>() -> infomax_sdk::Facts<T> {
    infomax_sdk::Facts {
        step: 0,
        total_steps: 0,
        epoch: 0,
        key: Key::new(1),
        world_size: 1,
        dtype: infomax_sdk::Kind::F32,
        labels: None,
        indices: None,
    }
}

fn features(maps: &[Vec<Tensor>]) -> Features {
    named(maps, Tensor::detach)
}

fn own_features(maps: &[Vec<infomax_sdk::Tensor>]) -> infomax_sdk::Features {
    named(maps, infomax_sdk::Tensor::detach)
}

fn named<T>(maps: &[Vec<T>], detach: impl Fn(&T) -> T) -> infomax_sdk::Features<T> {
    let mut items = Vec::new();
    for (view, maps) in maps.iter().enumerate() {
        for (map, tensor) in ["r1", "r5", "r7"].into_iter().zip(maps) {
            items.push(infomax_sdk::Feature {
                view,
                source: Source::Encoder,
                map: map.to_owned(),
                tensor: detach(tensor),
            });
        }
    }
    infomax_sdk::Features::new(items)
}

fn backward(maps: Vec<Vec<Tensor>>, gradients: Vec<Tensor>) {
    let outputs: Vec<Tensor> = maps.into_iter().flatten().collect();
    native::backward(&outputs, &gradients).expect("backward runs");
}

fn all<T>(gradients: Vec<Option<T>>) -> Vec<T> {
    gradients.into_iter().map(|g| g.expect("every map is used")).collect()
}

/// The same tensor for a component that is called directly.
fn own(tensor: &Tensor) -> infomax_sdk::Tensor {
    // SAFETY: the tensor is live, and the lent handle is cloned.
    unsafe { infomax_sdk::ffi::tensor::borrow(tensor::lend(tensor)) }.expect("a tensor")
}

/// The same tensor for the host.
fn hosts(tensor: &infomax_sdk::Tensor) -> Tensor {
    // SAFETY: the tensor is live, and the lent handle is cloned.
    unsafe { tensor::borrow(tensor.handle()) }.expect("a tensor")
}

fn compare(group: &mut BenchmarkGroup<'_, WallTime>, ndf: i64, n_rkhs: i64, batch: i64) {
    let config = json!({ "size": 32, "ndf": ndf, "n_rkhs": n_rkhs, "depth": 1 });
    let view = |name: &str| View { name: name.into(), height: 32, width: 32, group: 0 };
    let input = EncoderInput { views: vec![view("one"), view("two")], eval_size: [32, 32], ..EncoderInput::default() };
    let request =
        Request { config: config.clone(), encoder: input.clone(), device: "cpu".into(), ..Request::default() };
    let mut encoder = ForeignEncoder::create(&component(Kind::Encoder), &request).expect("the encoder is made");
    let maps = encoder.description().maps.clone();
    let loss_input = LossInput { views: input.views.clone(), maps, representation: "r1".into(), class_count: None };
    let request = Request { config: json!({}), loss: loss_input.clone(), device: "cpu".into(), ..Request::default() };
    let loss = ForeignLoss::create(&component(Kind::Loss), &request).expect("the loss is made");
    let views: Vec<Tensor> = (0..2).map(|_| Tensor::randn([batch, 3, 32, 32], (Dtype::Float, Device::Cpu))).collect();

    let config: EncoderConfig = serde_json::from_value(config).expect("the config fits");
    let _ = infomax_sdk::ffi::module::start(services());
    let device = infomax_sdk::Device::Cpu;
    let mut own_encoder = AmdimEncoder::create(&config, &input, device).expect("the encoder is made");
    let own_loss = AmdimLoss::create(&LossConfig::default(), &loss_input, device).expect("the loss is made");
    let own_views: Vec<infomax_sdk::Tensor> = views.iter().map(own).collect();

    group.bench_function("through_plugins", |b| {
        b.iter(|| {
            let maps = encoder.forward(&views, Mode::Train).expect("forward runs");
            let Gradients { features, .. } =
                loss.forward_backward(&features(&maps), &facts(), 0..batch).expect("the loss runs");
            backward(maps, all(features));
        });
    });
    group.bench_function("direct", |b| {
        b.iter(|| {
            let maps = own_encoder.forward(&own_views, Mode::Train).expect("forward runs");
            let features = own_features(&maps);
            let gradients = own_loss.forward_backward(&features, &own_facts(), 0..batch).expect("the loss runs");
            let maps = maps.iter().map(|maps| maps.iter().map(hosts).collect()).collect();
            backward(maps, all(gradients.features).iter().map(hosts).collect());
        });
    });
}

fn boundary(c: &mut Criterion) {
    let mut group = c.benchmark_group("boundary/small_run");
    group.sample_size(20).measurement_time(Duration::from_secs(12));
    compare(&mut group, 32, 256, 64);
    group.finish();
    let mut group = c.benchmark_group("boundary/smallest");
    group.sample_size(100).measurement_time(Duration::from_secs(8));
    compare(&mut group, 1, 4, 2);
    group.finish();
}

criterion_group!(benches, boundary);
criterion_main!(benches);
