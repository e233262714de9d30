//! Time of one step, forward and backward, of `resnet18` of width 16 on 64 images of 32 px, on one thread.
//!
//! `cargo bench --bench step`; beside it `python plugins/encoders/benches/peer_step.py`, torchvision's on the same.

use infomax_encoders::{ResNet, ResNetConfig};
use infomax_sdk::{
    Encoder, EncoderInput, Mode,
    tch::{self, Device, Kind, Tensor},
};
use std::time::Instant;

const WARM_UP: usize = 5;
const STEPS: usize = 30;

fn main() {
    tch::set_num_threads(1);
    let config = ResNetConfig { width: 16, ..Default::default() };
    let input = EncoderInput { views: Vec::new(), eval_size: [32, 32] };
    let mut encoder = ResNet::<18>::create(&config, &input, Device::Cpu).expect("a config that works");
    let view = Tensor::randn([64, 32, 32, 3], (Kind::Float, Device::Cpu)).permute([0, 3, 1, 2]);
    let mut step = || {
        let start = Instant::now();
        for named in encoder.tensors() {
            named.tensor.grad().defined().then(|| named.tensor.grad().zero_());
        }
        let maps = encoder.forward(&[view.shallow_clone()], Mode::Train).expect("a forward pass");
        maps[0][0].square().mean(Kind::Float).backward();
        start.elapsed().as_secs_f64() * 1e3
    };
    for _ in 0..WARM_UP {
        step();
    }
    let mut times: Vec<f64> = (0..STEPS).map(|_| step()).collect();
    times.sort_by(f64::total_cmp);
    println!("{:.1} ms a step (median of {STEPS}; {:.1} to {:.1})", times[STEPS / 2], times[0], times[STEPS - 1]);
}
