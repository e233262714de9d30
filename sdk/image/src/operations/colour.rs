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
    let sum: u64 = pixels.chunks_exact(3).map(|p| u64::from(luma(p[0], p[1], p[2]))).sum();
    let mean = (sum as f64 / (pixels.len() / 3) as f64 + 0.5) as u8;
    blend_with(pixels, mean, factor);
}

fn blend_with(pixels: &mut [u8], from: u8, factor: f32) {
    if factor == 1.0 {
        return;
    }
    if pixels.len() < 1024 {
        pixels.iter_mut().for_each(|value| *value = blend(from, *value, factor));
        return;
    }
    let table: [u8; 256] = std::array::from_fn(|value| blend(from, value as u8, factor));
    pixels.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

/// `ImageEnhance.Color`: 0 is gray, 1 the image.
pub fn saturation(pixels: &mut [u8], factor: f32) {
    if factor == 1.0 {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 was detected.
        unsafe { saturation_avx2(pixels, factor) };
        return;
    }
    saturation_any(pixels, factor);
}

/// The same code for wider registers.
///
/// # Safety
/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn saturation_avx2(pixels: &mut [u8], factor: f32) {
    saturation_any(pixels, factor);
}

const BLOCK: usize = 32; // pixels whose gray is spread first, so that the blending runs over bytes

#[inline(always)]
fn saturation_any(pixels: &mut [u8], factor: f32) {
    let mut blocks = pixels.chunks_exact_mut(BLOCK * 3);
    for block in &mut blocks {
        let mut gray = [0; BLOCK * 3];
        for (gray, pixel) in gray.chunks_exact_mut(3).zip(block.chunks_exact(3)) {
            gray.fill(luma(pixel[0], pixel[1], pixel[2]));
        }
        for (value, gray) in block.iter_mut().zip(gray) {
            let blended = f32::from(gray) + factor * (f32::from(*value) - f32::from(gray));
            *value = blended.clamp(0.0, 255.0) as i32 as u8;
        }
    }
    for pixel in blocks.into_remainder().chunks_exact_mut(3) {
        let gray = luma(pixel[0], pixel[1], pixel[2]);
        for value in pixel {
            *value = blend(gray, *value, factor);
        }
    }
}

/// Gray in all three channels.
pub fn grayscale(pixels: &mut [u8]) {
    for pixel in pixels.chunks_exact_mut(3) {
        pixel.fill(luma(pixel[0], pixel[1], pixel[2]));
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
    fn an_empty_image_is_left_alone() {
        for operation in [brightness, contrast, saturation] {
            operation(&mut [], 0.5);
        }
        grayscale(&mut []);
    }
}
