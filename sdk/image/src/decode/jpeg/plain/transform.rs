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

/// Rows or columns of a block, two a vector: 0 and 4, 2 and 6, 1 and 5, 3 and 7.
type Twos = [__m256i; 4];

/// Of each half of a vector its own two halves, number by number.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn interleaved(v: __m256i) -> __m256i {
    // SAFETY: registers only; AVX2 is there (the callers).
    unsafe {
        let order = _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
        _mm256_shuffle_epi8(v, _mm256_broadcastsi128_si256(order))
    }
}

/// The numbers of two halves side by side.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn beside(v: __m256i) -> __m256i {
    // SAFETY: registers only; AVX2 is there (the callers).
    unsafe { interleaved(_mm256_permute4x64_epi64::<0b11_01_10_00>(v)) }
}

/// Sums of two products each of pairs and constants: 1, 5, 3 and 7 by `c`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn odd([_, _, p15, p37]: Twos, c: [i32; 4]) -> __m256i {
    // SAFETY: registers only; AVX2 is there (the callers).
    unsafe { _mm256_add_epi32(_mm256_madd_epi16(p15, pair(c[0], c[1])), _mm256_madd_epi16(p37, pair(c[2], c[3]))) }
}

/// The sum and the difference, without the bits after the point.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn both<const DOWN: i32>(even: __m256i, odd: __m256i) -> [__m256i; 2] {
    // SAFETY: registers only; AVX2 is there (the callers).
    unsafe {
        [_mm256_srai_epi32::<DOWN>(_mm256_add_epi32(even, odd)), _mm256_srai_epi32::<DOWN>(_mm256_sub_epi32(even, odd))]
    }
}

/// One pass over eight vectors of coefficients, and rows for columns.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn pass<const DOWN: i32>(c: Twos) -> Twos {
    // SAFETY: registers only; AVX2 is there (the callers).
    unsafe {
        let p = [beside(c[0]), beside(c[1]), beside(c[2]), beside(c[3])];
        let one = 1 << BITS;
        let half = _mm256_set1_epi32(1 << (DOWN - 1)); // for rounding
        let sum = _mm256_add_epi32(_mm256_madd_epi16(p[0], pair(one, one)), half);
        let difference = _mm256_add_epi32(_mm256_madd_epi16(p[0], pair(one, -one)), half);
        let slow = _mm256_madd_epi16(p[1], pair(10_703, 4_433));
        let fast = _mm256_madd_epi16(p[1], pair(4_433, -10_704));
        let [r0, r7] = both::<DOWN>(_mm256_add_epi32(sum, slow), odd(p, [11_363, 6_437, 9_633, 2_260]));
        let [r1, r6] = both::<DOWN>(_mm256_add_epi32(difference, fast), odd(p, [9_633, -11_362, -2_259, -6_436]));
        let [r2, r5] = both::<DOWN>(_mm256_sub_epi32(difference, fast), odd(p, [6_437, 2_261, -11_362, 9_633]));
        let [r3, r4] = both::<DOWN>(_mm256_sub_epi32(sum, slow), odd(p, [2_260, 9_633, -6_436, -11_363]));
        // Each half of a vector holds four columns.
        let (r07, r16) = (_mm256_packs_epi32(r0, r7), _mm256_packs_epi32(r1, r6));
        let (r25, r34) = (_mm256_packs_epi32(r2, r5), _mm256_packs_epi32(r3, r4));
        let (r01, r67) = (_mm256_unpacklo_epi16(r07, r16), _mm256_unpackhi_epi16(r16, r07));
        let (r23, r45) = (_mm256_unpacklo_epi16(r25, r34), _mm256_unpackhi_epi16(r34, r25));
        let (upper01, upper23) = (_mm256_unpacklo_epi32(r01, r23), _mm256_unpackhi_epi32(r01, r23));
        let (lower01, lower23) = (_mm256_unpacklo_epi32(r45, r67), _mm256_unpackhi_epi32(r45, r67));
        [
            _mm256_unpacklo_epi64(upper01, lower01),
            _mm256_unpacklo_epi64(upper23, lower23),
            _mm256_unpackhi_epi64(upper01, lower01),
            _mm256_unpackhi_epi64(upper23, lower23),
        ]
    }
}

