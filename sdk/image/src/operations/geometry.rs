//! Movements by whole pixels.

use crate::{Rgb8Mut, Rgb8Ref};

/// Mirrors left and right in place.
pub fn flip_horizontal(image: &mut Rgb8Mut<'_>) {
    let row_bytes = image.width as usize * 3;
    if row_bytes == 0 {
        return;
    }
    for row in image.pixels.chunks_exact_mut(row_bytes) {
        let (mut left, mut right) = (0, row_bytes - 3);
        while left < right {
            for channel in 0..3 {
                row.swap(left + channel, right + channel);
            }
            left += 3;
            right -= 3;
        }
    }
}

/// Moves the content right by `x` and down by `y` pixels; what comes in is the reflection, without repeating the edge.
///
/// # Panics
/// Where the two images differ in size.
pub fn translate_reflect(from: Rgb8Ref<'_>, x: i32, y: i32, to: &mut Rgb8Mut<'_>) {
    assert_eq!((from.width, from.height), (to.width, to.height), "a translation keeps the size");
    let width = from.width as usize;
    if from.pixels.is_empty() {
        return;
    }
    let inner = (x.max(0) as usize).min(width)..(width as i64 + i64::from(x.min(0))).max(0) as usize;
    for (row, target) in to.pixels.chunks_exact_mut(width * 3).enumerate() {
        let source = reflected(row as i64 - i64::from(y), from.height) * width * 3;
        let source = &from.pixels[source..source + width * 3];
        let mut pixel = |column: usize| {
            let at = reflected(column as i64 - i64::from(x), from.width) * 3;
            target[column * 3..column * 3 + 3].copy_from_slice(&source[at..at + 3]);
        };
        if inner.is_empty() {
            (0..width).for_each(&mut pixel);
            continue;
        }
        (0..inner.start).for_each(&mut pixel);
        (inner.end..width).for_each(&mut pixel);
        let start = (inner.start as i64 - i64::from(x)) as usize * 3;
        let length = inner.len() * 3;
        target[inner.start * 3..inner.end * 3].copy_from_slice(&source[start..start + length]);
    }
}

/// Folds a position into 0..length: … 2 1 | 0 1 2 … n−1 | n−2 n−3 …
///
/// # Panics
/// Where the length is 0.
pub fn reflected(position: i64, length: u32) -> usize {
    let length = i64::from(length);
    if length == 1 {
        return 0;
    }
    let period = 2 * (length - 1);
    let folded = position.rem_euclid(period);
    folded.min(period - folded) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rgb8;

    fn row(values: &[u8]) -> Rgb8 {
        let pixels = values.iter().flat_map(|&v| [v; 3]).collect();
        Rgb8 { width: values.len() as u32, height: 1, pixels }
    }

    #[test]
    fn translation_reflects_without_repeating_the_edge() {
        let mut moved = Rgb8::new(4, 1);
        translate_reflect(row(&[1, 2, 3, 4]).as_ref(), 2, 0, &mut moved.as_mut());
        assert_eq!(moved, row(&[3, 2, 1, 2]));
        translate_reflect(row(&[1, 2, 3, 4]).as_ref(), -1, 7, &mut moved.as_mut());
        assert_eq!(moved, row(&[2, 3, 4, 3]));
    }

    #[test]
    fn translation_beyond_the_size_is_defined() {
        for width in 1..6u8 {
            let image = row(&(0..width).collect::<Vec<_>>());
            for x in -20..=20 {
                let mut moved = Rgb8::new(u32::from(width), 1);
                translate_reflect(image.as_ref(), x, x, &mut moved.as_mut());
                assert!(moved.pixels.iter().all(|&v| v < width));
            }
        }
    }

    #[test]
    fn flip_mirrors_odd_and_even_widths() {
        for (before, after) in [(&[1, 2, 3][..], &[3, 2, 1][..]), (&[1, 2], &[2, 1]), (&[1], &[1])] {
            let mut image = row(before);
            flip_horizontal(&mut image.as_mut());
            assert_eq!(image, row(after));
        }
    }
}
