//! Other number formats against f32, on the embedded case.

use super::{
    Check,
    golden::{apart, case, step},
};
use crate::{config::Precision, error::Result, plugin::Registry, train::Arithmetic};
use tch::Device;

/// Largest differences of maps and relative ones of the loss, in roundings: of maps the worst of thousands of numbers after a
/// dozen layers, which differs with the number of threads (10 to 11.3 in bf16 on one machine); a wrong kernel is far beyond.
const ROUNDINGS: [f64; 2] = [16.0, 2.0];

pub fn check(registry: &Registry, device: Device) -> Result<Vec<Check>> {
    let case = case()?;
    let plain = step(registry, &case, device, Arithmetic::plain(device))?;
    let mut checks = Vec::new();
    for (precision, unit) in [
        (Precision::Bf16, 1.0 / 256.0), // 8 bits of mantissa
        (Precision::F16, 1.0 / 2048.0), // 11 bits
        (Precision::Tf32, 1.0 / 2048.0),
    ] {
        let name = |what: &str| format!("{precision} against f32: {what}");
        let Ok(arithmetic) = Arithmetic::new(precision, device) else {
            checks.push(Check::skipped(format!("{precision} against f32"), "not a format of this device"));
            continue;
        };
        let own = step(registry, &case, device, arithmetic)?;
        let pairs: Vec<_> =
            own.maps.iter().zip(&plain.maps).map(|(a, b)| (a.shallow_clone(), b.shallow_clone())).collect();
        let loss = (own.loss / plain.loss - 1.0).abs();
        checks.push(Check::below(name("maps"), apart(&pairs), ROUNDINGS[0] * unit, "largest difference"));
        checks.push(Check::below(name("loss"), loss, ROUNDINGS[1] * unit, "relative difference"));
    }
    Ok(checks)
}
