//! The hue shift in Pillow's 8-bit HSV: to HSV, hue plus a byte that wraps, and back, both ways with Pillow's mixture of
//! single and double precision (`Convert.c`, `rgb2hsv_row` and `hsv2rgb`). What depends on few bytes comes from tables.

use std::sync::OnceLock;

/// Shifts the hue by `factor` turns (−0.5 to 0.5), as torchvision's `adjust_hue` on a PIL image does: the rounding of the
/// way to HSV and back happens even at 0.
pub fn hue(pixels: &mut [u8], factor: f64) {
    let shift = hue_shift(factor);
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 was detected.
        let rest = unsafe { wide::shifted(pixels, shift) };
        return shifted(rest, shift);
    }
    shifted(pixels, shift);
}

fn shifted(pixels: &mut [u8], shift: u8) {
    let tables = Tables::get();
    for pixel in pixels.chunks_exact_mut(3) {
        let [h, s, v] = tables.hsv([pixel[0], pixel[1], pixel[2]]);
        pixel.copy_from_slice(&tables.rgb(h.wrapping_add(shift), s, v));
    }
}

/// What is added to the hue, modulo 256, for a factor in turns.
pub fn hue_shift(factor: f64) -> u8 {
    (factor * 255.0) as i32 as u8 // truncated, then modulo 256
}

/// Hue, saturation and value of red, green and blue.
pub fn to_hsv(rgb: [u8; 3]) -> [u8; 3] {
    Tables::get().hsv(rgb)
}

/// Red, green and blue of hue, saturation and value.
pub fn from_hsv([h, s, v]: [u8; 3]) -> [u8; 3] {
    Tables::get().rgb(h, s, v)
}

/// Pillow's formulas for eight pixels at once: what is looked up in tables above is computed here, in single precision throughout.
/// That rounds otherwise than Pillow's mixture in between, but never to another byte: tests compare every colour and every hue.
#[cfg(target_arch = "x86_64")]
mod wide {
    #![allow(unused_unsafe, reason = "intrinsics are unsafe up to Rust 1.86")]

    use crate::lanes::{BYTES, colours, pixels as pixels_of};
    use std::arch::x86_64::*;

    /// Shifts the pixels but for those that fill no block, which it returns.
    ///
    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn shifted(pixels: &mut [u8], shift: u8) -> &mut [u8] {
        let mut blocks = pixels.chunks_exact_mut(BYTES);
        for block in &mut blocks {
            let block: &mut [u8; BYTES] = block.try_into().expect("a block");
            // SAFETY: loads and stores of 8 bytes within 16; the rest are registers, and AVX2 is there (the caller).
            unsafe {
                let mut by_colour = colours(block);
                for half in [0, 8] {
                    let load =
                        |colour: &[u8; 16]| _mm256_cvtepu8_epi32(_mm_loadl_epi64(colour.as_ptr().add(half).cast()));
                    let [red, green, blue] = &by_colour;
                    let done = eight([load(red), load(green), load(blue)], shift);
                    for (colour, done) in by_colour.iter_mut().zip(done) {
                        let (low, high) = (_mm256_castsi256_si128(done), _mm256_extracti128_si256::<1>(done));
                        let words = _mm_packus_epi32(low, high);
                        _mm_storel_epi64(colour.as_mut_ptr().add(half).cast(), _mm_packus_epi16(words, words));
                    }
                }
                pixels_of(&by_colour, block);
            }
        }
        blocks.into_remainder()
    }

