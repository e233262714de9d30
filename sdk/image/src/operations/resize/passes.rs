//! The two passes of the resampling. Sums are 32-bit integers, so the order of additions is free.

use super::taps::{PRECISION_BITS, Taps};

const HALF: i32 = 1 << (PRECISION_BITS - 1);

#[inline(always)]
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// Fills the rows of `out`, one from each row of `source`, whose rows begin at input column `first`.
pub(super) fn horizontal(source: &[u8], stride: usize, taps: &Taps, first: usize, out: &mut [u8]) {
    for (row, out) in out.chunks_exact_mut(taps.ranges.len() * 3).enumerate() {
        let row = &source[row * stride..];
        let positions = taps.ranges.iter().zip(taps.weights.chunks_exact(taps.size));
        for (((start, length), weights), pixel) in positions.zip(out.chunks_exact_mut(3)) {
            let mut sums = [HALF; 3];
            for (weight, input) in weights[..*length].iter().zip(row[(start - first) * 3..].chunks_exact(3)) {
                for (sum, &value) in sums.iter_mut().zip(input) {
                    *sum += weight * i32::from(value);
                }
            }
            pixel.copy_from_slice(&sums.map(clip));
        }
    }
}

const BLOCK: usize = 64; // sums that stay in registers

/// Fills the rows of `out` from the first `row_bytes` of the rows of `source`, which begins at input row `first`.
pub(super) fn vertical(source: &[u8], stride: usize, taps: &Taps, first: usize, out: &mut [u8], row_bytes: usize) {
    let positions = taps.ranges.iter().zip(taps.weights.chunks_exact(taps.size));
    for (((start, length), weights), out) in positions.zip(out.chunks_exact_mut(row_bytes)) {
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            let mut sums = [HALF; BLOCK];
            for (index, weight) in weights[..*length].iter().enumerate() {
                let from = (start - first + index) * stride + block * BLOCK;
                for (sum, &value) in sums.iter_mut().zip(&source[from..from + out.len()]) {
                    *sum += weight * i32::from(value);
                }
            }
            for (value, &sum) in out.iter_mut().zip(&sums) {
                *value = clip(sum);
            }
        }
    }
}
