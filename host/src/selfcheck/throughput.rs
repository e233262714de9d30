//! How fast a whole step of training runs on the device, and in how much memory.

use super::Check;
use crate::{
    bench::{Measured, Shape, measure},
    config::Precision,
    error::Result,
    plugin::Registry,
    record::peak_resident_bytes,
};
use std::time::Duration;
use tch::Device;

const ENOUGH: Duration = Duration::from_secs(5);

/// The published 128-px model on a GPU, a small one on a CPU.
fn shape(device: Device) -> Shape {
    match device {
        Device::Cuda(_) => Shape { size: 128, ndf: 192, n_rkhs: 1536, depth: 8, batch: 120 },
        _ => Shape { size: 32, ndf: 32, n_rkhs: 256, depth: 1, batch: 64 },
    }
}

pub fn check(registry: &Registry, device: Device) -> Result<Vec<Check>> {
    let shape = shape(device);
    let Shape { size, ndf, n_rkhs, depth, batch } = shape;
    let what = format!("AMDIM {size} px {ndf}/{n_rkhs}/{depth}, batch {batch}, loading left out");
    let all = [Precision::F32, Precision::Tf32, Precision::F16, Precision::Bf16];
    let of_cpu = [Precision::F32, Precision::Bf16];
    let (mut checks, mut peak) = (Vec::new(), None);
    for &precision in if device.is_cuda() { &all[..] } else { &of_cpu[..] } {
        let Measured { images_per_second, peak_bytes, .. } =
            measure(registry, device, shape, precision, false, ENOUGH)?;
        checks.push(Check::figure(format!("images/s, {precision}"), images_per_second, &what));
        peak = peak.max(peak_bytes.filter(|_| device.is_cuda())); // of a CPU it is the process's, below
    }
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let of_device = peak.map(|peak| Check::figure("peak memory of the device, MiB", mib(peak), "over all precisions"));
    let resident = peak_resident_bytes().map(mib);
    let of_process = resident.map(|mib| Check::figure("peak memory of the process, MiB", mib, "resident"));
    checks.extend(of_device.into_iter().chain(of_process));
    Ok(checks)
}