    /// Red, green and blue of eight pixels whose hue is shifted.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn eight([r, g, b]: [__m256i; 3], shift: u8) -> [__m256i; 3] {
        // SAFETY: registers only; AVX2 is there (the callers).
        unsafe {
            let number = |value| _mm256_set1_ps(value);
            let (one, full) = (number(1.0), number(255.0));
            let single = |whole| _mm256_cvtepi32_ps(whole);
            let bytes = |share| _mm256_cvttps_epi32(_mm256_mul_ps(share, full));

            let value = _mm256_max_epi32(r, _mm256_max_epi32(g, b));
            let smallest = _mm256_min_epi32(r, _mm256_min_epi32(g, b));
            let sum = _mm256_add_epi32(r, _mm256_add_epi32(g, b));
            let middle = _mm256_sub_epi32(_mm256_sub_epi32(sum, value), smallest);
            let spread = single(_mm256_sub_epi32(value, smallest));
            let distance = single(_mm256_sub_epi32(value, middle));
            let middle = _mm256_div_ps(distance, _mm256_max_ps(spread, one)); // largest: 0, smallest: 1
            // As Pillow asks: red first, then green, then blue.
            let (is_r, is_g) = (_mm256_cmpeq_epi32(r, value), _mm256_cmpeq_epi32(g, value));
            let pick = |red, green, blue| _mm256_blendv_epi8(_mm256_blendv_epi8(blue, green, is_g), red, is_r);
            let base = single(pick(_mm256_setzero_si256(), _mm256_set1_epi32(2), _mm256_set1_epi32(4)));
            // Towards the next colour where the one behind is the smallest, otherwise back.
            let is_on = _mm256_castsi256_ps(_mm256_cmpeq_epi32(pick(b, r, g), smallest));
            let whole = _mm256_add_ps(base, _mm256_blendv_ps(number(-1.0), one, is_on));
            let turn = _mm256_blendv_ps(_mm256_add_ps(whole, middle), _mm256_sub_ps(whole, middle), is_on);
            let turn = _mm256_div_ps(turn, number(6.0));
            let is_negative = _mm256_castps_si256(turn);
            let around = _mm256_and_ps(_mm256_castsi256_ps(_mm256_srai_epi32::<31>(is_negative)), one);
            let hue = bytes(_mm256_add_ps(turn, around));
            let saturation = bytes(_mm256_div_ps(spread, _mm256_max_ps(single(value), one)));

            let hue = _mm256_and_si256(_mm256_add_epi32(hue, _mm256_set1_epi32(shift.into())), _mm256_set1_epi32(255));
            let sixfold = _mm256_mul_ps(single(hue), number(6.0));
            let sector = _mm256_floor_ps(_mm256_mul_ps(sixfold, number(1.0 / 255.0)));
            let position = _mm256_div_ps(_mm256_sub_ps(sixfold, _mm256_mul_ps(sector, full)), full);
            let fraction = _mm256_div_ps(single(saturation), full);
            let v = single(value);
            let rounded = |share| {
                let left = _mm256_mul_ps(v, _mm256_sub_ps(one, share));
                _mm256_cvttps_epi32(_mm256_add_ps(left, number(0.5)))
            };
            let p = rounded(fraction);
            let q = rounded(_mm256_mul_ps(fraction, position));
            let t = rounded(_mm256_mul_ps(fraction, _mm256_sub_ps(one, position)));

            let sector = _mm256_cvttps_epi32(sector);
            let is_in = |number| _mm256_cmpeq_epi32(sector, _mm256_set1_epi32(number));
            let sectors = [is_in(1), is_in(2), is_in(3), is_in(4), is_in(5)];
            // The sixth sector is the first again.
            let pick = |first, others: [__m256i; 5]| {
                let mut picked = first;
                for at in 0..5 {
                    picked = _mm256_blendv_epi8(picked, others[at], sectors[at]);
                }
                picked
            };
            let v = value;
            [pick(v, [q, p, p, t, v]), pick(t, [v, v, q, p, p]), pick(p, [p, t, v, v, q])]
        }
    }
}

struct Tables {
    /// Hue by sector (0..6), spread (largest − smallest channel), and largest − middle channel.
    hue: Vec<u8>,
    /// Saturation by largest channel and spread.
    saturation: Vec<u8>,
    /// Sector and position in it, by hue.
    sector: [(u8, f32); 256],
}

