//! Pillow's `ImageFilter.GaussianBlur`: three box blurs with a fractional radius across, then three down (`BoxBlur.c`).

use crate::Rgb8Mut;

const PASSES: f32 = 3.0; // Pillow's GaussianBlur

/// Blurs with a standard deviation of `sigma` pixels, equal to Pillow's `GaussianBlur(sigma)` to the byte. What lies
/// outside repeats the edge.
///
/// # Panics
/// Where `sigma` is negative or not finite.
pub fn gaussian_blur(image: &mut Rgb8Mut<'_>, sigma: f32) {
    assert!(sigma >= 0.0 && sigma.is_finite(), "a blur's sigma is {sigma}");
    let (width, height) = (image.width as usize, image.height as usize);
    if image.pixels.is_empty() {
        return;
    }
    let weights = BoxWeights::new(sigma);
    if weights == BoxWeights::NONE {
        return;
    }
    // Down is the fast direction: a whole row at once. Across is down in the transposed image.
    let mut work = vec![0; image.pixels.len()];
    let mut other = vec![0; image.pixels.len()];
    transpose(image.pixels, width, height, &mut work);
    blur_down(&mut work, &mut other, height * 3, &weights);
    transpose(&other, height, width, image.pixels);
    blur_down(image.pixels, &mut other, width * 3, &weights);
    image.pixels.copy_from_slice(&other);
}

/// The radius of the box whose threefold use has the variance of the Gaussian.
///
/// # Source
/// Gwosdek et al. 2011, equations 7, 11 and 14, with Pillow's mixture of single and double precision.
fn box_radius(sigma: f32) -> f32 {
    let variance = sigma * sigma / PASSES;
    let length = (12.0 * f64::from(variance) + 1.0).sqrt() as f32;
    let whole = ((f64::from(length) - 1.0) / 2.0).floor() as f32;
    let mut part = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance);
    part /= 6.0 * (variance - (whole + 1.0) * (whole + 1.0));
    whole + part
}

/// The weights of the box whose threefold use is a blur, in units of 2⁻²⁴.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxWeights {
    /// Pixels on either side that count in full.
    pub radius: u32,
    /// Of each pixel within the radius.
    pub within: u32,
    /// Of the two pixels beyond.
    pub beyond: u32,
}

impl BoxWeights {
    /// Those that change nothing.
    pub const NONE: Self = Self { radius: 0, within: 1 << 24, beyond: 0 };

    /// Those for a standard deviation of `sigma` pixels.
    pub fn new(sigma: f32) -> Self {
        let radius = box_radius(sigma);
        if radius == 0.0 {
            return Self::NONE;
        }
        let one = 1u32 << 24;
        let whole = radius as u32;
        let within = (one as f32 / (radius * 2.0 + 1.0)) as u32;
        Self { radius: whole, within, beyond: (one - (2 * whole + 1) * within) / 2 }
    }
}

/// Three passes, to and fro between two buffers; the result lies in the other one.
fn blur_down(image: &mut [u8], other: &mut [u8], row_bytes: usize, weights: &BoxWeights) {
    let mut sums = vec![0; row_bytes];
    box_blur_down(image, other, &mut sums, weights);
    box_blur_down(other, image, &mut sums, weights);
    box_blur_down(image, other, &mut sums, weights);
}

fn box_blur_down(from: &[u8], to: &mut [u8], sums: &mut [u32], weights: &BoxWeights) {
    let row_bytes = sums.len();
    let last = from.len() / row_bytes - 1;
    let row = |y: isize| {
        let start = y.clamp(0, last as isize) as usize * row_bytes;
        &from[start..start + row_bytes]
    };
    let radius = weights.radius as isize;
    sums.fill(0);
    for y in -1 - radius..radius {
        sums.iter_mut().zip(row(y)).for_each(|(sum, &value)| *sum += u32::from(value));
    }
    for (y, out) in to.chunks_exact_mut(row_bytes).enumerate() {
        let y = y as isize;
        let rows = [row(y - radius - 1), row(y + radius), row(y + radius + 1)];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: AVX2 was detected.
            unsafe { box_row_avx2(sums, rows, out, weights) };
            continue;
        }
        box_row(sums, rows, out, weights);
    }
}

/// The same code for wider registers.
///
/// # Safety
/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn box_row_avx2(sums: &mut [u32], rows: [&[u8]; 3], out: &mut [u8], weights: &BoxWeights) {
    box_row(sums, rows, out, weights);
}

/// Moves the sums down by a row, in from the row that enters, out by the row above, which still counts in part.
#[inline(always)]
fn box_row(sums: &mut [u32], [above, enters, below]: [&[u8]; 3], out: &mut [u8], weights: &BoxWeights) {
    let rows = above.iter().zip(enters).zip(below);
    for ((sum, out), ((&above, &enters), &below)) in sums.iter_mut().zip(out).zip(rows) {
        *sum = *sum + u32::from(enters) - u32::from(above);
        let bulk = *sum * weights.within + (u32::from(above) + u32::from(below)) * weights.beyond;
        *out = ((bulk + (1 << 23)) >> 24) as u8;
    }
}

/// Columns become rows.
fn transpose(from: &[u8], width: usize, height: usize, to: &mut [u8]) {
    for (y, row) in from.chunks_exact(width * 3).enumerate() {
        for (x, pixel) in row.chunks_exact(3).enumerate() {
            to[(x * height + y) * 3..][..3].copy_from_slice(pixel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rgb8;

    #[test]
    fn a_constant_image_stays_constant() {
        for sigma in [0.0, 0.1, 0.7, 1.5, 4.0] {
            let mut image = Rgb8 { width: 9, height: 5, pixels: vec![255; 135] };
            gaussian_blur(&mut image.as_mut(), sigma);
            assert!(image.pixels.iter().all(|&value| value == 255), "{sigma}");
        }
    }

    #[test]
    fn any_size_can_be_blurred() {
        for (width, height) in [(0, 0), (1, 1), (1, 9), (9, 1), (2, 3)] {
            gaussian_blur(&mut Rgb8::new(width, height).as_mut(), 20.0);
        }
    }
}
