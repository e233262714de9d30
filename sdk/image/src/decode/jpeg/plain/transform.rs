//! The inverse cosine transform of a block in fixed point, as libjpeg's accurate one rounds it (Loeffler, Ligtenberg, Moschytz 1989,
//! columns first, 13 bits after the point): sums are linear in between, so that their order is free.

use super::huffman::{Block, Quantisers};
use std::arch::x86_64::*;

const BITS: i32 = 13;
const KEPT: i32 = 2; // bits after the point between the passes

/// Two numbers of 16 bits as one of 32, for products with pairs.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn pair(first: i32, second: i32) -> __m256i {
    // SAFETY: register only.
    unsafe { _mm256_set1_epi32(second << 16 | first & 0xFFFF) }
}

/// Of two vectors the numbers side by side.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn pairs(one: __m128i, two: __m128i) -> __m256i {
    // SAFETY: registers only; AVX2 is there (the callers).
    unsafe { _mm256_set_m128i(_mm_unpackhi_epi16(one, two), _mm_unpacklo_epi16(one, two)) }
}

/// Rounds sums to whole numbers of 16 bits, two vectors into one each.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn rounded<const DOWN: i32>(one: __m256i, two: __m256i) -> [__m128i; 2] {
    // SAFETY: registers only; AVX2 is there (the callers).
    unsafe {
        let half = _mm256_set1_epi32(1 << (DOWN - 1));
        let down = |sum| _mm256_srai_epi32::<DOWN>(_mm256_add_epi32(sum, half));
        let both = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(down(one), down(two)));
        [_mm256_castsi256_si128(both), _mm256_extracti128_si256::<1>(both)]
    }
}

/// One pass over eight vectors of coefficients.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn pass<const DOWN: i32>(c: [__m128i; 8]) -> [__m128i; 8] {
    // SAFETY: registers only; AVX2 is there (the callers).
    unsafe {
        let (c04, c26) = (pairs(c[0], c[4]), pairs(c[2], c[6]));
        let one = 1 << BITS;
        let (sum, difference) = (_mm256_madd_epi16(c04, pair(one, one)), _mm256_madd_epi16(c04, pair(one, -one)));
        let (slow, fast) = (_mm256_madd_epi16(c26, pair(10_703, 4_433)), _mm256_madd_epi16(c26, pair(4_433, -10_704)));
        let even = [
            _mm256_add_epi32(sum, slow),
            _mm256_add_epi32(difference, fast),
            _mm256_sub_epi32(difference, fast),
            _mm256_sub_epi32(sum, slow),
        ];
        let (c75, c31) = (pairs(c[7], c[5]), pairs(c[3], c[1]));
        let odd = |a, b, c, d| _mm256_add_epi32(_mm256_madd_epi16(c75, pair(a, b)), _mm256_madd_epi16(c31, pair(c, d)));
        let odd = [
            odd(2_260, 6_437, 9_633, 11_363),
            odd(-6_436, -11_362, -2_259, 9_633),
            odd(9_633, 2_261, -11_362, 6_437),
            odd(-11_363, 9_633, -6_436, 2_260),
        ];
        let mut result = c;
        for at in 0..4 {
            let both = rounded::<DOWN>(_mm256_add_epi32(even[at], odd[at]), _mm256_sub_epi32(even[at], odd[at]));
            [result[at], result[7 - at]] = both;
        }
        result
    }
}

/// One pass to four numbers of eight coefficients, of which the fifth does not count.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn short_pass<const DOWN: i32>(c: [__m128i; 8]) -> [__m128i; 4] {
    // SAFETY: registers only; AVX2 is there (the callers).
    unsafe {
        let nothing = _mm_setzero_si128();
        let first = _mm256_madd_epi16(pairs(c[0], nothing), pair(1 << (BITS + 1), 0));
        let second = _mm256_madd_epi16(pairs(c[2], c[6]), pair(15_137, -6_270));
        let even = [_mm256_add_epi32(first, second), _mm256_sub_epi32(first, second)];
        let (c75, c31) = (pairs(c[7], c[5]), pairs(c[3], c[1]));
        let odd = |a, b, c, d| _mm256_add_epi32(_mm256_madd_epi16(c75, pair(a, b)), _mm256_madd_epi16(c31, pair(c, d)));
        let odd = [odd(-4_176, -4_926, 7_373, 20_995), odd(-1_730, 11_893, -17_799, 8_697)];
        let mut result = [nothing; 4];
        for at in 0..2 {
            let both = rounded::<DOWN>(_mm256_add_epi32(even[at], odd[at]), _mm256_sub_epi32(even[at], odd[at]));
            [result[at], result[3 - at]] = both;
        }
        result
    }
}

