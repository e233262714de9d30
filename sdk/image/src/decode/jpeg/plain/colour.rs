//! From planes to RGB (ITU-T T.871), with libjpeg's rounding.

use super::{planes::Planes, upsample};
use crate::lanes::{BYTES, PIXELS, pixels};
use std::arch::x86_64::*;

/// 0.344136, 0.714136, 1.402 and 1.772 with 16 bits after the point. What exceeds 15 bits is added as a whole.
const FROM_CB: [i32; 2] = [-22_554, 116_130 - (2 << 16)];
const FROM_CR: [i32; 2] = [(1 << 16) - 46_802, 91_881 - (1 << 16)];

/// Height × width × 3 bytes.
///
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
pub unsafe fn to_rgb(planes: &Planes) -> Vec<u8> {
    let width = planes.width;
    let mut rgb = vec![0; width * planes.height * 3];
    let [luma, chroma @ ..] = &planes.planes[..] else { return rgb };
    let (mut sums, mut fine) = (Vec::new(), [Vec::new(), Vec::new()]);
    for (y, out) in rgb.chunks_exact_mut(width * 3).enumerate() {
        let luma = &luma.row(y)[..width];
        let [cb, cr] = chroma else {
            for (pixel, &value) in out.chunks_exact_mut(3).zip(luma) {
                pixel.fill(value);
            }
            continue;
        };
        if planes.is_coarse {
            let own = y / 2;
            let near = if y % 2 == 0 { own.saturating_sub(1) } else { (own + 1).min(cb.height - 1) };
            for (plane, fine) in chroma.iter().zip(&mut fine) {
                upsample::row(&plane.row(own)[..plane.width], plane.row(near), &mut sums, fine);
            }
            // SAFETY: AVX2 is there (the caller).
            unsafe { row([luma, &fine[0][..width], &fine[1][..width]], out) };
        } else {
            // SAFETY: AVX2 is there (the caller).
            unsafe { row([luma, &cb.row(y)[..width], &cr.row(y)[..width]], out) };
        }
    }
    rgb
}

/// One row; the planes are as long as each other and a third as long as `out`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn row(planes: [&[u8]; 3], out: &mut [u8]) {
    let width = planes[0].len();
    let mut at = 0;
    while at < width {
        if width - at >= PIXELS {
            let [y, cb, cr] = planes.map(|plane| <&[u8; PIXELS]>::try_from(&plane[at..at + PIXELS]).expect("as long"));
            let out = <&mut [u8; BYTES]>::try_from(&mut out[3 * at..3 * (at + PIXELS)]).expect("as long");
            // SAFETY: AVX2 is there (the caller).
            unsafe { step(y, cb, cr, out) };
        } else {
            let mut rest = [[0; PIXELS]; 3];
            for (rest, plane) in rest.iter_mut().zip(planes) {
                rest[..width - at].copy_from_slice(&plane[at..]);
            }
            let mut done = [0; BYTES];
            // SAFETY: AVX2 is there (the caller).
            unsafe { step(&rest[0], &rest[1], &rest[2], &mut done) };
            out[3 * at..].copy_from_slice(&done[..3 * (width - at)]);
        }
        at += PIXELS;
    }
}

#[inline]
#[target_feature(enable = "avx2")]
unsafe fn step(y: &[u8; PIXELS], cb: &[u8; PIXELS], cr: &[u8; PIXELS], out: &mut [u8; BYTES]) {
    // SAFETY: loads of 16 bytes from arrays of 16, stores of 16 to them; the rest are registers, and AVX2 is there (the callers).
    unsafe {
        let wide = |bytes: &[u8; PIXELS]| _mm256_cvtepu8_epi16(_mm_loadu_si128(bytes.as_ptr().cast()));
        let middle = _mm256_set1_epi16(128);
        let (y, cb, cr) = (wide(y), _mm256_sub_epi16(wide(cb), middle), _mm256_sub_epi16(wide(cr), middle));
        // Per pixel the sum of two products and one half, without its 16 bits after the point.
        let sum = |one, two, factors: [i32; 2], half: i32| {
            let factors = _mm256_set1_epi32(factors[1] << 16 | factors[0] & 0xFFFF);
            let down = |pairs| {
                _mm256_srai_epi32::<16>(_mm256_add_epi32(_mm256_madd_epi16(pairs, factors), _mm256_set1_epi32(half)))
            };
            _mm256_packs_epi32(down(_mm256_unpacklo_epi16(one, two)), down(_mm256_unpackhi_epi16(one, two)))
        };
        let half = 1 << 15;
        let red = sum(cr, cr, [FROM_CR[1], 0], half);
        let green = sum(cb, cr, [FROM_CB[0], FROM_CR[0]], half);
        let blue = sum(cb, cb, [FROM_CB[1], 0], half);
        let red = _mm256_add_epi16(_mm256_add_epi16(y, cr), red);
        let green = _mm256_add_epi16(_mm256_sub_epi16(y, cr), green);
        let blue = _mm256_add_epi16(_mm256_add_epi16(y, _mm256_add_epi16(cb, cb)), blue);
        let narrow = |v: __m256i| _mm_packus_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
        let mut colours = [[0; PIXELS]; 3];
        for (bytes, colour) in colours.iter_mut().zip([red, green, blue]) {
            _mm_storeu_si128(bytes.as_mut_ptr().cast(), narrow(colour));
        }
        pixels(&colours, out);
    }
}
