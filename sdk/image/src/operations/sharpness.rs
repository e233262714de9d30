//! Pillow's `ImageEnhance.Sharpness`.

use super::colour::blend;
use crate::Rgb8Mut;

/// 0 is the image smoothed by `ImageFilter.SMOOTH`, 1 the image, more is sharper. The outermost pixels stay.
pub fn sharpness(image: &mut Rgb8Mut<'_>, factor: f32) {
    let (row_bytes, height) = (image.width as usize * 3, image.height as usize);
    if factor == 1.0 || image.width < 3 || height < 3 {
        return;
    }
    let from = image.pixels.to_vec();
    for y in 1..height - 1 {
        let row = |y: usize| &from[y * row_bytes..(y + 1) * row_bytes];
        let rows = [row(y - 1), row(y), row(y + 1)];
        let out = &mut image.pixels[y * row_bytes + 3..(y + 1) * row_bytes - 3];
        for (i, out) in out.iter_mut().enumerate() {
            let sum: u32 = rows.iter().flat_map(|row| [i, i + 3, i + 6].map(|at| u32::from(row[at]))).sum();
            let centre = rows[1][i + 3];
            let sum = sum + 4 * u32::from(centre); // SMOOTH: ones around a five
            *out = blend(((2 * sum + 13) / 26) as u8, centre, factor); // over 13, rounded
        }
    }
}
