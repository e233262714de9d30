//! The two passes of the resampling. Sums are 32-bit integers, so the order of additions is free.

use super::taps::{PRECISION_BITS, Taps};

const HALF: i32 = 1 << (PRECISION_BITS - 1);

#[inline(always)]
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// Fills the rows of `out`, one from each row of `source`, whose rows begin at input column `first`.
pub(super) fn horizontal(source: &[u8], stride: usize, taps: &Taps, first: usize, out: &mut [u8]) {
    let row_bytes = taps.ranges.len() * 3;
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        use super::avx2::{Halves, ROWS, rows};
        let halves = Halves::new(taps);
        for (block, out) in out.chunks_mut(ROWS * row_bytes).enumerate() {
            let input = |row: usize| &source[(block * ROWS + row) * stride..];
            let count = out.len() / row_bytes;
            let done = if count == ROWS {
                let (upper, lower) = out.split_at_mut(2 * row_bytes);
                let ((a, b), (c, d)) = (upper.split_at_mut(row_bytes), lower.split_at_mut(row_bytes));
                // SAFETY: AVX2 was detected.
                unsafe { rows([0, 1, 2, 3].map(input), taps, &halves, first, &mut [a, b, c, d]) }
            } else {
                let each = out.chunks_exact_mut(row_bytes).enumerate();
                // SAFETY: AVX2 was detected.
                each.map(|(row, out)| unsafe { rows([input(row)], taps, &halves, first, &mut [out]) })
                    .min()
                    .unwrap_or(0)
            };
            for (row, out) in out.chunks_exact_mut(row_bytes).enumerate() {
                horizontal_row(input(row), taps, first, done, out);
            }
        }
        return;
    }
    for (row, out) in out.chunks_exact_mut(row_bytes).enumerate() {
        horizontal_row(&source[row * stride..], taps, first, 0, out);
    }
}

/// The outputs from `done` on.
fn horizontal_row(row: &[u8], taps: &Taps, first: usize, done: usize, out: &mut [u8]) {
    let positions = taps.ranges.iter().zip(taps.weights.chunks_exact(taps.size)).skip(done);
    for (((start, length), weights), pixel) in positions.zip(out[done * 3..].chunks_exact_mut(3)) {
        let mut sums = [HALF; 3];
        for (weight, input) in weights[..*length].iter().zip(row[(start - first) * 3..].chunks_exact(3)) {
            for (sum, &value) in sums.iter_mut().zip(input) {
                *sum += weight * i32::from(value);
            }
        }
        pixel.copy_from_slice(&sums.map(clip));
    }
}

/// Fills the rows of `out` from the first `row_bytes` of the rows of `source`, which begins at input row `first`.
pub(super) fn vertical(source: &[u8], stride: usize, taps: &Taps, first: usize, out: &mut [u8], row_bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 was detected.
        unsafe { vertical_avx2(source, stride, taps, first, out, row_bytes) };
        return;
    }
    vertical_any(source, stride, taps, first, out, row_bytes);
}

/// The same code for wider registers.
///
/// # Safety
/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn vertical_avx2(source: &[u8], stride: usize, taps: &Taps, first: usize, out: &mut [u8], row_bytes: usize) {
    vertical_any(source, stride, taps, first, out, row_bytes);
}

const BLOCK: usize = 64; // sums that stay in registers

#[inline(always)]
fn vertical_any(source: &[u8], stride: usize, taps: &Taps, first: usize, out: &mut [u8], row_bytes: usize) {
    let positions = taps.ranges.iter().zip(taps.weights.chunks_exact(taps.size));
    for (((start, length), weights), out) in positions.zip(out.chunks_exact_mut(row_bytes)) {
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            let mut sums = [HALF; BLOCK];
            let from = (start - first) * stride + block * BLOCK;
            for (index, weight) in weights[..*length].iter().enumerate() {
                let input = &source[from + index * stride..][..out.len()];
                if let Ok(input) = <&[u8; BLOCK]>::try_from(input) {
                    for at in 0..BLOCK {
                        sums[at] += weight * i32::from(input[at]);
                    }
                } else {
                    for (sum, &value) in sums.iter_mut().zip(input) {
                        *sum += weight * i32::from(value);
                    }
                }
            }
            for (value, &sum) in out.iter_mut().zip(&sums) {
                *value = clip(sum);
            }
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn avx2_equals_the_portable_pass_in_every_bit() {
        if !is_x86_feature_detected!("avx2") {
            eprintln!("SKIPPED: no AVX2");
            return;
        }
        for (input, output) in [(1, 7), (5, 3), (40, 128), (129, 32), (500, 128), (3, 3)] {
            let taps = Taps::new(input, output, 0, output);
            for value in [0u8, 255, 1] {
                let stride = input as usize * 3;
                let row = |i: usize| if value == 1 { (i * 97 % 256) as u8 } else { ((i / 3 % 2) as u8) * value };
                let source: Vec<u8> = (0..stride * 3).map(row).collect();
                let mut fast = vec![0; output as usize * 9];
                horizontal(&source, stride, &taps, 0, &mut fast);
                let mut plain = vec![0; output as usize * 9];
                for (row, out) in plain.chunks_exact_mut(output as usize * 3).enumerate() {
                    horizontal_row(&source[row * stride..], &taps, 0, 0, out);
                }
                assert_eq!(fast, plain, "{input} to {output}");
            }
        }
    }
}
