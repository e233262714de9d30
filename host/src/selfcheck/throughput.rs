//! How fast a whole step of training runs on the device, and in how much memory.

use super::{Check, parity::noise};
use crate::{
    config::Experiment,
    dataset::TrainBatch,
    distributed::Group,
    error::{Error, Result},
    native::precision::device_memory,
    plugin::Registry,
    record::peak_resident_bytes,
    train::{Arithmetic, Model, Setup, Stepper, device_name},
};
use serde_json::json;
use std::time::{Duration, Instant};
use tch::Device;

const WARM_UP: u64 = 2;
const LEAST_STEPS: u64 = 3;
const ENOUGH: Duration = Duration::from_secs(5);

/// The published 128-px model on a GPU, a small one on a CPU.
fn shape(device: Device) -> (u32, serde_json::Value, u64) {
    match device {
        Device::Cuda(_) => (128, json!({ "ndf": 192, "n_rkhs": 1536, "depth": 8 }), 120),
        _ => (32, json!({ "ndf": 32, "n_rkhs": 256, "depth": 1 }), 64),
    }
}

pub fn check(registry: &Registry, device: Device) -> Result<Vec<Check>> {
    let (size, mut encoder, batch) = shape(device);
    encoder["size"] = json!(size);
    let mut checks = Vec::new();
    for precision in if device.is_cuda() { ["f32", "tf32", "f16", "bf16"].as_slice() } else { &["f32", "bf16"] } {
        let experiment: Experiment = serde_json::from_value(json!({
            "dataset": { "name": "shapes" },
            "augmentation": { "name": "amdim", "config": { "size": size } },
            "encoder": { "name": "amdim", "config": encoder },
            "loss": { "name": "amdim" },
            "train": { "batch_size": batch, "precision": precision },
        }))
        .map_err(|error| Error::Bug { what: format!("the selfcheck's experiment: {error}") })?;
        Arithmetic::new(experiment.train.precision, device)?.switch()?;
        let setup = Setup::new(&experiment, registry, &device_name(device))?;
        let mut model = Model::new(&setup, &experiment, Some(10))?;
        let group = Group::alone();
        let stepper = Stepper::new(&model, &setup.augmentation_description, &experiment, &group, 0)?;
        let images = noise(&group, batch as usize, size, 0);
        let (mut began, mut steps) = (Instant::now(), 0);
        while steps < WARM_UP + LEAST_STEPS || began.elapsed() < ENOUGH {
            if steps == WARM_UP {
                began = Instant::now();
            }
            stepper.step(&mut model, &TrainBatch { step: steps, ..images.clone() }, 1e-4)?;
            steps += 1;
        }
        let rate = ((steps - WARM_UP) * batch) as f64 / began.elapsed().as_secs_f64();
        let model = format!("AMDIM {size} px {}/{}/{}", encoder["ndf"], encoder["n_rkhs"], encoder["depth"]);
        checks.push(Check::figure(
            format!("images/s, {precision}"),
            rate,
            format!("{model}, batch {batch}, loading left out"),
        ));
    }
    if let Some(memory) = device_memory(device).map_err(Error::native("read the device's memory"))? {
        let peak = memory.peak as f64 / f64::from(1 << 20);
        checks.push(Check::figure("peak memory of the device, MiB", peak, "over all precisions"));
    }
    let mib = |bytes| bytes as f64 / f64::from(1 << 20);
    let resident = peak_resident_bytes().map(mib);
    checks.extend(resident.map(|mib| Check::figure("peak memory of the process, MiB", mib, "resident")));
    Ok(checks)
}
