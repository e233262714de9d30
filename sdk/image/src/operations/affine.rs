//! Pillow's `Image.transform(AFFINE)` with the nearest pixel, in its 16.16 fixed point (`Geometry.c`), and torchvision's
//! rotation, shear and translation by it.

use crate::{Rgb8Mut, Rgb8Ref};

/// Colour of what comes in from outside.
pub type Fill = [u8; 3];

/// Turns counter-clockwise about the centre: torchvision's `rotate`.
///
/// # Panics
/// Where the two images differ in size.
pub fn rotate(from: Rgb8Ref<'_>, degrees: f64, fill: Fill, to: &mut Rgb8Mut<'_>) {
    let (sin, cos) = (-degrees.to_radians()).sin_cos();
    let (x, y) = (f64::from(from.width) / 2.0, f64::from(from.height) / 2.0);
    affine(from, [cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y], fill, to);
}

/// Moves each row left by `level` times its distance from the top: torchvision's `affine` with the shear
/// `degrees(atan(level))` about the corner, as RandAugment has it.
///
/// # Panics
/// Where the two images differ in size.
pub fn shear_x(from: Rgb8Ref<'_>, level: f64, fill: Fill, to: &mut Rgb8Mut<'_>) {
    affine(from, [1.0, level, 0.0, 0.0, 1.0, 0.0], fill, to);
}

/// Moves each column up by `level` times its distance from the left; see [`shear_x`].
///
/// # Panics
/// Where the two images differ in size.
pub fn shear_y(from: Rgb8Ref<'_>, level: f64, fill: Fill, to: &mut Rgb8Mut<'_>) {
    affine(from, [1.0, 0.0, 0.0, level, 1.0, 0.0], fill, to);
}

/// Moves right by `x` and down by `y` pixels.
///
/// # Panics
/// Where the two images differ in size.
pub fn translate(from: Rgb8Ref<'_>, x: i32, y: i32, fill: Fill, to: &mut Rgb8Mut<'_>) {
    affine(from, [1.0, 0.0, -f64::from(x), 0.0, 1.0, -f64::from(y)], fill, to);
}

/// The pixel at (x, y) comes from (a x + b y + c, d x + e y + f), pixels' centres lying at halves.
fn affine(from: Rgb8Ref<'_>, [a, b, c, d, e, f]: [f64; 6], fill: Fill, to: &mut Rgb8Mut<'_>) {
    assert_eq!((from.width, from.height), (to.width, to.height), "the size stays");
    let (width, height) = (i64::from(from.width), i64::from(from.height));
    let fixed = |value: f64| (value * 65536.0 + 0.5).floor() as i64;
    let [right, down] = [[fixed(a), fixed(d)], [fixed(b), fixed(e)]];
    let mut start = [fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5)];
    for row in to.pixels.chunks_exact_mut((width as usize * 3).max(1)) {
        let [mut x, mut y] = start;
        for pixel in row.chunks_exact_mut(3) {
            let (column, line) = (x >> 16, y >> 16);
            let inside = (0..width).contains(&column) && (0..height).contains(&line);
            let at = (line * width + column) as usize * 3;
            pixel.copy_from_slice(if inside { &from.pixels[at..at + 3] } else { &fill });
            x += right[0];
            y += right[1];
        }
        start = [start[0] + down[0], start[1] + down[1]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rgb8;

    #[test]
    fn what_comes_in_is_the_fill() {
        let image = Rgb8 { width: 3, height: 1, pixels: vec![1, 1, 1, 2, 2, 2, 3, 3, 3] };
        let mut moved = Rgb8::new(3, 1);
        translate(image.as_ref(), 1, 0, [7, 8, 9], &mut moved.as_mut());
        assert_eq!(moved.pixels, [7, 8, 9, 1, 1, 1, 2, 2, 2]);
        translate(image.as_ref(), 0, -1, [7, 8, 9], &mut moved.as_mut());
        assert_eq!(moved.pixels, [7, 8, 9, 7, 8, 9, 7, 8, 9]);
    }

    #[test]
    fn nothing_moves_an_image_onto_itself() {
        let image = Rgb8 { width: 2, height: 2, pixels: (0..12).collect() };
        let mut moved = Rgb8::new(2, 2);
        for turn in [rotate, shear_x, shear_y] {
            turn(image.as_ref(), 0.0, [0; 3], &mut moved.as_mut());
            assert_eq!(moved, image);
        }
    }
}