/// One pass to four numbers of eight coefficients, of which the fifth does not count.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn short_pass<const DOWN: i32>(p: Twos) -> [__m256i; 4] {
    // SAFETY: registers only; AVX2 is there (the callers).
    unsafe {
        let half = _mm256_set1_epi32(1 << (DOWN - 1)); // for rounding
        let first = _mm256_add_epi32(_mm256_madd_epi16(p[0], pair(1 << (BITS + 1), 0)), half);
        let second = _mm256_madd_epi16(p[1], pair(15_137, -6_270));
        let [r0, r3] = both::<DOWN>(_mm256_add_epi32(first, second), odd(p, [20_995, -4_926, 7_373, -4_176]));
        let [r1, r2] = both::<DOWN>(_mm256_sub_epi32(first, second), odd(p, [8_697, 11_893, -17_799, -1_730]));
        [r0, r1, r2, r3]
    }
}

/// One pass to two numbers of eight coefficients, of which the third, the fifth and the seventh do not count.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn shortest_pass<const DOWN: i32>(p: Twos) -> [__m256i; 2] {
    // SAFETY: registers only; AVX2 is there (the callers).
    unsafe {
        let half = _mm256_set1_epi32(1 << (DOWN - 1)); // for rounding
        let first = _mm256_slli_epi32::<1>(_mm256_madd_epi16(p[0], pair(1 << (BITS + 1), 0)));
        both::<DOWN>(_mm256_add_epi32(first, half), odd(p, [29_692, 6_967, -10_426, -5_906]))
    }
}

/// Samples of two vectors: around 128, and as libjpeg's table of limits does it, which looks at ten bits.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn samples(one: __m256i, two: __m256i) -> __m256i {
    // SAFETY: registers only; AVX2 is there (the callers).
    unsafe {
        let limited = |v| _mm256_add_epi16(_mm256_srai_epi16::<6>(_mm256_slli_epi16::<6>(v)), _mm256_set1_epi16(128));
        _mm256_packus_epi16(limited(one), limited(two))
    }
}

/// The largest sum of coefficients' sizes with which numbers between the passes fit 16 bits: a pass makes at most
/// 4 · √2 · cos(π/16) = 5.55 times as much of it. Noise in pure black and white exceeds it, photographs don't.
const MOST: u16 = 5_800;

