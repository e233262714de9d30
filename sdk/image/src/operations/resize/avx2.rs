//! The horizontal pass in AVX2, equal to the portable one in every bit: a weight of 23 bits is split into a high and a
//! low half, so that 16-bit multiply-adds of 8-bit pixels give the exact 32-bit sum.

#![allow(unused_unsafe, reason = "intrinsics are unsafe up to Rust 1.86")]

use super::taps::{PRECISION_BITS, Taps};
use std::arch::x86_64::*;

const LOW_BITS: u32 = 11; // of 23: both halves fit 16 bits with sign
const STEP: usize = 4; // taps at once
const LOADED: usize = 16; // bytes a step reads, though it uses STEP × 3
/// Rows at once: they share the loads of weights.
pub(super) const ROWS: usize = 4;

/// The halves of a step's weights as they meet pixels: two taps for each of red, green, blue and nothing, then the next two.
#[derive(Clone, Copy)]
struct Weights {
    high: [i16; 16],
    low: [i16; 16],
}

/// The weights of a pass, each output's filled with zeros up to a multiple of [`STEP`].
pub(super) struct Halves {
    weights: Vec<Weights>,
    steps: usize,
}

impl Halves {
    pub fn new(taps: &Taps) -> Self {
        let steps = taps.size.div_ceil(STEP);
        let mut halves = vec![Weights { high: [0; 16], low: [0; 16] }; taps.ranges.len() * steps];
        for (output, weights) in taps.weights.chunks_exact(taps.size).enumerate() {
            for (tap, weight) in weights.iter().enumerate() {
                let Weights { high, low } = &mut halves[output * steps + tap / STEP];
                for colour in 0..4 {
                    let lane = tap % STEP / 2 * 8 + colour * 2 + tap % 2;
                    high[lane] = (weight >> LOW_BITS) as i16;
                    low[lane] = (weight & ((1 << LOW_BITS) - 1)) as i16;
                }
            }
        }
        Self { weights: halves, steps }
    }
}

/// Rows of as many pixels; returns how many outputs of each it wrote: it stops where a load would pass a row's end.
///
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn rows<const N: usize>(
    rows: [&[u8]; N],
    taps: &Taps,
    halves: &Halves,
    first: usize,
    outs: &mut [&mut [u8]; N],
) -> usize {
    const { assert!(N <= ROWS) };
    let least = rows.iter().map(|row| row.len()).min().unwrap_or(0);
    let room = outs.iter().map(|out| out.len()).min().unwrap_or(0);
    // Pixels r0 g0 b0 r1 … to 16-bit pairs r0 r1, g0 g1, b0 b1, nothing; the upper half the same of 2 and 3.
    // SAFETY: AVX2 is there (the caller); registers only.
    let spread = unsafe {
        _mm256_setr_epi8(
            0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, //
            6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,
        )
    };
    for (output, (start, length)) in taps.ranges.iter().enumerate() {
        let from = (start - first) * 3;
        let steps = length.div_ceil(STEP);
        let reads_past = steps > 0 && from + (steps - 1) * STEP * 3 + LOADED > least;
        if reads_past || output * 3 + 4 > room {
            return output; // four bytes are written, the fourth of which is the next output's
        }
        let weights = &halves.weights[output * halves.steps..][..steps];
        // SAFETY: every load of pixels ends within its row, every store within its output (checked above), and every load of
        // weights reads one array; the other intrinsics touch registers only.
        unsafe {
            let mut sums = [[_mm256_setzero_si256(); 2]; N];
            for (step, weights) in weights.iter().enumerate() {
                let high = _mm256_loadu_si256(weights.high.as_ptr().cast());
                let low = _mm256_loadu_si256(weights.low.as_ptr().cast());
                for (row, [sum_high, sum_low]) in rows.iter().zip(&mut sums) {
                    let pixels = _mm_loadu_si128(row.as_ptr().add(from + step * STEP * 3).cast());
                    let pixels = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(pixels), spread);
                    *sum_high = _mm256_add_epi32(*sum_high, _mm256_madd_epi16(pixels, high));
                    *sum_low = _mm256_add_epi32(*sum_low, _mm256_madd_epi16(pixels, low));
                }
            }
            let mut words = [_mm_setzero_si128(); ROWS];
            for (word, [high, low]) in words.iter_mut().zip(sums) {
                let sum = _mm256_add_epi32(_mm256_slli_epi32::<{ LOW_BITS as i32 }>(high), low);
                let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
                let sum = _mm_add_epi32(sum, _mm_set1_epi32(1 << (PRECISION_BITS - 1)));
                *word = _mm_srai_epi32::<{ PRECISION_BITS as i32 }>(sum);
            }
            let [a, b, c, d] = words;
            let pixels = _mm_packus_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d));
            let mut bytes = [0u32; ROWS];
            _mm_storeu_si128(bytes.as_mut_ptr().cast(), pixels);
            for (out, bytes) in outs.iter_mut().zip(bytes) {
                out.as_mut_ptr().add(output * 3).cast::<u32>().write_unaligned(bytes);
            }
        }
    }
    taps.ranges.len()
}
