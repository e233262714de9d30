//! Pillow's `ImageEnhance` and its gray conversion. Every operation rounds to 8 bits, as Pillow's do.

/// Pillow's `L`: ITU-R 601 luma in 16-bit fixed point (`Convert.c`).
pub(super) fn luma(red: u8, green: u8, blue: u8) -> u8 {
    ((19595 * u32::from(red) + 38470 * u32::from(green) + 7471 * u32::from(blue) + 0x8000) >> 16) as u8
}

/// Pillow's `Image.blend` of one byte: truncated between the two, clipped beyond them (`Blend.c`).
#[inline(always)]
pub(super) fn blend(from: u8, to: u8, factor: f32) -> u8 {
    let value = f32::from(from) + factor * f32::from(i16::from(to) - i16::from(from));
    value as u8 // truncates towards zero and saturates
}

/// `ImageEnhance.Brightness`: 0 is black, 1 the image.
pub fn brightness(pixels: &mut [u8], factor: f32) {
    blend_with(pixels, 0, factor);
}

/// `ImageEnhance.Contrast`: 0 is the mean gray, 1 the image.
pub fn contrast(pixels: &mut [u8], factor: f32) {
    if factor == 1.0 || pixels.is_empty() {
        return;
    }
    let mean = (luma_sum(pixels) as f64 / (pixels.len() / 3) as f64 + 0.5) as u8;
    blend_with(pixels, mean, factor);
}

fn luma_sum(pixels: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 was detected.
        return unsafe { wide::luma_sum(pixels) };
    }
    luma_sum_any(pixels)
}

fn luma_sum_any(pixels: &[u8]) -> u64 {
    pixels.chunks_exact(3).map(|p| u64::from(luma(p[0], p[1], p[2]))).sum()
}

fn blend_with(pixels: &mut [u8], from: u8, factor: f32) {
    if factor == 1.0 {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 was detected.
        unsafe { wide::blend_with(pixels, from, factor) };
        return;
    }
    pixels.iter_mut().for_each(|value| *value = blend(from, *value, factor));
}

/// `ImageEnhance.Color`: 0 is gray, 1 the image.
pub fn saturation(pixels: &mut [u8], factor: f32) {
    if factor == 1.0 {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 was detected.
        unsafe { wide::saturation(pixels, factor) };
        return;
    }
    saturation_any(pixels, factor);
}

fn saturation_any(pixels: &mut [u8], factor: f32) {
    for pixel in pixels.chunks_exact_mut(3) {
        let gray = luma(pixel[0], pixel[1], pixel[2]);
        for value in pixel {
            *value = blend(gray, *value, factor);
        }
    }
}

/// Gray in all three channels.
pub fn grayscale(pixels: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 was detected.
        unsafe { wide::grayscale(pixels) };
        return;
    }
    grayscale_any(pixels);
}

fn grayscale_any(pixels: &mut [u8]) {
    for pixel in pixels.chunks_exact_mut(3) {
        pixel.fill(luma(pixel[0], pixel[1], pixel[2]));
    }
}

/// The same for sixteen pixels at once, and what is left by the functions above.
#[cfg(target_arch = "x86_64")]
mod wide {
    #![allow(unused_unsafe, reason = "functions of the same features are safe to call from Rust 1.86 on")]

    use super::{blend, grayscale_any, luma, luma_sum_any, saturation_any};
    use crate::lanes::{BYTES, Colours, PIXELS, colours, pixels as pixels_of};

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn lumas([red, green, blue]: &Colours<u8>) -> [u8; PIXELS] {
        let mut lumas = [0; PIXELS];
        for at in 0..PIXELS {
            lumas[at] = luma(red[at], green[at], blue[at]);
        }
        lumas
    }

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn luma_sum(pixels: &[u8]) -> u64 {
        let (blocks, rest) = pixels.split_at(pixels.len() / BYTES * BYTES);
        let mut sum = luma_sum_any(rest);
        for block in blocks.chunks_exact(BYTES) {
            // SAFETY: AVX2 is there (the caller).
            let lumas = unsafe { lumas(&colours(block.try_into().expect("a block"))) };
            sum += u64::from(lumas.iter().map(|&luma| u32::from(luma)).sum::<u32>());
        }
        sum
    }

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn blend_with(pixels: &mut [u8], from: u8, factor: f32) {
        let mut blocks = pixels.chunks_exact_mut(BYTES);
        for block in &mut blocks {
            for value in block {
                *value = blended(from, *value, factor);
            }
        }
        blocks.into_remainder().iter_mut().for_each(|value| *value = blend(from, *value, factor));
    }

