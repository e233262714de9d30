//! Turns and mirrors pixels as an EXIF orientation says.

use super::Decoded;
use image::metadata::Orientation;

pub(super) fn apply(decoded: Decoded, exif: &[u8]) -> Decoded {
    Orientation::from_exif_chunk(exif).map_or_else(|| decoded.clone(), |orientation| turn(&decoded, orientation))
}

/// The same for the tag's value, 1 to 8.
pub(super) fn apply_value(decoded: Decoded, value: u8) -> Decoded {
    Orientation::from_exif(value).map_or_else(|| decoded.clone(), |orientation| turn(&decoded, orientation))
}

fn turn(decoded: &Decoded, orientation: Orientation) -> Decoded {
    let (w, h) = (decoded.width as usize, decoded.height as usize);
    let swapped = matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    let (width, height) = if swapped { (h, w) } else { (w, h) };
    let mut pixels = Vec::with_capacity(decoded.pixels.len());
    for y in 0..height {
        for x in 0..width {
            let (sx, sy) = match orientation {
                Orientation::NoTransforms => (x, y),
                Orientation::FlipHorizontal => (w - 1 - x, y),
                Orientation::Rotate180 => (w - 1 - x, h - 1 - y),
                Orientation::FlipVertical => (x, h - 1 - y),
                Orientation::Rotate90FlipH => (y, x),
                Orientation::Rotate90 => (y, h - 1 - x),
                Orientation::Rotate270FlipH => (w - 1 - y, h - 1 - x),
                Orientation::Rotate270 => (w - 1 - y, x),
            };
            let from = (sy * w + sx) * 3;
            pixels.extend_from_slice(&decoded.pixels[from..from + 3]);
        }
    }
    Decoded {
        width: width as u32,
        height: height as u32,
        pixels,
        format: decoded.format,
        was_animated: decoded.was_animated,
        was_gray16: decoded.was_gray16,
    }
}
