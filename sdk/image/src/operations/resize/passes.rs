//! The two passes of the resampling.

use super::taps::{PRECISION_BITS, Taps};

const HALF: i32 = 1 << (PRECISION_BITS - 1);

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// Writes `between.len() / (width × 3)` rows of `width` pixels.
pub(super) fn horizontal(source: &[u8], stride: usize, taps: &Taps, between: &mut [u8], width: usize) {
    for (row, out) in between.chunks_exact_mut(width * 3).enumerate() {
        let row = &source[row * stride..];
        let positions = taps.ranges.iter().zip(taps.weights.chunks_exact(taps.size));
        for (((start, length), weights), pixel) in positions.zip(out.chunks_exact_mut(3)) {
            let mut sums = [HALF; 3];
            for (weight, input) in weights[..*length].iter().zip(row[start * 3..].chunks_exact(3)) {
                for (sum, &value) in sums.iter_mut().zip(input) {
                    *sum += weight * i32::from(value);
                }
            }
            pixel.copy_from_slice(&sums.map(clip));
        }
    }
}

/// `between` begins at the input row `first`.
pub(super) fn vertical(between: &[u8], first: usize, taps: &Taps, out: &mut [u8], row_bytes: usize) {
    let positions = taps.ranges.iter().zip(taps.weights.chunks_exact(taps.size));
    let mut sums = vec![0; row_bytes];
    for (((start, length), weights), out) in positions.zip(out.chunks_exact_mut(row_bytes)) {
        sums.fill(HALF);
        for (weight, input) in
            weights[..*length].iter().zip(between[(start - first) * row_bytes..].chunks_exact(row_bytes))
        {
            for (sum, &value) in sums.iter_mut().zip(input) {
                *sum += weight * i32::from(value);
            }
        }
        for (value, &sum) in out.iter_mut().zip(&sums) {
            *value = clip(sum);
        }
    }
}