    /// [`blend`] as one conversion, which vectors have.
    #[inline(always)]
    #[expect(clippy::manual_clamp, reason = "`clamp` leaves what is no number, which `max` makes 0")]
    fn blended(from: u8, to: u8, factor: f32) -> u8 {
        let value = f32::from(from) + factor * (f32::from(to) - f32::from(from));
        // SAFETY: a number within 0 and 255; one that is none is clamped to 0 by `max`.
        unsafe { value.max(0.0).min(255.0).to_int_unchecked::<i32>() as u8 }
    }

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn saturation(pixels: &mut [u8], factor: f32) {
        let mut blocks = pixels.chunks_exact_mut(BYTES);
        for block in &mut blocks {
            let block: &mut [u8; BYTES] = block.try_into().expect("a block");
            // SAFETY: AVX2 is there (the caller).
            unsafe {
                let mut by_colour = colours(block);
                let gray = lumas(&by_colour);
                for colour in &mut by_colour {
                    for (value, gray) in colour.iter_mut().zip(gray) {
                        *value = blended(gray, *value, factor);
                    }
                }
                pixels_of(&by_colour, block);
            }
        }
        saturation_any(blocks.into_remainder(), factor);
    }

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn grayscale(pixels: &mut [u8]) {
        let mut blocks = pixels.chunks_exact_mut(BYTES);
        for block in &mut blocks {
            let block: &mut [u8; BYTES] = block.try_into().expect("a block");
            // SAFETY: AVX2 is there (the caller).
            unsafe {
                let gray = lumas(&colours(block));
                pixels_of(&[gray; 3], block);
            }
        }
        grayscale_any(blocks.into_remainder());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blend_truncates_between_and_clips_beyond() {
        assert_eq!([blend(0, 3, 0.5), blend(0, 255, 1.4), blend(200, 10, 1.4), blend(10, 13, 1.4)], [1, 255, 0, 14]);
    }

    #[test]
    fn a_factor_of_one_changes_nothing() {
        let image: Vec<u8> = (0..=254).collect();
        for operation in [brightness, contrast, saturation] {
            let mut changed = image.clone();
            operation(&mut changed, 1.0);
            assert_eq!(changed, image);
        }
    }

    #[test]
    fn sixteen_pixels_at_once_are_the_same() {
        let noise: Vec<u8> = (0..(200 * 3u32)).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        assert_eq!(luma_sum(&noise), luma_sum_any(&noise));
        let (mut fast, mut plain) = (noise.clone(), noise.clone());
        grayscale(&mut fast);
        grayscale_any(&mut plain);
        assert_eq!(fast, plain);
        for factor in [0.0, 0.3, 0.6, 0.999, 1.001, 1.4, 3.7, -1.0, f32::NAN, f32::INFINITY] {
            let (mut fast, mut plain) = (noise.clone(), noise.clone());
            saturation(&mut fast, factor);
            saturation_any(&mut plain, factor);
            assert_eq!(fast, plain, "{factor}");
            for from in [0, 17, 128, 255] {
                let mut fast: Vec<u8> = (0..=255).collect();
                blend_with(&mut fast, from, factor);
                let plain: Vec<u8> = (0..=255).map(|to| blend(from, to, factor)).collect();
                assert_eq!(fast, plain, "{from} {factor}");
            }
        }
    }

    #[test]
    fn an_empty_image_is_left_alone() {
        for operation in [brightness, contrast, saturation] {
            operation(&mut [], 0.5);
        }
        grayscale(&mut []);
    }
}