impl Tables {
    fn get() -> &'static Self {
        static TABLES: OnceLock<Tables> = OnceLock::new();
        TABLES.get_or_init(Self::build)
    }

    fn build() -> Self {
        let mut hue = vec![0; 6 << 16];
        let mut saturation = vec![0; 1 << 16];
        for spread in 1..=255u32 {
            for distance in 0..=spread {
                let middle = distance as f32 / spread as f32; // of the middle channel; largest: 0, smallest: 1
                for (sector, base, high, low) in [
                    (0, 0.0, 1.0, middle), // red, green, blue: from largest to smallest
                    (1, 0.0, middle, 1.0), // red, blue, green
                    (2, 2.0, 1.0, middle), // green, blue, red
                    (3, 2.0, middle, 1.0), // green, red, blue
                    (4, 4.0, 1.0, middle), // blue, red, green
                    (5, 4.0, middle, 1.0), // blue, green, red
                ] {
                    let (high, low): (f32, f32) = (high, low);
                    let turn = if base == 0.0 { high - low } else { (base + f64::from(high) - f64::from(low)) as f32 };
                    let turn = ((f64::from(turn) / 6.0 + 1.0) % 1.0) as f32;
                    hue[index(sector, spread, distance)] = (f64::from(turn) * 255.0) as u8;
                }
            }
            for largest in spread..=255 {
                let fraction = spread as f32 / largest as f32;
                saturation[(largest << 8 | spread) as usize] = (f64::from(fraction) * 255.0) as u8;
            }
        }
        let sector = std::array::from_fn(|hue| {
            let scaled = f64::from(hue as f32) * 6.0 / 255.0;
            let whole = scaled.floor();
            (whole as u8 % 6, (scaled - whole) as f32)
        });
        Self { hue, saturation, sector }
    }

    #[inline(always)]
    fn hsv(&self, [r, g, b]: [u8; 3]) -> [u8; 3] {
        let largest = r.max(g).max(b);
        let smallest = r.min(g).min(b);
        let spread = u32::from(largest - smallest);
        if spread == 0 {
            return [0, 0, largest];
        }
        // As Pillow asks: red first, then green, then blue.
        let (sector, middle) = if r == largest {
            if b == smallest { (0, g) } else { (1, b) }
        } else if g == largest {
            if r == smallest { (2, b) } else { (3, r) }
        } else if g == smallest {
            (4, r)
        } else {
            (5, g)
        };
        let hue = self.hue[index(sector, spread, u32::from(largest - middle))];
        [hue, self.saturation[usize::from(largest) << 8 | spread as usize], largest]
    }

    #[inline(always)]
    fn rgb(&self, h: u8, s: u8, v: u8) -> [u8; 3] {
        if s == 0 {
            return [v; 3];
        }
        let (sector, position) = self.sector[usize::from(h)];
        let fraction = (f64::from(s) / 255.0) as f32;
        let value = f64::from(v);
        let round = |x: f64| (x + 0.5) as u8; // x lies in 0..255
        let p = round(value * (1.0 - f64::from(fraction)));
        let q = round(value * (1.0 - f64::from(fraction * position)));
        let t = round(value * (1.0 - f64::from(fraction) * (1.0 - f64::from(position))));
        match sector {
            0 => [v, t, p],
            1 => [q, v, p],
            2 => [p, v, t],
            3 => [p, q, v],
            4 => [t, p, v],
            _ => [v, p, q],
        }
    }
}

fn index(sector: u32, spread: u32, distance: u32) -> usize {
    (sector << 16 | spread << 8 | distance) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pillow's `rgb2hsv_row`, transcribed.
    fn pillow_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
        let (max, min) = (r.max(g).max(b), r.min(g).min(b));
        if max == min {
            return [0, 0, max];
        }
        let spread = f32::from(max - min);
        let part = |c: u8| f32::from(max - c) / spread;
        let (rc, gc, bc) = (part(r), part(g), part(b));
        let h = if r == max {
            bc - gc
        } else if g == max {
            (2.0 + f64::from(rc) - f64::from(bc)) as f32
        } else {
            (4.0 + f64::from(gc) - f64::from(rc)) as f32
        };
        let h = ((f64::from(h) / 6.0 + 1.0) % 1.0) as f32;
        [(f64::from(h) * 255.0) as u8, (f64::from(spread / f32::from(max)) * 255.0) as u8, max]
    }

    #[test]
    fn tables_agree_with_the_formula_on_every_colour() {
        let tables = Tables::get();
        let step = if cfg!(debug_assertions) { 3 } else { 1 };
        for r in (0..=255).step_by(step) {
            for g in 0..=255 {
                for b in 0..=255 {
                    assert_eq!(tables.hsv([r, g, b]), pillow_hsv([r, g, b]), "{r} {g} {b}");
                }
            }
        }
    }

    #[test]
    fn sixteen_pixels_at_once_are_the_same() {
        let step = if cfg!(debug_assertions) { 5 } else { 1 };
        for (r, shift) in (0..=255).step_by(step).zip((0..=255u8).cycle().step_by(7)) {
            let mut fast: Vec<u8> = (0..=255).flat_map(|g| (0..=255).flat_map(move |b| [r, g, b])).collect();
            let mut plain = fast.clone();
            hue(&mut fast, f64::from(shift) / 255.0 + 1e-9);
            shifted(&mut plain, hue_shift(f64::from(shift) / 255.0 + 1e-9));
            assert!(fast == plain, "red {r}, shifted by {shift}");
        }
    }

    #[test]
    fn gray_keeps_its_value_under_any_shift() {
        let mut pixels: Vec<u8> = (0..=255).flat_map(|v| [v; 3]).collect();
        let before = pixels.clone();
        hue(&mut pixels, 0.13);
        assert_eq!(pixels, before);
    }
}
