//! The weights of one direction: for every output position the first input position and the weights from there on.

use std::ops::Range;

/// Bits after the point of a weight: 8 for the pixel and 2 for overshoot leave 22 of 32 (`Resample.c`).
pub(super) const PRECISION_BITS: u32 = 32 - 8 - 2;

const SUPPORT: f64 = 2.0; // of the bicubic kernel
const A: f64 = -0.5; // Pillow's bicubic

pub(super) struct Taps {
    /// Weights per output position, the unused ones zero.
    pub size: usize,
    /// First input position and number of weights.
    pub ranges: Vec<(usize, usize)>,
    /// `size` weights for every output position.
    pub weights: Vec<i32>,
}

impl Taps {
    /// For the outputs `first..first + count` of `output` in all.
    pub fn new(input: u32, output: u32, first: u32, count: u32) -> Self {
        let scale = f64::from(input) / f64::from(output);
        let stretch = scale.max(1.0);
        let support = SUPPORT * stretch;
        let size = support.ceil() as usize * 2 + 1;
        let mut ranges = Vec::with_capacity(count as usize);
        let mut weights = vec![0; size * count as usize];
        let mut exact = vec![0.0; size];
        for (index, fixed) in weights.chunks_exact_mut(size).enumerate() {
            let centre = (f64::from(first) + index as f64 + 0.5) * scale;
            let start = ((centre - support + 0.5) as i64).max(0) as usize;
            let end = ((centre + support + 0.5) as i64).min(i64::from(input)) as usize;
            let length = end - start;
            let mut sum = 0.0;
            for (offset, weight) in exact[..length].iter_mut().enumerate() {
                *weight = bicubic(((offset + start) as f64 - centre + 0.5) * (1.0 / stretch));
                sum += *weight;
            }
            for (fixed, weight) in fixed.iter_mut().zip(&exact[..length]) {
                let weight = if sum == 0.0 { *weight } else { weight / sum } * f64::from(1u32 << PRECISION_BITS);
                *fixed = (weight + 0.5f64.copysign(weight)) as i32;
            }
            ranges.push((start, length));
        }
        Self { size, ranges, weights }
    }

    /// The input positions that any output needs.
    pub fn needed(&self) -> Range<usize> {
        let start = self.ranges.iter().map(|r| r.0).min().unwrap_or(0);
        start..self.ranges.iter().map(|r| r.0 + r.1).max().unwrap_or(0)
    }
}

fn bicubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}