/// The rows of a block times its quantisers. None where they sum up to more than [`MOST`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn rows(block: &Block, quantisers: &Quantisers) -> Option<Twos> {
    // SAFETY: loads of 32 bytes from 16 numbers; the rest are registers.
    unsafe {
        let nothing = _mm256_setzero_si256();
        let (mut sum, mut over) = (nothing, nothing);
        let mut rows = [nothing; 4];
        let (values, quantisers) = (block.rows().chunks_exact(16), quantisers.rows().chunks_exact(16));
        for ((two, values), quantisers) in rows.iter_mut().zip(values).zip(quantisers) {
            let values = _mm256_load_si256(values.as_ptr().cast());
            let quantisers = _mm256_load_si256(quantisers.as_ptr().cast());
            let sizes = _mm256_abs_epi16(values);
            let products = _mm256_mullo_epi16(sizes, quantisers);
            over = _mm256_or_si256(over, _mm256_mulhi_epu16(sizes, quantisers));
            sum = _mm256_adds_epu16(sum, products);
            *two = _mm256_sign_epi16(products, values);
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
unsafe fn full(coefficients: Twos, to: &mut [u8], stride: usize) {
    assert!(to.len() >= 7 * stride + 8);
    // SAFETY: the stores of 8 bytes lie within `to` (above); the rest are registers.
    unsafe {
        let columns = pass::<{ BITS - KEPT }>(coefficients);
        let [r04, r26, r15, r37] = pass::<{ BITS + KEPT + 3 }>(columns);
        let (r0145, r2367) = (samples(r04, r15), samples(r26, r37));
        let upper = [_mm256_castsi256_si128(r0145), _mm256_castsi256_si128(r2367)];
        let lower = [_mm256_extracti128_si256::<1>(r0145), _mm256_extracti128_si256::<1>(r2367)];
        for (at, two) in [upper[0], upper[1], lower[0], lower[1]].into_iter().enumerate() {
            _mm_storel_epi64(to.as_mut_ptr().add(2 * at * stride).cast(), two);
            _mm_storel_epi64(to.as_mut_ptr().add((2 * at + 1) * stride).cast(), _mm_unpackhi_epi64(two, two));
        }
    }
}

/// Four rows of four samples.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn half(coefficients: Twos, to: &mut [u8], stride: usize) {
    assert!(to.len() >= 3 * stride + 4);
    // SAFETY: a store of 16 bytes in an array of 16; the rest are registers.
    let bytes = unsafe {
        let [r0, r1, r2, r3] = short_pass::<{ BITS - KEPT + 1 }>(coefficients.map(|two| beside(two)));
        let (r02, r13) = (_mm256_packs_epi32(r0, r2), _mm256_packs_epi32(r1, r3));
        let (r01, r23) = (_mm256_unpacklo_epi16(r02, r13), _mm256_unpackhi_epi16(r02, r13));
        // Columns of four: 0, 1 and 4, 5; 2, 3 and 6, 7.
        let [(c01, c45), (c23, c67)] = [_mm256_unpacklo_epi32(r01, r23), _mm256_unpackhi_epi32(r01, r23)]
            .map(|four| (_mm256_castsi256_si128(four), _mm256_extracti128_si256::<1>(four)));
        let pairs = [
            _mm_unpacklo_epi16(c01, c45),
            _mm_unpacklo_epi16(c23, c67),
            _mm_unpackhi_epi16(c01, c45),
            _mm_unpackhi_epi16(c23, c67),
        ];
        // Their upper halves are not looked at.
        let [c0, c1, c2, c3] = short_pass::<{ BITS + KEPT + 3 + 1 }>(pairs.map(|pairs| _mm256_castsi128_si256(pairs)));
        let (c02, c13) = (_mm256_packs_epi32(c0, c2), _mm256_packs_epi32(c1, c3));
        let (c01, c23) = (_mm256_unpacklo_epi16(c02, c13), _mm256_unpackhi_epi16(c02, c13));
        let rows = samples(_mm256_unpacklo_epi32(c01, c23), _mm256_unpackhi_epi32(c01, c23));
        let mut bytes = [0u8; 16];
        _mm_storeu_si128(bytes.as_mut_ptr().cast(), _mm256_castsi256_si128(rows));
        bytes
    };
    for (at, row) in bytes.chunks_exact(4).enumerate() {
        to[at * stride..][..4].copy_from_slice(row);
    }
}

/// Two rows of two samples.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn quarter(coefficients: Twos, to: &mut [u8], stride: usize) {
    // SAFETY: registers only.
    let [a, b, c, d] = unsafe {
        let [r0, r1] = shortest_pass::<BITS>(coefficients.map(|two| beside(two)));
        // Four columns of two in either half.
        let columns = interleaved(_mm256_packs_epi32(r0, r1));
        let (upper, lower) = (_mm256_castsi256_si128(columns), _mm256_extracti128_si256::<1>(columns));
        let (c0415, c2637) = (_mm_unpacklo_epi16(upper, lower), _mm_unpackhi_epi16(upper, lower));
        let pairs = [c0415, c2637, _mm_unpackhi_epi64(c0415, c0415), _mm_unpackhi_epi64(c2637, c2637)];
        // Their upper halves are not looked at.
        let [c0, c1] = shortest_pass::<{ BITS + KEPT + 3 + 2 }>(pairs.map(|pairs| _mm256_castsi128_si256(pairs)));
        let rows = interleaved(_mm256_packs_epi32(c0, c1));
        _mm_cvtsi128_si32(_mm256_castsi256_si128(samples(rows, rows))).to_le_bytes()
    };
    to[..2].copy_from_slice(&[a, b]);
    to[stride..][..2].copy_from_slice(&[c, d]);
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
