//! What a run's process is watched for beside its numbers: memory that grows with every step, and a loss that takes most of the
//! time.

use crate::{native::precision::device_memory, plugin::spent_in, record::held_bytes};
use std::time::Duration;
use tch::Device;

/// Steps whose least memory counts as one measurement.
const WINDOW: u64 = 25;
/// Measurements until caches are full.
const WARM_UP: usize = 2;
/// Measurements in a row that must each grow.
const IN_A_ROW: usize = 6;
/// By how many bytes each: 40 MiB in a thousand steps.
const LEAST_GROWTH: u64 = 1 << 20;
/// Steps, and seconds, from which on a share of the time says something.
const STEPS_TO_SHARE: u64 = 10;
const TIME_TO_SHARE: Duration = Duration::from_secs(1);
/// A loss that takes this share of a step is told, once.
const SHARE: f64 = 0.5;

/// What is watched.
#[derive(Debug)]
pub struct Health {
    process: Growth,
    device: Growth,
    seen: u64,
    steps: u64,
    stepping: Duration,
    loss_before: Duration,
    was_told: bool,
}

impl Default for Health {
    fn default() -> Self {
        let (stepping, loss_before) = Default::default();
        // The GPU's memory is asked for once a window: the driver takes its time to answer.
        Self {
            process: Growth::over(WINDOW),
            device: Growth::over(1),
            seen: 0,
            steps: 0,
            stepping,
            loss_before,
            was_told: false,
        }
    }
}

impl Health {
    /// Looks at memory after a step; a line to tell where it grows.
    pub fn memory(&mut self, device: Device) -> Option<String> {
        self.seen += 1;
        let is_asked = self.seen.is_multiple_of(WINDOW);
        let on_device =
            || is_asked.then(|| device_memory(device).ok().flatten()).flatten().map(|memory| memory.allocated);
        let told = |name: &str, per_step: f64| {
            let mib = per_step / f64::from(1 << 20);
            format!("{name} grows by {mib:.2} MiB a step and is not given back: a component leaks")
        };
        let of_process = held_bytes().and_then(|bytes| self.process.step(bytes));
        let of_device = on_device().and_then(|bytes| self.device.step(bytes));
        of_process
            .map(|rate| told("this process's memory", rate))
            .or_else(|| of_device.map(|r| told("the GPU's memory", r)))
    }

    /// Counts a step; a line to tell where the loss takes most of the time.
    pub fn slow(&mut self, took: Duration, loss: &str) -> Option<String> {
        self.steps += 1;
        self.stepping += took;
        if self.was_told || self.steps < STEPS_TO_SHARE || self.stepping < TIME_TO_SHARE {
            return None;
        }
        let spent = spent_in("loss").saturating_sub(self.loss_before);
        let (share, steps) = (spent.as_secs_f64() / self.stepping.as_secs_f64(), self.steps as f64);
        let per_step = |time: Duration| 1000.0 * time.as_secs_f64() / steps;
        let text = format!(
            "{loss} is slow: it takes {:.0} % of a step, {:.0} of {:.0} ms",
            100.0 * share,
            per_step(spent),
            per_step(self.stepping)
        );
        (self.steps, self.stepping, self.loss_before) = (0, Duration::ZERO, spent_in("loss"));
        self.was_told = share > SHARE;
        self.was_told.then_some(text)
    }
}

/// Whether a number of bytes only ever grows.
#[derive(Debug, Default)]
struct Growth {
    /// Looks that make one measurement.
    looks: u64,
    steps: u64,
    least: Option<u64>,
    measured: Vec<u64>,
    was_told: bool,
}

impl Growth {
    fn over(looks: u64) -> Self {
        Self { looks, ..Self::default() }
    }

    /// Takes the bytes after a step; how many more it is each step, once, where every measurement grows.
    fn step(&mut self, bytes: u64) -> Option<f64> {
        self.least = Some(self.least.map_or(bytes, |least| least.min(bytes)));
        self.steps += 1;
        if self.was_told || !self.steps.is_multiple_of(self.looks) {
            return None;
        }
        self.measured.push(self.least.take()?);
        let recent = self.measured.get(WARM_UP..)?;
        let recent = recent.get(recent.len().checked_sub(IN_A_ROW + 1)?..)?;
        let grows = recent.windows(2).all(|pair| pair[1] >= pair[0] + LEAST_GROWTH);
        let growth = recent[IN_A_ROW].saturating_sub(recent[0]) as f64;
        self.was_told = grows;
        grows.then_some(growth / (IN_A_ROW as u64 * WINDOW) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first step at which growth is told.
    fn told(bytes: impl Fn(u64) -> u64) -> Option<(u64, f64)> {
        let mut growth = Growth::over(WINDOW);
        (0..2000).find_map(|step| growth.step(bytes(step)).map(|rate| (step, rate)))
    }

    #[test]
    fn steady_growth_is_told_and_jumps_and_waves_are_not() {
        let mib = 1 << 20;
        let (step, rate) = told(|step| 100 * mib + step * mib).unwrap();
        assert!(step < 250 && (rate / mib as f64 - 1.0).abs() < 1e-9, "{step} {rate}");
        assert!(told(|step| 100 * mib + step * mib / 10).is_some(), "a hundred MiB in a thousand steps");
        assert_eq!(told(|step| 100 * mib + step * mib / 100), None, "ten are less than noise");
        assert_eq!(told(|step| 100 * mib + step.min(150) * mib), None, "a cache that fills");
        assert_eq!(told(|step| 100 * mib + step / 500 * 300 * mib), None, "a buffer that is made anew");
        assert_eq!(told(|step| 100 * mib + step % 60 * mib), None, "a wave");
    }
}
