//! Time of one step, forward and backward, of `resnet18` of width 16 on 64 images of 32 px, on one thread.
//!
//! `cargo bench --bench encoder_step`; beside it `python host/benches/peer_step.py`, torchvision's on the same.

use infomax::{
    encoder::ForeignEncoder,
    native,
    plugin::{Component, Kind, LoadComponent, Registry},
};
use infomax_sdk::{EncoderInput, Mode, requests::Request};
use serde_json::json;
use std::{path::PathBuf, time::Instant};
use tch::{Device, Tensor};

const WARM_UP: usize = 5;
const STEPS: usize = 30;

fn main() {
    native::set_threads(1);
    let exe = std::env::current_exe().expect("a benchmark has an executable");
    let folder: PathBuf = exe.ancestors().nth(2).expect("benchmarks lie in target/release/deps").to_owned();
    let registry = Registry::search(vec![folder], &[], None);
    let (library, name) = registry.load(Kind::Encoder, "resnet18", None).expect("build the workspace first");
    let request = Request {
        config: json!({ "width": 16 }),
        encoder: EncoderInput { views: Vec::new(), eval_size: [32, 32], ..EncoderInput::default() },
        device: "cpu".into(),
        ..Request::default()
    };
    let component = Component::new(library, Kind::Encoder, name);
    let mut encoder = ForeignEncoder::create(&component, &request).expect("a config that works");
    let parameters = encoder.tensors().expect("a list of tensors");
    let view = Tensor::randn([64, 32, 32, 3], (tch::Kind::Float, Device::Cpu)).permute([0, 3, 1, 2]);
    let mut step = || {
        let start = Instant::now();
        for named in &parameters {
            let mut gradient = named.tensor.grad();
            gradient.defined().then(|| gradient.zero_());
        }
        let maps = encoder.forward(&[view.shallow_clone()], Mode::Train).expect("a forward pass");
        maps[0][0].square().mean(tch::Kind::Float).backward();
        start.elapsed().as_secs_f64() * 1e3
    };
    for _ in 0..WARM_UP {
        step();
    }
    let mut times: Vec<f64> = (0..STEPS).map(|_| step()).collect();
    times.sort_by(f64::total_cmp);
    println!("{:.1} ms a step (median of {STEPS}; {:.1} to {:.1})", times[STEPS / 2], times[0], times[STEPS - 1]);
}
