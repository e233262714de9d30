//! The horizontal pass in AVX2, equal to the portable one in every bit: a weight of 23 bits is split into a high and a
//! low half, so that 16-bit multiply-adds of 8-bit pixels give the exact 32-bit sum.

#![allow(unused_unsafe, reason = "intrinsics are unsafe up to Rust 1.86")]

use super::taps::{PRECISION_BITS, Taps};
use std::arch::x86_64::*;

const LOW_BITS: u32 = 11; // of 23: both halves fit 16 bits with sign
const STEP: usize = 4; // taps at once
const LOADED: usize = 16; // bytes a step reads, though it uses STEP × 3

/// The weights in halves, each output's filled with zeros up to a multiple of [`STEP`].
pub(super) struct Halves {
    high: Vec<[i16; STEP]>,
    low: Vec<[i16; STEP]>,
    steps: usize,
}

impl Halves {
    pub fn new(taps: &Taps) -> Self {
        let steps = taps.size.div_ceil(STEP);
        let count = taps.ranges.len() * steps;
        let (mut high, mut low) = (vec![[0; STEP]; count], vec![[0; STEP]; count]);
        for (output, weights) in taps.weights.chunks_exact(taps.size).enumerate() {
            for (tap, weight) in weights.iter().enumerate() {
                let (step, lane) = (output * steps + tap / STEP, tap % STEP);
                high[step][lane] = (weight >> LOW_BITS) as i16;
                low[step][lane] = (weight & ((1 << LOW_BITS) - 1)) as i16;
            }
        }
        Self { high, low, steps }
    }
}

/// One row; returns how many outputs it wrote: it stops where a load would pass the end of `row`.
///
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn row(row: &[u8], taps: &Taps, halves: &Halves, first: usize, out: &mut [u8]) -> usize {
    // SAFETY: AVX2 is there (the caller); the other intrinsics up to the loads touch registers only.
    let (spread, order) = unsafe {
        (
            // Pixels r0 g0 b0 r1 … to 16-bit pairs r0 r1, g0 g1, b0 b1, nothing; the upper half the same of 2 and 3.
            _mm256_setr_epi8(
                0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, //
                6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,
            ),
            _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1),
        )
    };
    for (output, (start, length)) in taps.ranges.iter().enumerate() {
        let from = (start - first) * 3;
        let steps = length.div_ceil(STEP);
        if steps > 0 && from + (steps - 1) * STEP * 3 + LOADED > row.len() {
            return output;
        }
        let weights = output * halves.steps;
        let (high, low) = (&halves.high[weights..weights + steps], &halves.low[weights..weights + steps]);
        // SAFETY: every load of pixels ends within `row` (checked above), every load of weights reads one [i16; 4].
        let bytes = unsafe {
            let (mut sum_high, mut sum_low) = (_mm256_setzero_si256(), _mm256_setzero_si256());
            for (step, (high, low)) in high.iter().zip(low).enumerate() {
                let pixels = _mm_loadu_si128(row.as_ptr().add(from + step * STEP * 3).cast());
                let pixels = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(pixels), spread);
                let weights = |half: &[i16; STEP]| {
                    let half = _mm_loadl_epi64(half.as_ptr().cast());
                    _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(half), order)
                };
                sum_high = _mm256_add_epi32(sum_high, _mm256_madd_epi16(pixels, weights(high)));
                sum_low = _mm256_add_epi32(sum_low, _mm256_madd_epi16(pixels, weights(low)));
            }
            let sum = _mm256_add_epi32(_mm256_slli_epi32::<{ LOW_BITS as i32 }>(sum_high), sum_low);
            let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
            let sum = _mm_add_epi32(sum, _mm_set1_epi32(1 << (PRECISION_BITS - 1)));
            let words = _mm_packs_epi32(_mm_srai_epi32::<{ PRECISION_BITS as i32 }>(sum), _mm_setzero_si128());
            _mm_cvtsi128_si32(_mm_packus_epi16(words, words)).to_le_bytes()
        };
        out[output * 3..output * 3 + 3].copy_from_slice(&bytes[..3]);
    }
    taps.ranges.len()
}