/// One pass to two numbers of eight coefficients, of which the third, the fifth and the seventh do not count.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn shortest_pass<const DOWN: i32>(c: [__m128i; 8]) -> [__m128i; 2] {
    // SAFETY: registers only; AVX2 is there (the callers).
    unsafe {
        let even = _mm256_madd_epi16(pairs(c[0], c[0]), pair(1 << (BITS + 1), 1 << (BITS + 1)));
        let c75 = _mm256_madd_epi16(pairs(c[7], c[5]), pair(-5_906, 6_967));
        let c31 = _mm256_madd_epi16(pairs(c[3], c[1]), pair(-10_426, 29_692));
        let odd = _mm256_add_epi32(c75, c31);
        rounded::<DOWN>(_mm256_add_epi32(even, odd), _mm256_sub_epi32(even, odd))
    }
}

/// Rows for columns.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn turned(v: [__m128i; 8]) -> [__m128i; 8] {
    // SAFETY: registers only; AVX2 is there (the callers).
    unsafe {
        let mut twos = v;
        for at in 0..4 {
            twos[2 * at] = _mm_unpacklo_epi16(v[2 * at], v[2 * at + 1]);
            twos[2 * at + 1] = _mm_unpackhi_epi16(v[2 * at], v[2 * at + 1]);
        }
        let mut fours = v;
        for at in 0..2 {
            for high in 0..2 {
                let (one, two) = (twos[4 * at + high], twos[4 * at + 2 + high]);
                fours[4 * at + 2 * high] = _mm_unpacklo_epi32(one, two);
                fours[4 * at + 2 * high + 1] = _mm_unpackhi_epi32(one, two);
            }
        }
        let mut eights = v;
        for at in 0..4 {
            eights[2 * at] = _mm_unpacklo_epi64(fours[at], fours[4 + at]);
            eights[2 * at + 1] = _mm_unpackhi_epi64(fours[at], fours[4 + at]);
        }
        eights
    }
}

/// Samples of two vectors: around 128, and as libjpeg's table of limits does it, which looks at ten bits.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn samples(one: __m128i, two: __m128i) -> __m128i {
    // SAFETY: registers only; AVX2 is there (the callers).
    unsafe {
        let limited = |v| _mm_add_epi16(_mm_srai_epi16::<6>(_mm_slli_epi16::<6>(v)), _mm_set1_epi16(128));
        _mm_packus_epi16(limited(one), limited(two))
    }
}

/// The largest sum of coefficients' sizes with which numbers between the passes fit 16 bits: a pass makes at most
/// 4 · √2 · cos(π/16) = 5.55 times as much of it. Noise in pure black and white exceeds it, photographs don't.
const MOST: u16 = 5_800;

/// The rows of a block times its quantisers. None where they sum up to more than [`MOST`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn rows(block: &Block, quantisers: &Quantisers) -> Option<[__m128i; 8]> {
    // SAFETY: loads of 32 bytes from 16 numbers; the rest are registers.
    unsafe {
        let nothing = _mm256_setzero_si256();
        let (mut sum, mut over) = (nothing, nothing);
        let mut rows = [_mm_setzero_si128(); 8];
        let (values, quantisers) = (block.rows().chunks_exact(16), quantisers.rows().chunks_exact(16));
        for ((two, values), quantisers) in rows.chunks_exact_mut(2).zip(values).zip(quantisers) {
            let values = _mm256_load_si256(values.as_ptr().cast());
            let quantisers = _mm256_load_si256(quantisers.as_ptr().cast());
            let sizes = _mm256_abs_epi16(values);
            let products = _mm256_mullo_epi16(sizes, quantisers);
            over = _mm256_or_si256(over, _mm256_mulhi_epu16(sizes, quantisers));
            sum = _mm256_adds_epu16(sum, products);
            let products = _mm256_sign_epi16(products, values);
            two[0] = _mm256_castsi256_si128(products);
            two[1] = _mm256_extracti128_si256::<1>(products);
        }
        let mut sum = _mm_adds_epu16(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        sum = _mm_adds_epu16(sum, _mm_unpackhi_epi64(sum, sum));
        sum = _mm_adds_epu16(sum, _mm_shuffle_epi32::<0b01>(sum));
        sum = _mm_adds_epu16(sum, _mm_srli_epi32::<16>(sum));
        (_mm_cvtsi128_si32(sum) as u16 <= MOST && _mm256_testz_si256(over, over) == 1).then_some(rows)
    }
}

/// A square of samples, `stride` from row to row: the whole block of 8 a side, or 4, 2 or 1. None where it can't.
///
/// # Safety
/// The processor has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
pub unsafe fn block(block: &Block, quantisers: &Quantisers, to: &mut [u8], stride: usize, side: usize) -> Option<()> {
    if block.is_flat || side == 1 {
        flat(i32::from(block.first()) * i32::from(quantisers.rows()[0]), to, stride, side);
        return Some(());
    }
    // SAFETY: AVX2 is there (the caller).
    unsafe {
        let coefficients = rows(block, quantisers)?;
        match side {
            8 => full(coefficients, to, stride),
            4 => half(coefficients, to, stride),
            _ => quarter(coefficients, to, stride),
        }
    }
    Some(())
}

/// Eight rows of eight samples.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn full(coefficients: [__m128i; 8], to: &mut [u8], stride: usize) {
    assert!(to.len() >= 7 * stride + 8);
    // SAFETY: the stores of 8 bytes lie within `to` (above); the rest are registers.
    unsafe {
        let between = turned(pass::<{ BITS - KEPT }>(coefficients));
        let done = turned(pass::<{ BITS + KEPT + 3 }>(between));
        for at in 0..4 {
            let both = samples(done[2 * at], done[2 * at + 1]);
            _mm_storel_epi64(to.as_mut_ptr().add(2 * at * stride).cast(), both);
            _mm_storel_epi64(to.as_mut_ptr().add((2 * at + 1) * stride).cast(), _mm_unpackhi_epi64(both, both));
        }
    }
}

/// Four rows of four samples.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn half(coefficients: [__m128i; 8], to: &mut [u8], stride: usize) {
    assert!(to.len() >= 3 * stride + 4);
    // SAFETY: stores of 16 bytes within 32; the rest are registers.
    let bytes = unsafe {
        let nothing = _mm_setzero_si128();
        let [a, b, c, d] = short_pass::<{ BITS - KEPT + 1 }>(coefficients);
        let columns = turned([a, b, c, d, nothing, nothing, nothing, nothing]);
        let [a, b, c, d] = short_pass::<{ BITS + KEPT + 3 + 1 }>(columns);
        let done = turned([a, b, c, d, nothing, nothing, nothing, nothing]);
        let (upper, lower) = (samples(done[0], done[1]), samples(done[2], done[3]));
        let mut bytes = [0u8; 32];
        _mm_storeu_si128(bytes.as_mut_ptr().cast(), upper);
        _mm_storeu_si128(bytes.as_mut_ptr().add(16).cast(), lower);
        bytes
    };
    for (at, row) in bytes.chunks_exact(8).enumerate() {
        to[at * stride..][..4].copy_from_slice(&row[..4]);
    }
}

/// Two rows of two samples.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn quarter(coefficients: [__m128i; 8], to: &mut [u8], stride: usize) {
    // SAFETY: registers only.
    let [upper, lower] = unsafe {
        let nothing = _mm_setzero_si128();
        let [a, b] = shortest_pass::<BITS>(coefficients);
        let columns = turned([a, b, nothing, nothing, nothing, nothing, nothing, nothing]);
        let [left, right] = shortest_pass::<{ BITS + KEPT + 3 + 2 }>(columns);
        let done = _mm_unpacklo_epi16(left, right);
        let pixels = _mm_cvtsi128_si32(samples(done, done)).to_le_bytes();
        [[pixels[0], pixels[1]], [pixels[2], pixels[3]]]
    };
    to[..2].copy_from_slice(&upper);
    to[stride..][..2].copy_from_slice(&lower);
}

/// A block of one value.
#[inline(always)]
fn flat(value: i32, to: &mut [u8], stride: usize, side: usize) {
    let value = (value + 4) >> 3;
    let value = ((value << 22 >> 22) + 128).clamp(0, 255) as u8;
    for row in to.chunks_mut(stride).take(side) {
        row[..side].fill(value);
    }
}
